"""One network under training: its twin, its optimiser, its loss, and what an epoch does to them."""

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.errors import InputError
from ferkeras.losses import CrossEntropy, FocalLoss, balanced_class_weights
from ferkeras.recipe import Loss, Recipe
from ferkeras.training.optim import make_optimizer
from ferkeras.training.twin import can_fuse, make_twin

HEAD = "emotion"


def make_loss(settings: Loss, *, class_counts: Sequence[int]) -> CrossEntropy | FocalLoss:
    """The recipe's loss for K = len(class_counts) classes.

    Raises:
        InputError: for balanced weights with an absent class, or an alpha vector that is not of length K.
    """
    if settings.name == "focal":
        classes = len(class_counts)
        if isinstance(settings.alpha, tuple) and len(settings.alpha) != classes:
            raise InputError(f"loss.alpha must have {classes} values, one per class", received=settings.alpha)
        alpha = [1.0] * classes if settings.alpha == "recall" else settings.alpha
        return FocalLoss(gamma=settings.gamma, alpha=1.0 if alpha is None else alpha)
    weights = balanced_class_weights(class_counts) if settings.class_weights == "balanced" else None
    return CrossEntropy(class_weights=weights, label_smoothing=settings.label_smoothing)


class Trainee:
    """A model and the twin that is trained in its place.

    Args:
        model: The float32 model; `train` brings it up to date.
        recipe: Resolved.
        steps_per_epoch: Optimiser steps in an epoch.
        class_counts: Examples per class in the training split.
        fused: Use the faster CPU layers; by default wherever they apply.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        *,
        steps_per_epoch: int,
        class_counts: Sequence[int],
        fused: bool | None = None,
    ) -> None:
        fused = can_fuse() if fused is None else fused
        self.model = model
        self.twin = make_twin(model, dtype=recipe.dtype, fused=fused)
        self.optimizer = make_optimizer(recipe, steps_per_epoch=steps_per_epoch, fused=fused)
        self.loss = make_loss(recipe.loss, class_counts=class_counts)
        self.optimizer.build(self.twin.trainable_variables)
        # With soft targets a hit is where the largest logit stands at the largest target.
        soft = recipe.soft_targets
        kind = keras.metrics.CategoricalAccuracy if soft else keras.metrics.SparseCategoricalAccuracy
        accuracy = kind(name="accuracy")
        # jit_compile="auto" never compiles on a CPU, where XLA is the slower path, and does on an accelerator.
        self.twin.compile(self.optimizer, {HEAD: self.loss}, metrics={HEAD: accuracy})

    @property
    def variables(self) -> list[keras.Variable]:
        """Everything that training changes, in a fixed order (a checkpoint holds these)."""
        return [*self.twin.variables, *self.optimizer.variables]

    def state(self) -> dict[str, Any]:
        """What `variables` leaves out: the focal loss's alpha."""
        return {"alpha": self.loss.state().tolist()} if isinstance(self.loss, FocalLoss) else {}

    def restore(self, state: dict[str, Any]) -> None:
        if isinstance(self.loss, FocalLoss):
            self.loss.restore(state["alpha"])

    def train(self, batches: Iterable[Any], *, callbacks: Sequence[keras.callbacks.Callback]) -> dict[str, float]:
        """One pass over `batches`, after which `model` has the weights to validate and save.

        Returns:
            `loss` and `accuracy`: running means over the epoch, on augmented images and changing weights.
        """
        raw = _RawWeights()
        history = self.twin.fit(batches, verbose=0, shuffle=False, callbacks=[*callbacks, raw]).history
        # Where the recipe averages weights, Keras has just written the average into the twin: take it, then
        # put back the weights that training goes on with.
        self.model.set_weights(self.twin.get_weights())
        for variable, value in zip(self.twin.trainable_variables, raw.values, strict=True):
            variable.assign(value)
        return {"loss": float(history["loss"][-1]), "accuracy": float(history["accuracy"][-1])}


class _RawWeights(keras.callbacks.Callback):
    """Keeps the trainable weights as they are at the end of an epoch, before `fit` averages them."""

    values: list[np.ndarray]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.values = [np.array(ops.convert_to_numpy(v.value)) for v in self.model.trainable_variables]
