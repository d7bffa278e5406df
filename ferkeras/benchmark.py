"""Speed on this machine, as ratios within one run: training, input pipeline, inference.

The candidates of a group are timed in alternation (a, b, c, a, b, c, ...), and a ratio is the median of the ratios
within each round, so that a machine that slows down for a while slows both sides of it.
"""

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.data.pipeline import StillPipeline
from ferkeras.inference import Runner
from ferkeras.models import create_model
from ferkeras.recipe import Recipe
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
    variants = {
        "plain Keras, float32": ("float32", False),
        "plain Keras, bfloat16": ("mixed_bfloat16", False),
    }
    if can_fuse():
        variants |= {
            "fused layers, float32": ("float32", True),
            "fused layers, bfloat16": ("mixed_bfloat16", True),
        }
    height, width = recipe.data.image_size
    shape = (height, width, recipe.data.channels)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (recipe.batch_size, *shape), dtype=np.uint8)
    labels = rng.integers(0, classes, recipe.batch_size)
    batches = tf.data.Dataset.from_tensors((images, labels)).repeat(steps)

    def candidate(dtype: Any, fused: bool) -> Callable[[], float]:
        model = create_model(recipe.model.name, recipe.model.options, input_shape=shape, classes=classes)
        changed = replace(recipe, dtype=dtype)
        trainee = Trainee(model, changed, steps_per_epoch=steps, class_counts=[1] * classes, fused=fused)
        clock = _StepClock()

        def run() -> float:
            trainee.twin.fit(batches, verbose=0, shuffle=False, callbacks=[clock])
            return recipe.batch_size / clock.seconds_per_step()

        run()  # builds the graph
        return run

    return _compare({name: candidate(*settings) for name, settings in variants.items()}, rounds=rounds)


class _StepClock(keras.callbacks.Callback):
    """Times the steps of an epoch, but neither its beginning nor its end, which a short epoch would overrate."""

    def on_train_begin(self, logs: Any = None) -> None:
        self._ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        float(logs["loss"])  # waits for the step where the backend runs ahead
        self._ends.append(time.perf_counter())

    def seconds_per_step(self) -> float:
        return statistics.median(np.diff(self._ends).tolist())


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

    def candidate(run: Runner) -> Callable[[], float]:
        run(images)

        def timed() -> float:
            start = time.perf_counter()
            run(images)
            return len(images) / (time.perf_counter() - start)

        return timed

    return _compare({name: candidate(run) for name, run in runners.items()}, rounds=rounds)


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
