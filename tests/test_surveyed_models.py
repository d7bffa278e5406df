"""The sequence models of the survey: contracts, masks and lengths, what each paper has, exports, and that they learn.

`irnn`, which has an encoder of single frames, keeps its contract in `test_sequence_models.py`.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ferkeras.errors import InputError
from ferkeras.export.litert import operators
from ferkeras.layers import FoldFrames, UnfoldMaps
from ferkeras.models import create_model
from ferkeras.models.flops import multiply_adds
from ferkeras.recipe import Data, Model, Optimizer, Recipe
from ferkeras.recipe_data import ClipWindows
from ferkeras.training.trainee import Trainee
from tests.contracts import (
    assert_close,
    assert_scales_pixels,
    assert_valid_frames_suffice,
    check_clip_model,
    clips_for,
)
from tests.golden.path_seeds import path_seeded

SHAPE = (16, 16, 1)
FRAMES = 5
OPTIONS: dict[str, dict[str, Any]] = {
    "microexp_stcnn": {"width": 0.25, "hidden": 8, "kernel_frames": 3},
    "irnn": {"width": 0.25, "hidden": 6},
    "two_stream_bilstm": {"width": 0.25, "hidden": 6, "flow_iterations": 2},
    "stc_nlstm": {"width": 0.25, "hidden": 6},
}
#: Without an encoder of single frames; the first one has a fixed number of frames.
WHOLE = ("microexp_stcnn", "two_stream_bilstm", "stc_nlstm")
FREE = ("two_stream_bilstm", "stc_nlstm")
#: Padding at the end alone, of none to all but one frame.
PADDED = [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 0]]


def small(name: str, *, frames: int | None = FRAMES, classes: int = 4, **options: Any) -> keras.Model:
    """A thin network with weights by which clips differ in their logits by more than rounding."""
    model = create_model(name, {**OPTIONS[name], **options}, input_shape=(frames, *SHAPE), classes=classes)
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    return model


def logits_of(model: keras.Model, clips: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(model(clips, training=False)["emotion"])


@pytest.mark.parametrize("name", WHOLE)
def test_contract(name: str, tmp_path: Path) -> None:
    model = small(name, frames=FRAMES if name not in FREE else None)
    clips = clips_for(model, PADDED)
    outputs = check_clip_model(model, clips, folder=tmp_path, heads=["emotion"])
    if name in FREE:
        assert_valid_frames_suffice(model, clips, outputs)
    logits = np.asarray(outputs["emotion"])
    assert_close(logits_of(model, {key: value[1:2] for key, value in clips.items()}), logits[1:2], atol=1e-5)
    others = {"frames": 255 - clips["frames"], "frame_mask": clips["frame_mask"][::-1].copy()}
    for key, value in others.items():
        value[1] = clips[key][1]
    np.testing.assert_array_equal(logits_of(model, others)[1], logits[1])


@pytest.mark.parametrize("name", WHOLE)
def test_every_valid_frame_and_their_order_matter(name: str) -> None:
    model = small(name)
    frames = clips_for(model, [[1] * FRAMES])["frames"][0]
    without = 1 - np.eye(FRAMES, dtype=int)
    clips = clips_for(model, [[1] * FRAMES] * (2 + FRAMES) + without.tolist())
    clips["frames"][:] = frames
    clips["frames"][1] = frames[::-1]
    for index in range(FRAMES):
        clips["frames"][2 + index, index] = 255 - frames[index]
    logits = logits_of(model, clips)
    assert (np.abs(logits[1:] - logits[0]).max(axis=1) > 1e-3).all()


def test_pixels_are_scaled_inside() -> None:
    assert_scales_pixels(small("two_stream_bilstm").get_layer("appearance"))
    for name in ("microexp_stcnn", "stc_nlstm"):
        model = small(name)
        scaled = keras.Model(model.input, model.get_layer("scale").output)
        clips = clips_for(model, [[1] * FRAMES])
        values = [
            np.asarray(scaled({**clips, "frames": np.full_like(clips["frames"], pixel)})) for pixel in (0.0, 255.0)
        ]
        np.testing.assert_allclose([value.mean() for value in values], [-1.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("name", FREE)
@pytest.mark.parametrize("length", [1, 64])
def test_any_length(name: str, length: int) -> None:
    model = small(name, frames=None)
    clips = clips_for(model, [[1] * length, [1] * (length // 2 + 1) + [0] * (length - length // 2 - 1)])
    outputs = model(clips, training=False)
    assert outputs["emotion"].shape == (2, 4)
    assert_valid_frames_suffice(model, clips, outputs)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_clip_of_one_frame_and_one_without(name: str) -> None:
    model = small(name, frames=1)
    clips = clips_for(model, [[1], [0], [0]])
    one, none, other = logits_of(model, clips)
    np.testing.assert_array_equal(none, other)
    assert np.isfinite(none).all()
    assert np.abs(one - none).max() > 1e-3


def test_unfolding_maps() -> None:
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5, 2)).astype("float32")
    mask = np.array([[True, True, False], [True, False, True]])
    layer = UnfoldMaps(name="unfold")
    unfolded = np.asarray(layer(maps.reshape(6, 4, 5, 2), mask))
    np.testing.assert_array_equal(unfolded, np.where(mask[..., None, None, None], maps, 0))
    assert layer.compute_output_shape((6, 4, 5, 2), (2, 3)) == unfolded.shape
    np.testing.assert_array_equal(layer(FoldFrames()(unfolded, mask), mask), unfolded)
    image, steps = keras.Input((4, 5, 2)), keras.Input((None,), dtype="bool")
    assert layer(image, steps).shape == (None, None, 4, 5, 2)


def test_microexp_stcnn_has_the_sizes_of_the_paper() -> None:
    with keras.StatelessScope(initialize_variables=False):
        model = create_model("microexp_stcnn", input_shape=(96, 64, 64, 1), classes=3)
        keras.utils.clear_session()
    shapes = {x.name: x.output.shape[1:] for x in model.layers if hasattr(x, "output")}
    assert shapes["conv"] == (82, 62, 62, 32)
    assert shapes["flat"] == (27 * 20 * 20 * 32,)
    assert shapes["features"] == (128,)
    assert [x.rate for x in model.layers if isinstance(x, layers.Dropout)] == [0.5, 0.5]


def test_microexp_stcnn_pools_over_all_three_axes() -> None:
    model = create_model("microexp_stcnn", {"width": 0.125, "kernel_frames": 2}, input_shape=(8, 13, 16, 1), classes=2)
    maps = keras.Model(model.input, [model.get_layer(name).output for name in ("conv", "flat")])
    before, flat = maps(clips_for(model, [[1] * 8, [1] * 6 + [0] * 2]), training=False)
    assert before.shape == (2, 7, 11, 14, 4)
    assert_close(flat, layers.Flatten()(layers.MaxPooling3D(3)(before)), atol=0.0)


def test_microexp_stcnn_clips_its_kernel_to_the_clip() -> None:
    for frames, steps in ((4, 4), (16, 15)):
        model = create_model("microexp_stcnn", {"width": 0.125}, input_shape=(frames, *SHAPE), classes=3)
        assert model.get_layer("conv").kernel_size == (steps, 3, 3)
        assert model.get_layer("flat").output.shape == (None, 4 * 4 * 4)


def test_irnn_begins_with_the_identity_and_rectified_units() -> None:
    model = create_model("irnn", {"width": 0.25, "hidden": 6, "identity": 0.5}, input_shape=(None, *SHAPE), classes=4)
    layer = model.get_layer("temporal").get_layer("irnn1")
    kernel, recurrent, bias = layer.get_weights()
    np.testing.assert_array_equal(recurrent, 0.5 * np.eye(6))
    np.testing.assert_array_equal(bias, 0.0)
    layer.set_weights([np.abs(kernel), 2 * recurrent, bias])
    features = np.random.default_rng(0).random((2, 3, 128)).astype("float32")
    mask = np.array([[True, True, True], [True, False, True]])
    state = keras.Model(model.get_layer("temporal").input, layer.output)({"features": features, "frame_mask": mask})
    # All is positive: the identity adds the valid frames up.
    expected = (features * mask[..., None]).sum(axis=1) @ np.abs(kernel)
    np.testing.assert_allclose(state, expected, rtol=1e-5)


def test_two_stream_sees_motion_and_picture() -> None:
    model = small("two_stream_bilstm")
    clips = clips_for(model, [[1] * FRAMES] * 2)
    clips["frames"][1] = clips["frames"][1, :1]  # nothing moves
    parts = keras.Model(model.input, [model.get_layer(name).output for name in ("flow", "join")])
    flow, joined = (np.asarray(x) for x in parts(clips, training=False))
    assert np.abs(flow[0, 1:]).max() > 0.1
    np.testing.assert_array_equal(flow[1], 0.0)
    vectors = joined.reshape(2, FRAMES, 2, 64)  # of picture, of flow
    assert np.ptp(vectors[0], axis=0).max(axis=-1).min() > 1e-3
    np.testing.assert_allclose(np.ptp(vectors[1], axis=0), 0.0, atol=1e-5)


def test_stc_nlstm_nests_time_in_levels() -> None:
    model = small("stc_nlstm")
    clips = clips_for(model, PADDED)
    logits = logits_of(model, clips)
    states = keras.Model(model.input, model.get_layer("levels").output)
    assert states(clips).shape == (4, 4, 6)
    for level in range(1, 5):  # each has a part in the logits, with a T-LSTM of its own
        layer = model.get_layer(f"t_lstm{level}")
        kept = layer.get_weights()
        layer.set_weights([0 * weight for weight in kept])
        assert np.abs(logits_of(model, clips) - logits).max() > 1e-4, level
        np.testing.assert_array_equal(np.asarray(states(clips))[:, level - 1], 0.0)
        layer.set_weights(kept)


def refused(name: str, shape: tuple[int | None, ...], **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        create_model(name, {**OPTIONS[name], **options}, input_shape=shape, classes=3)
    return str(caught.value)


def test_wrong_shapes_and_options() -> None:
    assert "a fixed number of frames" in refused("microexp_stcnn", (None, *SHAPE))
    assert "sides of at least 5" in refused("microexp_stcnn", (4, 4, 8, 1))
    assert "kernel_frames and hidden" in refused("microexp_stcnn", (4, *SHAPE), kernel_frames=0)
    assert "hidden must be at least 1" in refused("irnn", (4, *SHAPE), hidden=0)
    assert "backbone must be one of" in refused("irnn", (4, *SHAPE), backbone="vgg11")
    assert "C of 1 or 3" in refused("two_stream_bilstm", (4, 16, 16, 2))
    assert "positive smoothness" in refused("two_stream_bilstm", (4, *SHAPE), flow_smoothness=-1.0)
    assert "sides of at least 16" in refused("stc_nlstm", (4, 15, 16, 1))
    assert "hidden must be at least 1" in refused("stc_nlstm", (4, *SHAPE), hidden=0)


def test_multiply_adds() -> None:
    counts = {name: multiply_adds(small(name)) for name in OPTIONS}
    assert counts["microexp_stcnn"] == 3 * 14 * 14 * 27 * 8 + 4 * 4 * 8 * 8 + 8 * 4
    encoder = [small("irnn").get_layer("encoder"), *map(small("two_stream_bilstm").get_layer, ("appearance", "motion"))]
    irnn, *streams = map(multiply_adds, encoder)
    assert counts["irnn"] == FRAMES * irnn + FRAMES * 6 * (128 + 6) + 6 * 4
    assert counts["two_stream_bilstm"] == FRAMES * sum(streams) + FRAMES * 2 * 24 * (128 + 6) + 12 * 4
    maps = sum(27 * a * b * side**2 for a, b, side in ((1, 4, 16), (4, 8, 8), (8, 16, 4), (16, 32, 2)))
    cells = sum(24 * (width + 6) for width in (16 * 4, 16 * 8, 4 * 16, 32))
    assert counts["stc_nlstm"] == FRAMES * (maps + cells) + 4 * 24 * 12 + 6 * 4


@pytest.mark.parametrize("name", WHOLE)
def test_exports_with_builtin_operators(name: str, tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model = small(name)
    clips = clips_for(model, PADDED)
    inputs = [
        tf.TensorSpec((1, FRAMES, *SHAPE), tf.float32, name="frames"),
        tf.TensorSpec((1, FRAMES), tf.bool, name="frame_mask"),
    ]
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serving_default",
        lambda frames, frame_mask: model({"frames": frames, "frame_mask": frame_mask}, training=False),
        input_signature=inputs,
    )
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path / "saved"), signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())
    assert not [operator for operator in operators(path) if operator.startswith(("CUSTOM", "FLEX"))]
    run = interpreter.Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    lite = [run(**{k: v[i : i + 1] for k, v in clips.items()})["emotion"] for i in range(len(PADDED))]
    assert_close(np.concatenate(lite), logits_of(model, clips), atol=1e-5)


def moving_squares() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Twelve clips of a square that goes right, left, down or up: single frames do not tell which. Some are padded."""
    rng, frames, labels = np.random.default_rng(0), np.full((12, FRAMES, *SHAPE), 40, "uint8"), np.arange(12) % 4
    for clip, label in zip(frames, labels, strict=True):
        course = np.arange(FRAMES) if label % 2 == 0 else np.arange(FRAMES)[::-1]
        place, light = rng.integers(3, 6), rng.integers(150, 250)
        for frame, step in zip(clip, course, strict=True):
            row, column = (place, 1 + 2 * step) if label < 2 else (1 + 2 * step, place)
            frame[row : row + 6, column : column + 6] = light
    mask = np.ones((12, FRAMES), bool)
    mask[::5, -1] = False
    return {"frames": frames, "frame_mask": mask}, labels


@pytest.mark.parametrize("name", OPTIONS)
def test_learns_twelve_clips(name: str) -> None:
    keras.utils.set_random_seed(0)
    options = {**OPTIONS[name], "hidden": 24, "dropout": 0.0}
    data = Data("synthetic_faces/clips", clips=ClipWindows(FRAMES, 1), image_size=SHAPE[:2])
    optimizer = Optimizer("adam", learning_rate=3e-3, clip_norm=1.0)
    recipe = Recipe("overfit", Model(name, options), data, optimizer=optimizer, batch_size=12)
    model = create_model(name, options, input_shape=(FRAMES, *SHAPE), classes=4)
    clips, labels = moving_squares()
    trainee = Trainee(model, recipe, steps_per_epoch=20, class_counts=[3] * 4)
    batches = tf.data.Dataset.from_tensors((clips, labels)).repeat(20)
    rounds = 0
    while (logits_of(model, clips).argmax(axis=-1) != labels).any():
        rounds += 1
        assert rounds <= 10, "has not learned the clips by heart after 200 steps"
        trainee.train(batches, callbacks=[])
    assert rounds > 0, "knew the clips before any step"
