"""Speed on this machine, as ratios within one run: training, input pipeline, inference.

The candidates of a group are timed in alternation (a, b, c, a, b, c, ...), and a ratio is the median of the ratios
within each round, so that a machine that slows down for a while slows both sides of it.
"""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from ferkeras.data.pipeline import StillPipeline
from ferkeras.inference import Runner, keras_runner
from ferkeras.models import create_model
from ferkeras.recipe import Data, Model, Optimizer, Recipe
from ferkeras.training.trainee import Trainee
from ferkeras.training.twin import can_fuse


@dataclass(frozen=True)
class Speed:
    """One line of a table.

    Attributes:
        name: What was timed.
        images_per_second: Median over the rounds.
        ratio: To the first line of the group, median of the ratios within a round.
    """

    name: str
    images_per_second: float
    ratio: float


def training_speed(recipe: Recipe, *, classes: int, steps: int = 10, rounds: int = 5) -> list[Speed]:
    """Training steps of the recipe's network, batch and optimiser on random pictures held in memory.

    The first line is plain Keras in float32: the layers and the optimiser as Keras ships them. The others add
    bfloat16 and, on a CPU, the fused layers of `ferkeras.training.cpu`.
    """
    variants: dict[str, tuple[Any, bool]] = {
        "plain Keras, float32": ("float32", False),
        "plain Keras, bfloat16": ("mixed_bfloat16", False),
    }
    if can_fuse():
        variants |= {
            "fused layers, float32": ("float32", True),
            "fused layers, bfloat16": ("mixed_bfloat16", True),
        }
    return _compare(
        {
            name: _trainer(replace(recipe, dtype=dtype), classes=classes, fused=fused, steps=steps)
            for name, (dtype, fused) in variants.items()
        },
        rounds=rounds,
    )


def _trainer(recipe: Recipe, *, classes: int, fused: bool, steps: int, limit: float = math.inf) -> Callable[[], float]:
    """A function that trains `steps` steps, or fewer after `limit` seconds, and returns the images per second.

    The first step of a call, in which the graph may be built, is not timed.
    """
    height, width = recipe.data.image_size
    shape = (height, width, recipe.data.channels)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (recipe.batch_size, *shape), dtype=np.uint8)
    labels = rng.integers(0, classes, recipe.batch_size)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(steps)
    model = create_model(recipe.model.name, recipe.model.options, input_shape=shape, classes=classes, pretrained=False)
    trainee = Trainee(model, recipe, steps_per_epoch=steps, class_counts=[1] * classes, fused=fused)
    clock = _StepClock(limit=limit)

    def run() -> float:
        trainee.twin.fit(batches, verbose=0, shuffle=False, callbacks=[clock])
        return recipe.batch_size / clock.seconds_per_step()

    return run


class _StepClock(keras.callbacks.Callback):
    """Times the steps of an epoch, but neither its beginning nor its end, which a short epoch would overrate.

    Args:
        limit: Seconds after which the epoch ends early, though not before the fourth step.
    """

    def __init__(self, *, limit: float = math.inf) -> None:
        super().__init__()
        self._limit = limit

    def on_train_begin(self, logs: Any = None) -> None:
        self._ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        float(logs["loss"])  # waits for the step where the backend runs ahead
        self._ends.append(time.perf_counter())
        if len(self._ends) > 3 and self._ends[-1] - self._ends[0] > self._limit:
            self.model.stop_training = True

    def seconds_per_step(self) -> float:
        return statistics.median(np.diff(self._ends).tolist())


def model_speed(
    name: str,
    part: Literal["training", "inference"],
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    batch_size: int,
    most: int = 20,
    limit: float = 30.0,
) -> float:
    """Images per second of one model on random pictures held in memory.

    Args:
        name: In `ferkeras.models.MODELS`.
        part: `training` as recipes do it: AdamW, mixed_bfloat16, on a CPU the layers of `ferkeras.training.cpu`.
            `inference` as `predict` does it: Keras in float32.
        input_shape: H, W, C, with one channel or three.
        most: Most steps, or batches, that are timed; their median counts. The first, which builds the graph, does not.
        limit: Seconds after which no other one is begun, though at least three are timed.

    Raises:
        InputError: for a model that cannot be built so.
    """
    if part == "training":
        height, width, channels = input_shape
        data = Data("random", image_size=(height, width), channels=1 if channels == 1 else 3)
        settings = Optimizer("adamw", weight_decay=1e-3)
        recipe = Recipe(name, Model(name), data, optimizer=settings, batch_size=batch_size, dtype="mixed_bfloat16")
        return _trainer(recipe, classes=classes, fused=can_fuse(), steps=most + 1, limit=limit)()
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *input_shape), dtype=np.uint8)
    run = _inferrer(keras_runner(create_model(name, input_shape=input_shape, classes=classes)), images)
    start, rates = time.perf_counter(), [run() for _ in range(3)]
    while len(rates) < most and time.perf_counter() - start < limit:
        rates.append(run())
    return statistics.median(rates)


def pipeline_speed(data: StillPipeline, *, batch_size: int, rounds: int = 3) -> float:
    """Images per second that the training pipeline delivers by itself: cached, shuffled, batched, augmented."""

    def run() -> float:
        start = time.perf_counter()
        images = sum(int(batch.shape[0]) for batch, _ in data.training(0))
        return images / (time.perf_counter() - start)

    run()  # fills the cache
    return _compare({f"batches of {batch_size}": run}, rounds=rounds)[0].images_per_second


def inference_speed(runners: Mapping[str, Runner], images: np.ndarray, *, rounds: int = 5) -> list[Speed]:
    """Each runner on `images` (B, H, W, C) as one batch; the first is the reference."""

    return _compare({name: _inferrer(run, images) for name, run in runners.items()}, rounds=rounds)


def _inferrer(run: Runner, images: np.ndarray) -> Callable[[], float]:
    """A function that runs `images` as one batch and returns the images per second."""
    run(images)  # builds the graph

    def timed() -> float:
        start = time.perf_counter()
        run(images)
        return len(images) / (time.perf_counter() - start)

    return timed


def _compare(candidates: Mapping[str, Callable[[], float]], *, rounds: int) -> list[Speed]:
    """Calls functions that measure their images per second, in alternation."""
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            rates[name].append(run())
    first = next(iter(rates.values()))
    return [
        Speed(
            name,
            statistics.median(values),
            statistics.median(rate / reference for rate, reference in zip(values, first, strict=True)),
        )
        for name, values in rates.items()
    ]


def machine() -> str:
    """Processor, cores and versions in one line."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or "unknown processor"
    accelerators = [device.name for device in tf.config.list_physical_devices() if device.device_type != "CPU"]
    parts = [f"{name}, {os.cpu_count()} cores", *accelerators]
    return ", ".join([*parts, f"TensorFlow {tf.__version__}", f"Keras {keras.__version__}"])
