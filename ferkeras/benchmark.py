"""Speed on this machine, as ratios within one run: training, input pipeline, inference.

Every candidate of a group is timed in alternation (a, b, c, a, b, c, ...), so that a machine that slows down
slows all of them, and the median of its rounds counts.
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
        ratio: To the first line of the group.
    """

    name: str
    images_per_second: float
    ratio: float


def training_speed(recipe: Recipe, *, classes: int, steps: int = 8, rounds: int = 5) -> list[Speed]:
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

    def candidate(dtype: Any, fused: bool) -> Callable[[], int]:
        model = create_model(recipe.model.name, recipe.model.options, input_shape=shape, classes=classes)
        changed = replace(recipe, dtype=dtype)
        trainee = Trainee(model, changed, steps_per_epoch=steps, class_counts=[1] * classes, fused=fused)
        trainee.twin.fit(batches.take(2), verbose=0, shuffle=False)

        def run() -> int:
            trainee.twin.fit(batches, verbose=0, shuffle=False)
            return steps * recipe.batch_size

        return run

    return _compare({name: candidate(*settings) for name, settings in variants.items()}, rounds=rounds)


def pipeline_speed(data: StillPipeline, *, batch_size: int, rounds: int = 3) -> float:
    """Images per second that the training pipeline delivers by itself: cached, shuffled, batched, augmented."""

    def run() -> int:
        images = 0
        for batch, _ in data.training(0):
            images += int(batch.shape[0])
        return images

    run()  # fills the cache
    return _compare({f"batches of {batch_size}": run}, rounds=rounds)[0].images_per_second


def inference_speed(runners: Mapping[str, Runner], images: np.ndarray, *, rounds: int = 5) -> list[Speed]:
    """Each runner on `images` (B, H, W, C) as one batch; the first is the reference."""

    def candidate(run: Runner) -> Callable[[], int]:
        run(images)

        def timed() -> int:
            run(images)
            return len(images)

        return timed

    return _compare({name: candidate(run) for name, run in runners.items()}, rounds=rounds)


def _compare(candidates: Mapping[str, Callable[[], int]], *, rounds: int) -> list[Speed]:
    """Times functions that return how many images they handled."""
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            count = run()
            rates[name].append(count / (time.perf_counter() - start))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    first = next(iter(medians.values()))
    return [Speed(name, rate, rate / first) for name, rate in medians.items()]


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
