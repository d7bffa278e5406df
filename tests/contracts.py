"""What every layer and every model must keep, as checks that the tests of each call."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.training.twin import make_twin


def arrays(value: Any) -> list[np.ndarray]:
    """All tensors of a nested value as float arrays."""
    return [np.asarray(ops.cast(tensor, "float32")) for tensor in keras.tree.flatten(value)]


def assert_close(left: Any, right: Any, *, atol: float = 1e-6) -> None:
    for a, b in zip(arrays(left), arrays(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)


def check_layer(make: Callable[..., keras.layers.Layer], inputs: np.ndarray, *, folder: Path) -> None:
    """Config and file round trip, shapes, dtypes, gradients and batch invariance of a layer of one input."""
    layer = make(name="checked")
    outputs = layer(inputs)
    shapes = keras.tree.map_shape_structure(tuple, layer.compute_output_shape(inputs.shape))
    assert keras.tree.flatten(shapes) == keras.tree.flatten([tuple(t.shape) for t in keras.tree.flatten(outputs)])

    again = type(layer).from_config(layer.get_config())
    again.build(inputs.shape)
    again.set_weights(layer.get_weights())
    assert_close(again(inputs), outputs)

    symbolic = keras.Input(inputs.shape[1:])
    model = keras.Model(symbolic, layer(symbolic))
    path = folder / "layer.keras"
    model.save(path)
    assert_close(keras.models.load_model(path, safe_mode=True)(inputs), outputs)

    # A sample's output does not depend on its neighbours; matrix products of another size may round otherwise.
    assert_close(layer(inputs[:1]), [a[:1] for a in arrays(outputs)], atol=1e-6)

    half = make(name="half", dtype="mixed_bfloat16")
    half.build(inputs.shape)
    half.set_weights(layer.get_weights())
    assert_close(half(inputs), outputs, atol=0.05)

    assert_gradients(model, inputs)


def assert_gradients(model: keras.Model, inputs: np.ndarray) -> None:
    """A training step on the sum of squares of all outputs moves every trainable weight."""

    def loss(_: Any, outputs: Any) -> Any:
        return ops.mean(ops.square(outputs))

    before = [v.numpy() for v in model.trainable_variables]
    # Adam's first step has the size of the rate for every weight that has any gradient.
    model.compile(keras.optimizers.Adam(1e-2), [loss] * len(keras.tree.flatten(model.outputs)), jit_compile=False)
    targets = [np.zeros((len(inputs), 1), "float32")] * len(model.outputs)
    model.train_on_batch(inputs, targets)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert (variable.numpy() != old).any(), f"{variable.path} has no gradient"


def check_model(model: keras.Model, *, folder: Path) -> None:
    """Names, endpoints, batch invariance, file round trip, dtypes and training of a still model."""
    shape = model.input.shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype("float32")

    for layer in model.layers:
        # What Keras would call it by itself: `conv2d`, `conv2d_7`.
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
        assert not re.fullmatch(rf"({snake}|{type(layer).__name__.lower()})(_\d+)?", layer.name), layer.name
    assert model.input.name == "image"
    assert list(model.output) == ["emotion"]
    assert len(model.get_layer("feature_map").output.shape) == 4
    assert len(model.get_layer("features").output.shape) == 2

    before = [v.numpy() for v in model.variables]
    outputs = model(images, training=False)
    assert keras.backend.standardize_dtype(outputs["emotion"].dtype) == "float32"
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old, variable.path)
    assert_close(model(images[2:3], training=False), [a[2:3] for a in arrays(outputs)], atol=1e-5)
    # Logits, not probabilities, and of the size that pixels in [0, 255] scaled inside the model give.
    assert not np.allclose(np.asarray(outputs["emotion"]).sum(axis=-1), 1.0)
    assert np.abs(np.asarray(outputs["emotion"])).max() < 50

    path = folder / "model.keras"
    model.save(path)
    assert_close(keras.models.load_model(path, safe_mode=True)(images, training=False), outputs, atol=1e-5)

    half = make_twin(model, dtype="mixed_bfloat16", fused=False)
    logits = half(images, training=False)["emotion"]
    assert keras.backend.standardize_dtype(logits.dtype) == "float32"
    spread = float(np.asarray(outputs["emotion"]).std())
    assert_close(logits, outputs["emotion"], atol=0.1 * spread + 0.02)

    twin = make_twin(model, dtype="float32", fused=False)
    old = {v.path: v.numpy() for v in twin.trainable_variables}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    twin.compile(keras.optimizers.Adam(1e-2), {"emotion": loss}, jit_compile=False)
    twin.train_on_batch(images, {"emotion": np.arange(5) % outputs["emotion"].shape[-1]})
    for variable in twin.trainable_variables:
        assert (variable.numpy() != old[variable.path]).any(), f"{variable.path} has no gradient"
