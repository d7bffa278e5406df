"""The benchmark measures what it says; how fast anything is, is no test's business."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ferkeras import benchmark
from ferkeras.data.pipeline import StillPipeline
from ferkeras.recipe import Recipe

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def test_ratios_are_to_the_first_within_a_round() -> None:
    """The machine is twice as fast in the second round: no ratio changes by that."""
    slow, fast = iter([5.0, 10.0, 5.0]), iter([20.0, 40.0, 20.0])
    speeds = benchmark._compare({"slow": lambda: next(slow), "fast": lambda: next(fast)}, rounds=3)
    assert [(s.name, s.images_per_second, s.ratio) for s in speeds] == [("slow", 5.0, 1.0), ("fast", 20.0, 4.0)]


def test_the_beginning_and_end_of_an_epoch_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([10.0, 12.0, 14.0, 30.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    clock = benchmark._StepClock()
    clock.on_train_begin()
    for step in range(4):
        clock.on_train_batch_end(step, {"loss": 1.0})
    assert clock.seconds_per_step() == 2.0


def test_training_is_measured_for_plain_keras_first(tiny_recipe: Recipe) -> None:
    speeds = benchmark.training_speed(tiny_recipe, classes=3, steps=2, rounds=1)
    assert speeds[0].name == "plain Keras, float32"
    assert speeds[0].ratio == 1.0
    assert all(speed.images_per_second > 0 for speed in speeds)


def test_the_pipeline_and_inference_are_measured(
    tiny_recipe: Recipe, tiny_dataset: "tfds.core.DatasetBuilder", tmp_path: Path
) -> None:
    assert benchmark.pipeline_speed(StillPipeline(tiny_dataset, tiny_recipe), batch_size=16, rounds=1) > 0
    runners = {"a": lambda images: {"emotion": np.zeros((len(images), 3))}}
    assert benchmark.inference_speed(runners, np.zeros((4, 32, 32, 1)), rounds=2)[0].ratio == 1.0


def test_the_machine_is_named() -> None:
    assert "TensorFlow" in benchmark.machine()
