"""The benchmark measures what it says; how fast anything is, is no test's business."""

import math
import pickle
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
import tensorflow as tf

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


@pytest.mark.parametrize("part", ["training", "inference"])
def test_models_are_measured(part: Literal["training", "inference"]) -> None:
    speed = benchmark.model_speed("gimefive4", part, input_shape=(16, 16, 1), classes=3, batch_size=2, most=3)
    assert 0 < speed < 1e6


def test_a_slow_model_is_measured_for_fewer_steps() -> None:
    class Model:
        stop_training = False

    for limit, stopped in ((0.0, 4), (math.inf, None)):
        clock, model = benchmark._StepClock(limit=limit), Model()
        clock.set_model(model)
        clock.on_train_begin()
        seen = []
        for step in range(6):
            clock.on_train_batch_end(step, {"loss": 1.0})
            seen.append(model.stop_training)
        assert seen == [stopped is not None and step + 1 >= stopped for step in range(6)]


def test_lack_of_memory_is_told_between_processes() -> None:
    error = pickle.loads(pickle.dumps(tf.errors.ResourceExhaustedError(None, None, "no room")))
    assert type(error).__name__ == "ResourceExhaustedError"
    assert str(error) == "no room"


def test_the_pipeline_and_inference_are_measured(
    tiny_recipe: Recipe, tiny_dataset: "tfds.core.DatasetBuilder", tmp_path: Path
) -> None:
    assert benchmark.pipeline_speed(StillPipeline(tiny_dataset, tiny_recipe), batch_size=16, rounds=1) > 0
    runners = {"a": lambda images: {"emotion": np.zeros((len(images), 3))}}
    assert benchmark.inference_speed(runners, np.zeros((4, 32, 32, 1)), rounds=2)[0].ratio == 1.0


def test_the_machine_is_named() -> None:
    assert "TensorFlow" in benchmark.machine()
