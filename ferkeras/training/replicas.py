"""One epoch on one or several replicas of a network, in micro-batches if need be, with the result of one device.

Keras's `fit` clips gradients before it sums them over the replicas, and takes each replica's mean as its loss. Here
each replica computes its rows of the GLOBAL batch; the logits of all are put together, and the loss is that of the
whole batch, whatever it is a function of (concordance is no mean over examples); gradients are summed, then clipped.
All processes read the same batches, in the order and with the augmentation of one device, and take their rows.

With gradient accumulation (`ferkeras.training.accumulation`) all of this is done for one micro-batch after another;
the sums of the gradients stay with each replica until the last one, and go through the network once a step.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from ferkeras.training.accumulation import MicroBatch, micro_batches
from ferkeras.training.distribute import Distribution, lost_worker

SUM = tf.distribute.ReduceOp.SUM
ON_READ, SUMS = tf.VariableSynchronization.ON_READ, tf.VariableAggregation.SUM


class Replicas:
    """Trains the replicas of `model` as if they were one.

    Args:
        model: Inputs (B, ...) -> {head: logits (B, K) or (B, T, K)}.
        optimizer: Built for the trainable variables of `model`.
        distribution: In whose scope the model and the optimiser were made; None for one device.
        losses: Head -> loss of labels, logits and weights of the global batch.
        loss_weights: Head -> its weight in the sum.
        metrics: Head -> metric of labels and logits.
        row_loss: Inputs and outputs of the model -> (B,), whose mean is added to the loss; or None.
        micro_batch: Rows of a micro-batch, of all replicas together; None for the whole batch at once.
        compiled: Whether XLA compiles the network, forward and backward.
        synchronized: Whether batch normalisation uses the statistics of the global batch, or micro-batch.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        *,
        distribution: Distribution | None,
        losses: Mapping[str, keras.losses.Loss],
        loss_weights: Mapping[str, float],
        metrics: Mapping[str, keras.metrics.Metric],
        row_loss: Callable[[Any, Mapping[str, Any]], Any] | None = None,
        micro_batch: int | None = None,
        compiled: bool = False,
        synchronized: bool = False,
    ) -> None:
        self._strategy = distribution.strategy if distribution else tf.distribute.get_strategy()
        self._count = distribution.replicas if distribution else 1
        self._model, self._optimizer = model, optimizer
        self._losses, self._loss_weights, self._metrics, self._row_loss = losses, loss_weights, metrics, row_loss
        self._size = micro_batch
        self._mean_loss = keras.metrics.Mean(name="loss")
        self._head = next(iter(model.output))
        self._forward = tf.function(self._network, jit_compile=True) if compiled else self._network
        self._sums: list[tf.Variable] = []
        self._add: Any = None
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
            batches: Each is that of one update.
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
            called.on_train_batch_begin(step)
            with lost_worker():
                stop = self._update(inputs, self._by_head(given), weights, requested)
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

    def _update(self, inputs: Any, labels: dict[str, Any], weights: Any, requested: Callable[[], bool]) -> bool:
        """One update; whether a replica was told to stop."""
        size = self._size or len(labels[self._head])
        *before, last = [
            (part.inputs, part.labels, part.weights, *_counts(part))
            for part in micro_batches(inputs, labels, weights, size=size, losses=self._losses)
        ]
        if self._step is None:
            self._trace(*last)
        for part in before:
            self._add(*part)
        return bool(self._step(*last, tf.constant(float(requested()))) > 0)

    def _trace(self, inputs: Any, labels: Any, weights: Any, rows: Any, shares: Any) -> None:
        """Builds the graphs of the step and of the loss once, for batches of any size."""

        def loss_gradient(true: Any, logits: Any, example_weights: Any, of_heads: Any) -> tuple[Any, Any]:
            with tf.GradientTape() as tape:
                tape.watch(logits)
                loss = sum(
                    self._loss_weights[head]
                    * of_heads[head]
                    * function(true[head], logits[head], sample_weight=example_weights.get(head))
                    for head, function in self._losses.items()
                )
            return loss, tape.gradient(loss, logits)

        given, true, logits, counts = tf.nest.map_structure(
            lambda values: tf.TensorSpec([None, *values.shape[1:]], values.dtype),
            (inputs, labels, dict(self._model.output), weights),
        )
        number = tf.TensorSpec([], tf.float32)
        of_heads = dict.fromkeys(shares, number)
        # Traced apart, outside the strategy, since under one Keras divides most losses by the number of replicas.
        self._loss_gradient = tf.function(loss_gradient).get_concrete_function(true, logits, counts, of_heads)
        if self._size:
            with self._strategy.scope():
                self._sums = [
                    tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False, synchronization=ON_READ, aggregation=SUMS)
                    for v in self._model.trainable_variables
                ]
            self._add = tf.function(self._global_add).get_concrete_function(given, true, counts, number, of_heads)
        self._step = tf.function(self._global_step).get_concrete_function(given, true, counts, number, of_heads, number)

    def _global_add(self, inputs: Any, labels: Any, weights: Any, rows: Any, shares: Any) -> None:
        """The gradients of a micro-batch, to be applied later."""
        outputs = self._strategy.run(self._replica_add, args=(inputs, labels, weights, rows, shares))
        self._count_in(labels, rows, *self._of_first(outputs))

    def _global_step(self, inputs: Any, labels: Any, weights: Any, rows: Any, shares: Any, requested: Any) -> Any:
        """The gradients of the last micro-batch, and the update; returns how many replicas were told to stop."""
        outputs = self._strategy.run(self._replica_step, args=(inputs, labels, weights, rows, shares, requested))
        loss, logits, stop = self._of_first(outputs)
        self._count_in(labels, rows, loss, logits)
        return stop

    def _of_first(self, outputs: Any) -> Any:
        return tf.nest.map_structure(lambda part: self._strategy.experimental_local_results(part)[0], outputs)

    def _count_in(self, labels: Any, rows: Any, loss: Any, logits: Any) -> None:
        """`loss` is what a micro-batch adds to that of its batch."""
        self._mean_loss.update_state(loss / rows, sample_weight=tf.shape(labels[self._head])[0])
        for head, metric in self._metrics.items():
            metric.update_state(labels[head], logits[head])

    def _replica_add(self, inputs: Any, labels: Any, weights: Any, rows: Any, shares: Any) -> tuple[Any, Any]:
        gradients, added, loss, logits = self._gradients(inputs, labels, weights, rows, shares)
        for total, gradient in zip(self._sums, gradients, strict=True):
            total.assign_add(gradient)
        return loss + tf.distribute.get_replica_context().all_reduce(SUM, added), logits

    def _replica_step(
        self, inputs: Any, labels: Any, weights: Any, rows: Any, shares: Any, requested: Any
    ) -> tuple[Any, Any, Any]:
        gradients, added, loss, logits = self._gradients(inputs, labels, weights, rows, shares)
        for index, total in enumerate(self._sums):
            gradients[index] += total.read_value()
            total.assign(tf.zeros_like(total))
        # `identity` puts what came in on the device of the replica.
        context = tf.distribute.get_replica_context()
        *gradients, added, stop = context.all_reduce(SUM, [*gradients, added, tf.identity(requested)])
        self._optimizer.apply(gradients, self._model.trainable_variables)
        return loss + added, logits, stop

    def _gradients(self, inputs: Any, labels: Any, weights: Any, rows: Any, shares: Any) -> tuple[Any, ...]:
        """Of this replica's rows: gradients and added losses; of all replicas' rows: loss and logits."""
        context = tf.distribute.get_replica_context()
        batch = tf.shape(labels[self._head])[0]
        start, end = _share(batch, context.replica_id_in_sync_group, self._count)
        # A replica whose share of a small last batch is empty still needs a row to compute on; it counts nothing.
        mine = tf.nest.map_structure(lambda whole: whole[start : tf.maximum(end, start + 1)], inputs)
        with tf.GradientTape() as of_model:
            outputs, of_layers = self._forward(mine)
            own = {head: logits[: end - start] for head, logits in outputs.items()}
            # Losses that layers add are of this replica's rows.
            added = of_layers * tf.cast(end - start, tf.float32)
            if self._row_loss is not None:
                added += tf.reduce_sum(self._row_loss(mine, outputs)[: end - start])
            added *= rows / tf.cast(batch, tf.float32)
        around = {head: _put(logits, start, batch) for head, logits in own.items()}
        whole = {head: context.all_reduce(SUM, logits) for head, logits in around.items()}
        loss, gradient = self._loss_gradient(labels, whole, weights, shares)
        # What is differentiated is the loss times this; the optimiser that asks for it takes it out again.
        scale = self._optimizer.scale_loss(tf.constant(1.0))
        gradients = of_model.gradient(
            [*own.values(), added],
            [v.value for v in self._model.trainable_variables],
            output_gradients=[*(scale * gradient[head][start:end] for head in own), scale],
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
        return gradients, added, loss, whole

    def _network(self, inputs: Any) -> tuple[dict[str, Any], Any]:
        """Logits by head, and the sum of the losses that layers add."""
        outputs = self._model(inputs, training=True)
        return outputs, sum((tf.cast(loss, tf.float32) for loss in self._model.losses), tf.constant(0.0))


def _counts(part: MicroBatch) -> tuple[Any, dict[str, Any]]:
    return tf.constant(part.rows), {head: tf.constant(share) for head, share in part.shares.items()}


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
