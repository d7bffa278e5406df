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


def test_ratios_are_to_the_first_and_rates_are_images_over_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0

    def work(seconds: float) -> int:
        nonlocal clock
        clock += seconds
        return 10

    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    speeds = benchmark._compare({"slow": lambda: work(2.0), "fast": lambda: work(0.5)}, rounds=3)
    assert [(s.name, s.images_per_second, s.ratio) for s in speeds] == [("slow", 5.0, 1.0), ("fast", 20.0, 4.0)]


def test_training_is_measured_for_plain_keras_first(tiny_recipe: Recipe) -> None:
    speeds = benchmark.training_speed(tiny_recipe, classes=3, steps=1, rounds=1)
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
