"""One epoch on several replicas of a network, so that the result is that of one device.

Keras's `fit` clips gradients before it sums them over the replicas, and takes each replica's mean as its loss. Here
each replica computes its rows of the GLOBAL batch; the logits of all are put together, and the loss is that of the
whole batch, whatever it is a function of (concordance is no mean over examples); gradients are summed, then clipped.
All processes read the same batches, in the order and with the augmentation of one device, and take their rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ferkeras.training.distribute import Distribution, lost_worker

SUM = tf.distribute.ReduceOp.SUM
Loss = Callable[[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]], Any]


class Replicas:
    """Trains the replicas of `model` as if they were one.

    Args:
        distribution: In whose scope the model and the optimiser were made.
        model: Inputs (B, ...) -> {head: logits (B, K) or (B, T, K)}.
        optimizer: Built for the trainable variables of `model`.
        loss: Labels, logits and weights by head, each of the global batch -> scalar.
        metrics: Head -> metric of labels and logits.
        synchronized: Whether batch normalisation uses the statistics of the global batch.
    """

    def __init__(
        self,
        distribution: Distribution,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        loss: Loss,
        metrics: Mapping[str, keras.metrics.Metric],
        synchronized: bool,
    ) -> None:
        self._distribution, self._model, self._optimizer = distribution, model, optimizer
        self._loss, self._metrics = loss, metrics
        self._mean_loss = keras.metrics.Mean(name="loss")
        self._head = next(iter(model.output))
        self._step: Any = None
        self._loss_gradient: Any = None
        _leave_gradients(optimizer)
        if synchronized:
            for layer in model._flatten_layers():
                if isinstance(layer, keras.layers.BatchNormalization):
                    layer.synchronized = True

    @property
    def metrics_variables(self) -> list[keras.Variable]:
        """What the running means of an epoch stand on."""
        return [v for metric in self._all_metrics for v in metric.variables]

    def epoch(
        self,
        batches: Iterable[Any],
        *,
        callbacks: Sequence[keras.callbacks.Callback],
        requested: Callable[[], bool],
    ) -> dict[str, float]:
        """Trains on `batches` of (inputs, labels[, weights]) and returns the running means, as `fit` would.

        Args:
            callbacks: Called as by `fit`.
            requested: Whether this process has been told to stop. Once one has, all set `model.stop_training` after
                the same step.

        Raises:
            WorkerLostError: if another process is gone.
        """
        model = self._model
        model.stop_training = False
        called = keras.callbacks.CallbackList(list(callbacks), model=model)
        called.on_train_begin()
        for metric in self._all_metrics:
            metric.reset_state()
        called.on_epoch_begin(0)
        for step, batch in enumerate(batches):
            inputs, given, weights = (*batch, {})[:3]
            labels = self._by_head(given)
            called.on_train_batch_begin(step)
            with lost_worker():
                if self._step is None:
                    self._trace(inputs, labels, weights)
                stop = self._step(inputs, labels, weights, tf.constant(float(requested())))
                stop = bool(stop > 0)
            called.on_train_batch_end(step, self._results())
            if stop:
                model.stop_training = True
                break
        logs = self._results()
        called.on_epoch_end(0, logs)
        called.on_train_end(logs)
        return logs

    @property
    def _all_metrics(self) -> list[keras.metrics.Metric]:
        return [self._mean_loss, *self._metrics.values()]

    def _results(self) -> dict[str, float]:
        return {metric.name: float(metric.result()) for metric in self._all_metrics}

    def _by_head(self, labels: Any) -> dict[str, Any]:
        return dict(labels) if isinstance(labels, Mapping) else {self._head: labels}

    def _trace(self, inputs: Any, labels: dict[str, Any], weights: Any) -> None:
        """Builds the graphs of the step and of the loss once, for batches of any size."""

        def loss_gradient(true: Any, logits: Any, example_weights: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                tape.watch(logits)
                loss = self._loss(true, logits, example_weights)
            return loss, tape.gradient(loss, logits)

        given, true, logits, counts = tf.nest.map_structure(
            lambda values: tf.TensorSpec([None, *values.shape[1:]], values.dtype),
            (inputs, labels, dict(self._model.output), weights),
        )
        # Traced apart, outside the strategy, since under one Keras divides most losses by the number of replicas.
        self._loss_gradient = tf.function(loss_gradient).get_concrete_function(true, logits, counts)
        flag = tf.TensorSpec([], tf.float32)
        self._step = tf.function(self._global_step).get_concrete_function(given, true, counts, flag)

    def _global_step(self, inputs: Any, labels: dict[str, Any], weights: Any, requested: Any) -> Any:
        """One update; returns how many replicas were told to stop."""
        strategy = self._distribution.strategy
        outputs = strategy.run(self._replica_step, args=(inputs, labels, weights, requested))
        loss, logits, stop = tf.nest.map_structure(lambda part: strategy.experimental_local_results(part)[0], outputs)
        self._mean_loss.update_state(loss, sample_weight=tf.shape(labels[self._head])[0])
        for head, metric in self._metrics.items():
            metric.update_state(labels[head], logits[head])
        return stop

    def _replica_step(self, inputs: Any, labels: Any, weights: Any, requested: Any) -> tuple[Any, Any, Any]:
        context = tf.distribute.get_replica_context()
        batch = tf.shape(labels[self._head])[0]
        start, end = _share(batch, context.replica_id_in_sync_group, self._distribution.replicas)
        # A replica whose share of a small last batch is empty still needs a row to compute on; it counts nothing.
        rows = tf.nest.map_structure(lambda whole: whole[start : tf.maximum(end, start + 1)], inputs)
        with tf.GradientTape() as of_model:
            outputs = self._model(rows, training=True)
            mine = {head: logits[: end - start] for head, logits in outputs.items()}
            # Losses that layers add are of this replica's rows.
            added = sum(self._model.losses, tf.constant(0.0)) * tf.cast(end - start, tf.float32)
            added /= tf.cast(batch, tf.float32)
        around = {head: _put(logits, start, batch) for head, logits in mine.items()}
        whole = {head: context.all_reduce(SUM, logits) for head, logits in around.items()}
        loss, gradient = self._loss_gradient(labels, whole, weights)
        variables = [v.value for v in self._model.trainable_variables]
        gradients = of_model.gradient(
            [*mine.values(), added],
            variables,
            output_gradients=[*(gradient[head][start:end] for head in mine), tf.constant(1.0)],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        # `identity` puts what came in on the device of the replica.
        *gradients, added, stop = context.all_reduce(SUM, [*gradients, added, tf.identity(requested)])
        self._optimizer.apply(gradients, self._model.trainable_variables)
        return loss + added, whole, stop


def _share(batch: Any, replica: Any, replicas: int) -> tuple[Any, Any]:
    """First row and end of what one replica computes of `batch` rows; shares differ by one row at most."""
    return replica * batch // replicas, (replica + 1) * batch // replicas


def _put(logits: Any, start: Any, batch: Any) -> Any:
    """`logits` (n, ...) from row `start` on in zeros (B, ...)."""
    before = tf.zeros(tf.concat([[start], tf.shape(logits)[1:]], 0), logits.dtype)
    after = tf.zeros(tf.concat([[batch - start - tf.shape(logits)[0]], tf.shape(logits)[1:]], 0), logits.dtype)
    whole = tf.concat([before, logits, after], 0)
    return tf.ensure_shape(whole, [None, *logits.shape[1:]])


def _leave_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Keras sums gradients over the replicas after it has clipped them; here they come summed already."""
    for one in (optimizer, getattr(optimizer, "inner_optimizer", None)):
        if one is not None:
            if not callable(getattr(one, "_all_reduce_sum_gradients", None)):
                raise RuntimeError(f"Keras {keras.__version__} sums gradients in another place than 3.15.")
            one._all_reduce_sum_gradients = lambda pairs: pairs


def replica_runner(distribution: Distribution, model: keras.Model) -> Callable[[Any], dict[str, Any]]:
    """`model` as a `ferkeras.inference.Runner` whose batches are shared out over the replicas of one process."""
    strategy, replicas = distribution.strategy, distribution.replicas

    def replica(inputs: Any) -> Any:
        context = tf.distribute.get_replica_context()
        batch = tf.shape(tf.nest.flatten(inputs)[0])[0]
        start, end = _share(batch, context.replica_id_in_sync_group, replicas)
        rows = tf.nest.map_structure(lambda whole: whole[start : tf.maximum(end, start + 1)], inputs)
        return {head: logits[: end - start] for head, logits in model(rows, training=False).items()}

    @tf.function(reduce_retracing=True)
    def forward(inputs: Any) -> Any:
        outputs = strategy.run(replica, args=(inputs,))
        return {head: tf.concat(strategy.experimental_local_results(part), 0) for head, part in outputs.items()}

    def run(inputs: Any) -> dict[str, Any]:
        return {head: logits.numpy() for head, logits in forward(tf.nest.map_structure(tf.constant, inputs)).items()}

    return run
