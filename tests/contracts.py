"""What every layer and every model must keep, as checks that the tests of each call."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.training.twin import make_twin

_LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def arrays(value: Any) -> list[np.ndarray]:
    """All tensors of a nested value as float arrays."""
    return [np.asarray(ops.cast(tensor, "float32")) for tensor in keras.tree.flatten(value)]


def assert_close(left: Any, right: Any, *, atol: float = 1e-6) -> None:
    for a, b in zip(arrays(left), arrays(right), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)


def assert_independent(call: Callable[[np.ndarray], Any], inputs: np.ndarray, *, atol: float) -> None:
    """A sample's output does not depend on its neighbours: neither on how many there are nor on what they hold.

    `atol` is for another batch size, where matrix products are cut into other blocks and round otherwise.
    """
    whole = arrays(call(inputs))
    assert_close(call(inputs[1:2]), [a[1:2] for a in whole], atol=atol)
    others = inputs[::-1].copy() * 3
    others[1] = inputs[1]
    for changed, kept in zip(arrays(call(others)), whole, strict=True):
        np.testing.assert_array_equal(changed[1], kept[1])


def check_layer(
    make: Callable[..., keras.layers.Layer], inputs: np.ndarray, *, folder: Path, mask: np.ndarray | None = None
) -> None:
    """Config and file round trip, shapes, dtypes, gradients, masking and batch invariance of a layer of one input.

    Args:
        make: Makes a layer from `name` and `dtype`.
        inputs: (B, ...) with B of at least 3.
        folder: Where to write.
        mask: (B, T), at least one step False; needed where the layer supports masking.
    """
    layer = make(name="checked")
    outputs = layer(inputs)
    eager = [tuple(t.shape) for t in keras.tree.flatten(outputs)]
    shapes = keras.tree.map_shape_structure(tuple, layer.compute_output_shape(inputs.shape))
    assert keras.tree.flatten(shapes) == keras.tree.flatten(eager)
    symbolic = keras.tree.flatten(layer(keras.KerasTensor((None, *inputs.shape[1:]))))
    assert [t.shape for t in symbolic] == [(None, *shape[1:]) for shape in eager]

    config = layer.get_config()
    json.dumps(keras.saving.serialize_keras_object(layer))  # a file holds it as text
    again = type(layer).from_config(config)
    assert again.get_config() == config
    again.build(inputs.shape)
    again.set_weights(layer.get_weights())
    assert_close(again(inputs), outputs)

    image = keras.Input(inputs.shape[1:])
    model = keras.Model(image, layer(image))
    path = folder / "layer.keras"
    model.save(path)
    assert_close(keras.models.load_model(path, safe_mode=True)(inputs), outputs)

    assert_independent(layer, inputs, atol=1e-6)
    if layer.supports_masking:
        assert mask is not None, "the layer supports masking: give check_layer a mask"
        padding = np.where(mask[..., None], inputs, 1e3).astype(inputs.dtype)
        assert_close(layer(padding, mask=mask), layer(inputs, mask=mask))

    half = make(name="half", dtype="mixed_bfloat16")
    half.build(inputs.shape)
    half.set_weights(layer.get_weights())
    assert all(w.dtype == "float32" for w in half.weights)
    half_outputs = half(inputs)
    for tensor, declared in zip(keras.tree.flatten(half_outputs), keras.tree.flatten(half(image)), strict=True):
        assert keras.backend.standardize_dtype(tensor.dtype) == declared.dtype == "bfloat16"
    assert_close(half_outputs, outputs, atol=0.05)

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


def assert_named(model: keras.Model) -> None:
    """No layer has the name that Keras would give it by itself: `conv2d`, `conv2d_7`."""
    for layer in model.layers:
        snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(layer).__name__).lower()
        assert not re.fullmatch(rf"({snake}|{type(layer).__name__.lower()})(_\d+)?", layer.name), layer.name


def check_model(model: keras.Model, *, folder: Path, heads: Sequence[str] = ("emotion",)) -> None:
    """Names, endpoints, batch invariance, file round trip, dtypes and training of a still model."""
    shape = model.input.shape[1:]
    images = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype("float32")

    assert_named(model)
    assert model.input.name == "image"
    assert list(model.output) == list(heads)
    feature_map = model.get_layer("feature_map").output
    assert len(feature_map.shape) == 4
    assert len(model.get_layer("features").output.shape) == 2
    convolutions = {x.name for x in model.layers if isinstance(x, keras.layers.Conv2D)}
    assert convolutions <= {x.name for x in keras.Model(model.input, feature_map).layers}, (
        "a later map than feature_map"
    )

    before = [v.numpy() for v in model.variables]
    outputs = model(images, training=False)
    assert {keras.backend.standardize_dtype(tensor.dtype) for tensor in outputs.values()} == {"float32"}
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old, variable.path)
    size = max(1.0, float(np.abs(np.asarray(outputs["emotion"])).max()))  # rounding grows with the logits
    assert_independent(lambda x: model(x, training=False), images, atol=1e-5 * size)
    assert not np.allclose(np.asarray(outputs["emotion"]).sum(axis=-1), 1.0), "probabilities, not logits"
    assert_close(model(images.astype("uint8"), training=False), outputs)
    assert_scales_pixels(model)

    path = folder / "model.keras"
    model.save(path)
    assert_close(keras.models.load_model(path, safe_mode=True)(images, training=False), outputs, atol=1e-5)

    assert_trains_in_half(model, images, outputs)
    assert_trains(make_twin(model, dtype="float32", fused=False), images)


def check_sequence_model(model: keras.Model, *, folder: Path, heads: Sequence[str]) -> None:
    """What `check_clip_model` checks, and that frames that do not count may be left out and the parts serve alone."""
    clips = clips_for(model, [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 1, 1, 0], [1, 0, 0, 0, 0]])
    encoder, temporal = model.get_layer("encoder"), model.get_layer("temporal")
    for part in (encoder, temporal):
        assert_named(part)
    assert list(temporal.output) == list(heads)
    assert_scales_pixels(encoder)
    outputs = check_clip_model(model, clips, folder=folder, heads=heads)
    vectors = np.stack([encoder(clip, training=False) for clip in clips["frames"]])
    alone = temporal({"features": vectors, "frame_mask": clips["frame_mask"]}, training=False)
    assert_close(alone, outputs, atol=1e-5)
    assert_valid_frames_suffice(model, clips, outputs)


def clips_for(model: keras.Model, masks: Sequence[Sequence[int]]) -> dict[str, np.ndarray]:
    """Noise for `model`, with `masks` (B, T)."""
    mask = np.array(masks, bool)
    frames = np.random.default_rng(0).integers(0, 256, (*mask.shape, *model.input["frames"].shape[2:]))
    return {"frames": frames.astype("float32"), "frame_mask": mask}


def assert_valid_frames_suffice(model: keras.Model, clips: dict[str, np.ndarray], outputs: dict[str, Any]) -> None:
    """Each clip alone, and without the frames that do not count, has the same outputs."""
    frames = clips["frames"]
    for index, valid in enumerate(clips["frame_mask"]):
        short = {"frames": frames[index : index + 1, valid], "frame_mask": np.ones((1, valid.sum()), bool)}
        kept = {head: np.asarray(logits)[index] for head, logits in outputs.items()}
        kept = {head: logits[valid] if logits.ndim == 2 else logits for head, logits in kept.items()}
        assert_close(model(short, training=False), {head: logits[None] for head, logits in kept.items()}, atol=1e-5)


def check_clip_model(
    model: keras.Model, clips: dict[str, np.ndarray], *, folder: Path, heads: Sequence[str]
) -> dict[str, Any]:
    """What `check_model` holds of a still model, and that what masked frames hold changes nothing.

    Args:
        clips: Inputs, some frames masked, of B of at least 4.

    Returns:
        The outputs for `clips`.
    """
    frames, mask = clips["frames"], clips["frame_mask"]
    assert_named(model)
    assert {name: tensor.name for name, tensor in model.input.items()} == {x: x for x in ("frame_mask", "frames")}
    assert list(model.output) == list(heads)
    assert set(model.output_names) == set(heads)

    before = [v.numpy() for v in model.variables]
    outputs = model(clips, training=False)
    assert {keras.backend.standardize_dtype(tensor.dtype) for tensor in outputs.values()} == {"float32"}
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old, variable.path)
    assert not np.allclose(arrays(outputs)[0].sum(axis=-1), 1.0), "probabilities, not logits"
    assert_close(model({"frames": frames.astype("uint8"), "frame_mask": mask}, training=False), outputs)
    garbage = {"frames": np.where(mask[..., None, None, None], frames, np.float32(3e38)), "frame_mask": mask}
    for changed, same in zip(arrays(model(garbage, training=False)), arrays(outputs), strict=True):
        np.testing.assert_array_equal(changed, same)

    path = folder / "model.keras"
    model.save(path)
    assert_close(keras.models.load_model(path, safe_mode=True)(clips, training=False), outputs, atol=1e-5)

    assert_trains_in_half(model, clips, outputs, eagerly=True)
    twins = [make_twin(model, dtype="float32", fused=False) for _ in range(2)]
    for twin, inputs in zip(twins, (clips, garbage), strict=True):
        for layer in twin._flatten_layers():
            if isinstance(layer, keras.layers.Dropout):
                layer.rate = 0.0
        assert_trains(twin, inputs, eagerly=True)
    for variable, other in zip(*(twin.trainable_variables for twin in twins), strict=True):
        np.testing.assert_array_equal(variable.numpy(), other.numpy(), variable.path)
    return outputs


def assert_trains_in_half(model: keras.Model, inputs: Any, outputs: dict[str, Any], *, eagerly: bool = False) -> None:
    """In mixed precision the logits are float32 and near those in float32, `outputs`, and a step leaves all finite.

    `eagerly` saves the tracing, which for a loop over time takes longer than the step.
    """
    half = make_twin(model, dtype="mixed_bfloat16", fused=False)
    for head, logits in half(inputs, training=False).items():
        assert keras.backend.standardize_dtype(logits.dtype) == "float32"
        assert_close(logits, outputs[head], atol=0.1 * float(np.asarray(outputs[head]).std()) + 0.02)
    half.compile(keras.optimizers.SGD(1e-3), losses_for(model), jit_compile=False, run_eagerly=eagerly)
    assert np.isfinite(half.train_on_batch(inputs, targets_for(outputs))).all()
    assert all(v.dtype == "float32" and np.isfinite(v.numpy()).all() for v in half.trainable_variables)


def assert_scales_pixels(model: keras.Model) -> None:
    """Whatever takes the image brings pixels in [0, 255] to the size of one, so that nobody has to outside."""
    takers = [x for x in model.layers if any(t is model.input for t in inputs_of(x))]
    assert takers, "nothing takes the image"
    for layer in takers:
        for pixel in (0.0, 255.0):
            scaled = layer(np.full((1, *model.input.shape[1:]), pixel, "float32"))
            assert np.abs(np.asarray(scaled)).max() < 4, f"{layer.name} does not scale"


def losses_for(model: keras.Model) -> dict[str, keras.losses.Loss]:
    """Squared error for a head of one number, cross-entropy for one of classes."""
    return {k: keras.losses.MeanSquaredError() if v.shape[-1] == 1 else _LOSS for k, v in model.output.items()}


def targets_for(outputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """Targets that `outputs` could have: all classes in turn, or numbers where there is one output."""
    targets = {}
    for head, logits in outputs.items():
        *shape, classes = logits.shape
        labels = np.arange(np.prod(shape)).reshape(shape)
        targets[head] = labels % classes if classes > 1 else (labels[..., None] % 3 - 1).astype("float32")
    return targets


def inputs_of(layer: keras.layers.Layer) -> list[keras.KerasTensor]:
    """All tensors that come into `layer`, also where it is used more than once and `layer.input` refuses."""
    return [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]


def assert_trains(model: keras.Model, inputs: Any, *, eagerly: bool = False) -> None:
    """A step moves every trainable weight but one kind, and the moving statistics.

    The bias of a layer whose output goes to batch normalisation is subtracted there again with the mean: its true
    gradient is zero and what is left of it is rounding, thousands of times smaller than that of its kernel.
    """
    layers = list(model._flatten_layers())  # those of models inside it too
    norms = [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]
    normalised = {id(tensor) for norm in norms for tensor in inputs_of(norm)}
    convolutions = [x for x in layers if isinstance(x, keras.layers.Conv2D) and x.use_bias]
    without_gradient = {x.bias.path for x in convolutions if id(x.output) in normalised}
    old = {v.path: v.numpy() for v in model.weights}
    rate = 1e-2  # of plain gradient descent, whose steps show the size of the gradient
    model.compile(keras.optimizers.SGD(rate), losses_for(model), jit_compile=False, run_eagerly=eagerly)
    model.train_on_batch(inputs, targets_for(model(inputs, training=False)))
    moved = {v.path: float(np.abs(v.numpy() - old[v.path]).max()) / rate for v in model.weights}
    for path, distance in moved.items():
        if path in without_gradient:
            kernel = path.removesuffix("bias") + "kernel"
            assert distance < 1e-3 * moved[kernel], f"{path} moved by {distance}"
        else:
            assert distance > 0, f"{path} has no gradient"
