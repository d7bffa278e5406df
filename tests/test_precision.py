"""float16 with its loss scale, and XLA: they learn what float32 learns, or say in one line why not."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ferkeras.errors import InputError
from ferkeras.recipe import Optimizer, Recipe, Schedule, override, resolve
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint
from ferkeras.training.optim import current_rate
from ferkeras.training.precision import StopOnLostScale
from ferkeras.training.stopping import StopOnNaN
from ferkeras.training.trainee import Trainee
from tests.replica_losses import SIDE, network
from tests.replica_precision import BASE

IMAGES = np.random.default_rng(0).integers(0, 256, (20, SIDE, SIDE, 1), dtype=np.uint8)
CLASSES = np.arange(20) % 3
BATCHES = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).batch(6)
FLOAT16 = dataclasses.replace(BASE, dtype="mixed_float16", schedule=Schedule("cosine", warmup="1st"), duration="3ep")

#: What is cut into micro-batches takes another path.
WAYS = [
    pytest.param({}, id="whole"),
    pytest.param({"batch_size": 3, "accumulate": 2}, id="accumulated", marks=pytest.mark.slow),
]


def begin(recipe: Recipe, model: keras.Model | None = None, **options: Any) -> Trainee:
    model = model or network({"emotion": 3}, normalised=True)
    return Trainee(model, recipe, steps_per_epoch=4, class_counts=[7, 7, 6], fused=False, **options)


def values(trainee: Trainee) -> list[np.ndarray]:
    return [v.numpy() for v in trainee.variables]


# float16


@pytest.mark.parametrize("changes", WAYS)
def test_float16_learns_what_float32_learns(changes: dict[str, Any]) -> None:
    """With clipping, weight decay, average of the weights and a schedule."""
    model = network({"emotion": 3}, normalised=False)
    half = begin(dataclasses.replace(FLOAT16, **changes), model)
    assert {half.twin.get_layer(n).compute_dtype for n in ("conv", "relu")} == {"float16"}
    assert half.twin.output["emotion"].dtype == "float32"
    full = begin(dataclasses.replace(FLOAT16, dtype="float32"), network({"emotion": 3}, normalised=False))
    for _ in range(3):
        ours, theirs = (trainee.train(BATCHES, callbacks=[StopOnNaN(0)]) for trainee in (half, full))
        assert ours["loss"] == pytest.approx(theirs["loss"], abs=2e-3)
    assert model.dtype_policy.name == "float32"
    for a, b in zip(half.model.get_weights(), full.model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=5e-3)
    assert int(half.optimizer.iterations.numpy()) == 12
    assert current_rate(half.optimizer) == pytest.approx(current_rate(full.optimizer))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_whose_gradients_overflow_is_left_out_and_is_no_nan(accumulate: int) -> None:
    trainee = begin(dataclasses.replace(FLOAT16, batch_size=6 // accumulate, accumulate=accumulate))
    trainee.optimizer.dynamic_scale.assign(2.0**40)
    before = [v.numpy() for v in trainee.twin.trainable_variables]
    trainee.train(BATCHES, callbacks=[StopOnNaN(0)])
    assert float(trainee.optimizer.dynamic_scale.numpy()) == 2.0**36
    assert int(trainee.optimizer.iterations.numpy()) == 0
    for variable, old in zip(trainee.twin.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)
    trainee.optimizer.dynamic_scale.assign(2.0**10)
    trainee.train(BATCHES, callbacks=[StopOnNaN(0)])
    assert int(trainee.optimizer.iterations.numpy()) == 4


def test_the_loss_scale_is_in_the_checkpoint(tmp_path: Path) -> None:
    stopped, whole = begin(FLOAT16), begin(FLOAT16)
    for trainee in (stopped, whole):
        trainee.optimizer.dynamic_scale.assign(2.0**11)
        trainee.train(BATCHES, callbacks=[])
    save_checkpoint(tmp_path / "last.npz", variables=stopped.variables, state=stopped.state())
    resumed = begin(FLOAT16)
    resumed.restore(load_checkpoint(tmp_path / "last.npz", variables=resumed.variables))
    assert float(resumed.optimizer.dynamic_scale.numpy()) == 2.0**11
    assert int(resumed.optimizer.step_counter.numpy()) == 4
    assert resumed.train(BATCHES, callbacks=[]) == whole.train(BATCHES, callbacks=[])
    for ours, theirs in zip(values(resumed), values(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)


class NoGradient(keras.layers.Layer):
    """The identity, with a gradient that is not finite."""

    def call(self, inputs: Any) -> Any:
        return tf.custom_gradient(lambda x: (tf.identity(x), lambda dy: dy * float("inf")))(inputs)


def odd_network(layer: keras.layers.Layer) -> keras.Model:
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Conv2D(1, 1, name="conv")(keras.layers.Rescaling(1 / 255, name="scale")(image))
    x = keras.layers.Flatten(name="flat")(layer(x))
    return keras.Model(image, {"emotion": keras.layers.Dense(3, name="emotion")(x)})


def test_gradients_that_no_scale_makes_finite_end_the_run() -> None:
    trainee = begin(FLOAT16, odd_network(NoGradient(name="odd")))
    trainee.optimizer.dynamic_scale.assign(4.0)
    with pytest.raises(InputError, match=r"not finite in float16 at step 3\. Received: a loss scale of 0\.5\."):
        trainee.train(BATCHES, callbacks=[StopOnNaN(0)])
    trainee.optimizer.dynamic_scale.assign(1.0)
    StopOnLostScale(trainee.optimizer).on_train_batch_end(0, {"loss": 1.0})


def test_the_plateau_sets_the_rate_in_float16() -> None:
    trainee = begin(dataclasses.replace(FLOAT16, schedule=Schedule("plateau")))
    trainee.optimizer.learning_rate = 0.25
    assert current_rate(trainee.optimizer) == 0.25


# XLA


@pytest.mark.parametrize("changes", WAYS)
def test_a_compiled_network_learns_the_same(changes: dict[str, Any]) -> None:
    logs = []
    for jit in ("on", "off"):
        recipe = dataclasses.replace(BASE, optimizer=Optimizer("sgd", 0.05), jit=jit, **changes)
        trainee = begin(recipe, network({"emotion": 3}, normalised=False))
        assert trainee.twin.jit_compile == (jit == "on")
        logs.append([trainee.train(BATCHES, callbacks=[]) for _ in range(2)])
    for ours, theirs in zip(*logs, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)


class PythonIdentity(keras.layers.Layer):
    """Leaves the graph, where XLA cannot follow."""

    def call(self, inputs: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(lambda x: x, [inputs], inputs.dtype), inputs.shape)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_an_operation_without_an_xla_kernel_is_named_in_one_line(accumulate: int) -> None:
    recipe = dataclasses.replace(BASE, jit="on", batch_size=3, accumulate=accumulate)
    with pytest.raises(InputError) as caught:
        begin(recipe, odd_network(PythonIdentity(name="odd"))).train(BATCHES, callbacks=[])
    assert str(caught.value) == "XLA cannot compile these operations of the network. Received: PyFunc. Set jit=off."


def test_a_layer_that_keras_would_not_compile_is_named() -> None:
    layer = keras.layers.Identity(name="odd")
    model = odd_network(layer)

    class Unfit(keras.layers.Identity):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.supports_jit = False

    with pytest.raises(InputError, match=r"XLA cannot compile this network here\. Received: Unfit\. Set jit=off\."):
        begin(dataclasses.replace(BASE, jit="on"), odd_network(Unfit(name="odd")))
    begin(dataclasses.replace(BASE, jit="on"), model)
    begin(dataclasses.replace(BASE, jit="auto"), odd_network(Unfit(name="odd")))


def test_the_keys_of_the_recipe() -> None:
    changed = resolve(override(BASE, ["jit=on", "dtype=mixed_float16", "accumulate=4"]))
    assert (changed.jit, changed.dtype, changed.accumulate) == ("on", "mixed_float16", 4)
    assert Recipe.from_json(changed.to_json()) == changed
    with pytest.raises(InputError, match="jit must be"):
        override(BASE, ["jit=yes"])


# Several devices


def launched(kind: str, *, workers: int = 1) -> dict[str, Any]:
    """What `tests.replica_precision` prints."""
    words = [sys.executable, "-m", "tests.replica_precision", kind]
    if workers > 1:
        code = "import sys; from ferkeras.training.cluster import launch; "
        words = [sys.executable, "-c", f"{code}sys.exit(launch({words!r}, workers={workers}))"]
    root = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, capture_output=True, text=True, cwd=root, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    return launched("one_device")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "workers"), [("mirrored", 1), ("multi_worker", 2)])
def test_replicas_reach_what_one_device_reaches(kind: str, workers: int, alone: dict[str, Any]) -> None:
    """20 steps of each of `tests.replica_precision.CASES`; in float16 rounding alone moves the losses."""
    together = launched(kind, workers=workers)
    # Replicas overflow later than one device, whose sums of a gradient are over more rows.
    overflowing = [results.pop("float16 overflowing") for results in (together, dict(alone))]
    assert all(0 < 20 - found["steps"] < 10 for found in overflowing)
    assert all(np.isfinite(found["logits"]).all() for found in overflowing)
    for name, found in together.items():
        half = "float16" in name
        for ours, theirs in zip(found["logs"], alone[name]["logs"], strict=True):
            assert ours["loss"] == pytest.approx(theirs["loss"], abs=2e-3 if half else 1e-4), name
        np.testing.assert_allclose(found["logits"], alone[name]["logits"], atol=0.1 if half else 1e-3, err_msg=name)
        assert found["steps"] == alone[name]["steps"] == 20, name
    np.testing.assert_allclose(alone["accumulated"]["logits"], alone["plain"]["logits"], atol=1e-3)
