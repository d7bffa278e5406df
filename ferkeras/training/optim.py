"""Optimisers and learning-rate schedules of a recipe."""

import math
from typing import Any

import keras
from keras import ops

from ferkeras.errors import InputError
from ferkeras.recipe import Optimizer, Recipe


@keras.saving.register_keras_serializable(package="ferkeras")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from zero, then one of four shapes. Steps are optimiser updates.

    The cosine is that of Loshchilov & Hutter, "SGDR", ICLR 2017, equation 5: once over the whole run, or with restarts
    at equal distances (their T_mult is 1), each of which begins with the rise again.

    Args:
        peak: Rate after the warm-up.
        warmup: Steps of the rise, with restarts fewer than `every`.
        total: Steps of the whole run (`cosine` reaches `floor` there).
        shape: `constant`, `cosine`, `cosine_restarts` or `step`.
        factor: `step`: multiplies the rate...
        every: ...once in this many steps. `cosine_restarts`: steps from one restart to the next.
        floor: Least rate of the cosine.
    """

    def __init__(
        self,
        *,
        peak: float,
        warmup: int,
        total: int,
        shape: str = "constant",
        factor: float = 1.0,
        every: int = 1,
        floor: float = 0.0,
    ) -> None:
        super().__init__()
        self.peak, self.warmup, self.total, self.shape = peak, warmup, total, shape
        self.factor, self.every, self.floor = factor, every, floor

    def __call__(self, step: Any) -> Any:
        step = ops.cast(step, "float32")
        length = self.total
        if self.shape == "cosine_restarts":
            step, length = ops.mod(step, float(self.every)), self.every
        if self.shape in ("cosine", "cosine_restarts"):
            progress = ops.clip((step - self.warmup) / max(length - self.warmup, 1), 0.0, 1.0)
            rate = self.floor + (self.peak - self.floor) * 0.5 * (1.0 + ops.cos(math.pi * progress))
        elif self.shape == "step":
            rate = self.peak * ops.power(self.factor, ops.floor(step / self.every))
        else:
            rate = self.peak * ops.ones_like(step)
        # The first update already moves: step 0 counts as one of `warmup`.
        return rate * ops.minimum((step + 1.0) / self.warmup, 1.0) if self.warmup else rate

    def get_config(self) -> dict[str, Any]:
        names = ("peak", "warmup", "total", "shape", "factor", "every", "floor")
        return {name: getattr(self, name) for name in names}


def make_optimizer(recipe: Recipe, *, steps_per_epoch: int, fused: bool) -> keras.optimizers.Optimizer:
    """The recipe's optimiser with its schedule, clipping and weight average.

    Weight decay leaves out biases and the scales and shifts of normalisation, as is customary. In mixed_float16 the
    loss is scaled (`ferkeras.training.precision`); a step that is left out for it is no step of the schedule.

    Args:
        steps_per_epoch: Optimiser steps in an epoch.
        fused: Use the faster CPU form where there is one.

    Raises:
        InputError: if the warm-up is not shorter than a cycle of the schedule cosine_restarts.
    """
    settings = recipe.optimizer
    rate = _learning_rate(recipe, steps_per_epoch)
    # `use_ema` needs a momentum even when it is off; Keras's default is spelled out.
    common: dict[str, Any] = {
        "global_clipnorm": settings.clip_norm,
        "use_ema": settings.ema is not None,
        "ema_momentum": settings.ema if settings.ema is not None else 0.99,
    }
    optimizer = _plain_optimizer(settings, rate, common, fused=fused)
    if settings.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return keras.optimizers.LossScaleOptimizer(optimizer) if recipe.dtype == "mixed_float16" else optimizer


def _plain_optimizer(
    settings: Optimizer, rate: Any, common: dict[str, Any], *, fused: bool
) -> keras.optimizers.Optimizer:
    decay = settings.weight_decay or None
    if settings.name in ("adamw", "adam"):
        if fused:
            from ferkeras.training.cpu import FusedAdam

            return FusedAdam(rate, weight_decay=decay, **common)
        return keras.optimizers.Adam(rate, weight_decay=decay, **common)
    nesterov = settings.name == "nesterov"
    return keras.optimizers.SGD(rate, momentum=settings.momentum, nesterov=nesterov, weight_decay=decay, **common)


def _learning_rate(recipe: Recipe, steps_per_epoch: int) -> float | WarmupSchedule:
    schedule = recipe.schedule
    warmup = recipe.steps(schedule.warmup, steps_per_epoch=steps_per_epoch)
    every = recipe.steps(schedule.every, steps_per_epoch=steps_per_epoch)
    if schedule.name == "cosine_restarts" and warmup >= every:
        raise InputError(
            f"schedule.warmup must be shorter than schedule.every, {schedule.every}",
            received=f"{schedule.warmup}, with {steps_per_epoch} steps in an epoch",
        )
    if schedule.name == "plateau" or (schedule.name == "constant" and not warmup):
        return recipe.optimizer.learning_rate
    return WarmupSchedule(
        peak=recipe.optimizer.learning_rate,
        warmup=warmup,
        total=recipe.epochs(steps_per_epoch=steps_per_epoch) * steps_per_epoch,
        shape=schedule.name,
        factor=schedule.factor,
        every=every,
        floor=schedule.floor,
    )


def current_rate(optimizer: keras.optimizers.Optimizer) -> float:
    """The learning rate of the next update."""
    return float(ops.convert_to_numpy(optimizer.learning_rate))
