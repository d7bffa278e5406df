"""One network under training: its twin, its optimiser, its task, and what an epoch does to them."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.training.distillation import DistilledModel, Teachers
from ferkeras.training.optim import make_optimizer
from ferkeras.training.task import make_task
from ferkeras.training.twin import can_fuse, make_twin


class Trainee:
    """A model and the twin that is trained in its place.

    Args:
        model: The float32 model; `train` brings it up to date.
        recipe: Resolved.
        steps_per_epoch: Optimiser steps in an epoch.
        class_counts: Examples per class in the training split; empty without classes.
        fused: Use the faster CPU layers; by default wherever they apply.
        teachers: Whose soft labels are learned too; see `ferkeras.training.distillation.open_teachers`.
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
    ) -> None:
        fused = can_fuse() if fused is None else fused
        self.task = make_task(recipe, class_counts=class_counts)
        self.model = _with_heads(model, tuple(self.task.losses))
        self.twin = make_twin(self.model, dtype=recipe.dtype, fused=fused)
        loss_weights = self.task.loss_weights
        self._marks = teachers.marks if teachers else {}
        if teachers:
            self.twin = DistilledModel(self.twin, teachers)
            loss_weights = {head: (1 - teachers.settings.weight) * value for head, value in loss_weights.items()}
        self.optimizer = make_optimizer(recipe, steps_per_epoch=steps_per_epoch, fused=fused)
        self.optimizer.build(self.twin.trainable_variables)
        # jit_compile="auto" never compiles on a CPU, where XLA is the slower path, and does on an accelerator.
        self.twin.compile(self.optimizer, self.task.losses, loss_weights=loss_weights, metrics=self.task.metrics)

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that training changes, in a fixed order (a checkpoint holds these)."""
        return [*self.twin.variables, *self.optimizer.variables]

    def state(self) -> dict[str, Any]:
        """What `variables` leaves out: what the task has changed in the loss, and which teachers there are."""
        return self.task.state() | ({"teachers": self._marks} if self._marks else {})

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `state`; `InputError` where a teacher has other weights than when the run began."""
        changed = [name for name, mark in state.get("teachers", {}).items() if self._marks.get(name) != mark]
        if changed:
            raise InputError(
                "A run is resumed with the teachers it began with",
                received=f"other weights in {', '.join(changed)}",
                action="Begin a new run with another --name.",
            )
        self.task.restore(state)

    def train(self, batches: Iterable[Any], *, callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, float]:
        """One pass over `batches`, after which `model` has the weights to validate and save.

        Returns:
            `loss` and, of emotion, `accuracy`: running means over the epoch, on augmented images and changing weights.
        """
        raw = _RawWeights()
        batches = self.task.batches(batches)
        history = self.twin.fit(batches, verbose=0, shuffle=False, callbacks=[*callbacks, raw]).history
        # Where the recipe averages weights, Keras has just written the average into the twin: take it, then
        # put back the weights that training goes on with.
        self.model.set_weights(self.twin.get_weights())
        for variable, value in zip(self.twin.trainable_variables, raw.values, strict=True):
            variable.assign(value)
        return {name: float(history[name][-1]) for name in ("loss", *self.task.watched)}


def _with_heads(model: keras.Model, heads: tuple[str, ...]) -> keras.Model:
    """`model` up to `heads`, sharing its variables: Keras wants labels for every output that a model has."""
    if set(model.output) == set(heads):
        return model
    return keras.Model(model.input, {head: model.output[head] for head in heads}, name=model.name)


class _RawWeights(keras.callbacks.Callback):
    """Keeps the trainable weights as they are at the end of an epoch, before `fit` averages them."""

    values: list[np.ndarray]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.values = [np.array(ops.convert_to_numpy(v.value)) for v in self.model.trainable_variables]
