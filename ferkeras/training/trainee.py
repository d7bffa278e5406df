"""One network under training: its twin, its optimiser, its task, and what an epoch does to them."""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.training.batch_statistics import measure_statistics
from ferkeras.training.compiled import check_compilable, xla_errors
from ferkeras.training.distillation import DistilledModel, Teachers
from ferkeras.training.optim import make_optimizer
from ferkeras.training.precision import StopOnLostScale
from ferkeras.training.task import make_task
from ferkeras.training.twin import can_fuse, make_twin

if TYPE_CHECKING:
    from ferkeras.training.distribute import Distribution


class Trainee:
    """A model and the twin that is trained in its place.

    Args:
        model: The float32 model; `train` brings it up to date.
        recipe: Resolved.
        steps_per_epoch: Optimiser steps in an epoch.
        class_counts: Examples per class in the training split; empty without classes.
        fused: Use the faster CPU layers; by default wherever they apply.
        teachers: Whose soft labels are learned too; see `ferkeras.training.distillation.open_teachers`.
        distribution: The devices that train together, in whose scope the teachers were made; None for one.
        requested: Whether training is to stop after the step it is in.

    Raises:
        InputError: for gradient accumulation with another Keras backend than TensorFlow, and for layers that XLA is
            asked for and cannot compile.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        *,
        steps_per_epoch: int,
        class_counts: Sequence[int],
        fused: bool | None = None,
        teachers: Teachers | None = None,
        distribution: "Distribution | None" = None,
        requested: Callable[[], bool] = lambda: False,
    ) -> None:
        fused = can_fuse() if fused is None else fused
        self.task = make_task(recipe, class_counts=class_counts)
        self.model = _with_heads(model, tuple(self.task.losses))
        self._steps, self._requested = steps_per_epoch, requested
        self._averaged, self._batch_size = recipe.optimizer.ema is not None, recipe.batch_size * recipe.accumulate
        self._part: dict[str, Any] | None = None
        self._marks = teachers.marks if teachers else {}
        self._scope = distribution.scope if distribution else contextlib.nullcontext
        loss_weights = self.task.loss_weights
        with self._scope():
            self.twin = make_twin(
                self.model, dtype=recipe.dtype, fused=fused and not _synchronized(recipe, distribution)
            )
            if teachers:
                self.twin = DistilledModel(self.twin, teachers)
                loss_weights = {head: (1 - teachers.settings.weight) * value for head, value in loss_weights.items()}
            # The fused kernel of Adam knows no variable that exists several times.
            self.optimizer = make_optimizer(
                _scaled(recipe, distribution), steps_per_epoch=steps_per_epoch, fused=fused and distribution is None
            )
            self.optimizer.build(self.twin.trainable_variables)
        self._replicas = None
        compiled = {"auto": "auto", "on": True, "off": False}[recipe.jit]
        if compiled is True:
            check_compilable(self.twin)
        if distribution is None:
            # jit_compile="auto" never compiles on a CPU, where XLA is slower, and does on an accelerator.
            self.twin.compile(
                self.optimizer,
                self.task.losses,
                loss_weights=loss_weights,
                metrics=self.task.metrics,
                jit_compile=compiled,
            )
        if distribution is None and recipe.accumulate == 1:
            return
        if keras.backend.backend() != "tensorflow":
            raise InputError(
                "Gradient accumulation needs the TensorFlow backend of Keras",
                received=keras.backend.backend(),
                action="Set KERAS_BACKEND=tensorflow, or accumulate=1.",
            )
        from ferkeras.training.replicas import Replicas

        self._replicas = Replicas(
            self.twin,
            self.optimizer,
            distribution=distribution,
            losses=self.task.losses,
            loss_weights=loss_weights,
            metrics=self.task.metrics,
            row_loss=teachers.row_loss if teachers else None,
            micro_batch=recipe.batch_size if recipe.accumulate > 1 else None,
            compiled=compiled is True,
            synchronized=_synchronized(recipe, distribution),
        )

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that training changes, in a fixed order (a checkpoint holds these)."""
        return [*self.twin.variables, *self.optimizer.variables]

    def state(self) -> dict[str, Any]:
        """What `variables` leaves out: what the task has changed in the loss, which teachers there are, and how far an
        epoch has come that was told to stop."""
        teachers = {"teachers": self._marks} if self._marks else {}
        return self.task.state() | teachers | ({"part": self._part} if self._part else {})

    @property
    def steps_done(self) -> int:
        """Steps of an epoch that was told to stop, 0 when no epoch is begun."""
        return self._part["steps"] if self._part else 0

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `state`; `InputError` where a teacher has other weights than when the run began."""
        changed = [name for name, mark in state.get("teachers", {}).items() if self._marks.get(name) != mark]
        if changed:
            raise InputError(
                "A run is resumed with the teachers it began with",
                received=f"other weights in {', '.join(changed)}",
                action="Begin a new run with another --name.",
            )
        self._part = state.get("part")
        self.task.restore(state)

    def train(self, batches: Any, *, callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, float]:
        """One pass over `batches`, after which `model` has the weights to validate and save.

        A batch is that of a whole step: with gradient accumulation it has `batch_size * accumulate` examples. The pass
        ends early, and `steps_done` says where, if training is to stop; the next one goes on from there.

        Returns:
            `loss` and, of emotion, `accuracy`: running means over the epoch, on augmented images and changing weights.
        """
        epoch = _Epoch(self._part, self._metrics_variables, self._requested)
        whole = self.task.batches(batches)
        batches = whole.skip(epoch.steps) if epoch.steps else whole
        raw = _RawWeights()
        scaled = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        called = [epoch, *callbacks, *([StopOnLostScale(self.optimizer)] if scaled else []), raw]
        with xla_errors():
            if self._replicas is None:
                history = self.twin.fit(batches, verbose=0, shuffle=False, callbacks=called).history
                logs = {name: values[-1] for name, values in history.items()}
            else:
                logs = self._replicas.epoch(batches, callbacks=called, requested=self._requested)
                with self._scope():
                    self.optimizer.finalize_variable_values(self.twin.trainable_variables)
        # Where the recipe averages weights, Keras has just written the average into the twin: take it, then
        # put back the weights that training goes on with.
        self.model.set_weights(self.twin.get_weights())
        with self._scope():
            for variable, value in zip(self.twin.trainable_variables, raw.values, strict=True):
                variable.assign(value)
        self._part = epoch.part() if self.twin.stop_training and epoch.steps < self._steps else None
        if self._averaged and not self._part:
            measure_statistics(self.model, whole, batch_size=self._batch_size)
        return {name: float(logs[name]) for name in ("loss", *self.task.watched)}

    def _metrics_variables(self) -> list[keras.Variable]:
        return self._replicas.metrics_variables if self._replicas else self.twin.metrics_variables


def _synchronized(recipe: Recipe, distribution: "Distribution | None") -> bool:
    return distribution is not None and recipe.distribute.synchronized_batch_norm


def _scaled(recipe: Recipe, distribution: "Distribution | None") -> Recipe:
    """The recipe with its learning rate for the number of replicas."""
    replicas = distribution.replicas if distribution else 1
    factor = {"none": 1.0, "linear": float(replicas), "sqrt": replicas**0.5}[recipe.distribute.rate_scaling]
    rate = recipe.optimizer.learning_rate * factor
    return dataclasses.replace(recipe, optimizer=dataclasses.replace(recipe.optimizer, learning_rate=rate))


def _with_heads(model: keras.Model, heads: tuple[str, ...]) -> keras.Model:
    """`model` up to `heads`, sharing its variables: Keras wants labels for every output that a model has."""
    if set(model.output) == set(heads):
        return model
    return keras.Model(model.input, {head: model.output[head] for head in heads}, name=model.name)


class _Epoch(keras.callbacks.Callback):
    """Counts the steps of an epoch, takes up one that was begun, and ends it where training is to stop."""

    def __init__(
        self,
        part: dict[str, Any] | None,
        metrics_variables: Callable[[], list[keras.Variable]],
        requested: Callable[[], bool],
    ) -> None:
        super().__init__()
        self.steps = part["steps"] if part else 0
        self._sums = part["sums"] if part else []
        self._variables, self._requested = metrics_variables, requested

    def part(self) -> dict[str, Any]:
        """What a checkpoint needs of the epoch, JSON-serialisable."""
        return {"steps": self.steps, "sums": [float(ops.convert_to_numpy(v.value)) for v in self._variables()]}

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if len(self._variables()) == len(self._sums):  # in its very first step `fit` has not made all of them
            self._take_up()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.steps += 1
        if self._requested():
            self.model.stop_training = True
        self._take_up()

    def _take_up(self) -> None:
        """Adds the totals and counts of the steps before; where other devices go on, those of single heads may differ,
        which come last."""
        for variable, value in zip(self._variables(), self._sums, strict=False):
            variable.assign_add(value)
        self._sums = []


class _RawWeights(keras.callbacks.Callback):
    """Keeps the trainable weights as they are at the end of an epoch, before `fit` averages them."""

    values: list[np.ndarray]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.values = [np.array(ops.convert_to_numpy(v.value)) for v in self.model.trainable_variables]
