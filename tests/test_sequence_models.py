"""The sequence models: the contract of every one, masks and lengths, encoders that are given or frozen, exports."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ferkeras.errors import InputError
from ferkeras.export.litert import operators
from ferkeras.layers import FoldFrames, UnfoldFrames
from ferkeras.models import MODELS, create_model
from ferkeras.models.flops import multiply_adds
from ferkeras.models.sequence import take_encoder_weights
from tests.commands import call
from tests.contracts import assert_close, check_sequence_model
from tests.golden.path_seeds import path_seeded

#: For those that have no encoder of single frames see `test_surveyed_models.py`.
WHOLE = ("microexp_stcnn", "two_stream_bilstm", "stc_nlstm")
NAMES = [name for name, entry in MODELS.items() if entry.is_sequence and name not in WHOLE]
SMALL: dict[str, Any] = {"backbone": "small_cnn", "width": 0.25, "hidden": 6}
SHAPE = (16, 16, 1)


def small(name: str, *, frames: int | None = None, classes: int = 5, **options: Any) -> keras.Model:
    return create_model(name, {**SMALL, **options}, input_shape=(frames, *SHAPE), classes=classes)


def seeded(model: keras.Model) -> keras.Model:
    """With weights by which clips differ in their logits by more than rounding."""
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    return model


def clips(count: int = 3, frames: int = 5, *, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> dict[str, Any]:
    images = np.random.default_rng(seed).integers(0, 256, (count, frames, *shape)).astype("float32")
    return {"frames": images, "frame_mask": np.ones((count, frames), bool)}


#: The others differ from one of these in the number of layers, or in a backbone that is not the small one.
CONTRACTED = [name for name in NAMES if name not in ("xception_lstm", "efficientnet_b2_lstm")]


@pytest.mark.parametrize("name", CONTRACTED)
def test_contract(name: str, tmp_path: Path) -> None:
    check_sequence_model(seeded(small(name)), folder=tmp_path, heads=MODELS[name].heads)


def test_folding_and_unfolding() -> None:
    inputs = clips(2, 3)
    inputs["frame_mask"][1, 1:] = False
    for frames in (3, None):
        images = keras.Input((frames, *SHAPE))
        mask = keras.Input((frames,), dtype="bool")
        folded = FoldFrames(name="fold")(images, mask)
        unfolded = UnfoldFrames(name="unfold")(layers.Flatten()(folded), mask)
        assert folded.shape == (None, *SHAPE)
        assert unfolded.shape == (None, frames, 256)
    fold, unfold = FoldFrames(name="fold"), UnfoldFrames(name="unfold")
    assert fold.compute_output_shape((2, 3, *SHAPE), (2, 3)) == (6, *SHAPE)
    flat = fold(inputs["frames"], inputs["frame_mask"])
    np.testing.assert_array_equal(flat[:4], inputs["frames"].reshape(6, *SHAPE)[:4])
    np.testing.assert_array_equal(flat[4:], 0.0)
    again = unfold(keras.ops.reshape(flat, (6, -1)), inputs["frame_mask"])
    np.testing.assert_array_equal(again[0], inputs["frames"][0].reshape(3, -1))


@pytest.mark.parametrize("length", [1, 2, 64])
def test_any_length_free_or_fixed(length: int) -> None:
    free, fixed = (
        seeded(small("efficientnet_lstm", width=0.0625)),
        small("efficientnet_lstm", width=0.0625, frames=length),
    )
    fixed.set_weights(free.get_weights())
    inputs = clips(2, length)
    outputs = fixed(inputs, training=False)
    assert {head: logits.shape for head, logits in outputs.items()} == dict.fromkeys(("valence", "arousal"), (2, 5))
    assert_close(free(inputs, training=False), outputs)


def test_a_clip_without_a_frame_has_the_logits_of_a_zero_state() -> None:
    model = seeded(small("xception_bilstm"))
    inputs = clips(2)
    inputs["frame_mask"][1] = False
    logits = np.asarray(model(inputs, training=False)["emotion"])
    np.testing.assert_allclose(logits[1], model.get_layer("temporal").get_layer("emotion").bias, rtol=1e-6)
    assert np.abs(logits[0] - logits[1]).max() > 1e-3


def test_the_order_of_the_frames_matters() -> None:
    for name in NAMES:
        model, inputs = seeded(small(name)), clips()
        turned = {**inputs, "frames": inputs["frames"][:, ::-1]}
        there, back = (np.asarray(next(iter(model(x, training=False).values()))) for x in (inputs, turned))
        assert np.abs(there - back).max() > 1e-2, name


def test_a_batch_does_not_change_its_clips() -> None:
    model, inputs = seeded(small("xception_deep_lstm")), clips(4)
    whole = model(inputs, training=False)["emotion"]
    inputs["frames"][2:] *= 3
    inputs["frame_mask"][3, 2:] = False
    np.testing.assert_array_equal(model(inputs, training=False)["emotion"][:2], whole[:2])
    alone = {key: value[:1] for key, value in inputs.items()}
    assert_close(model(alone, training=False)["emotion"], whole[:1], atol=1e-5)


def recurrent(name: str, **options: Any) -> dict[str, layers.Layer]:
    kinds = (layers.LSTM, layers.GRU, layers.Bidirectional, layers.Dropout)
    return {x.name: x for x in small(name, **options).get_layer("temporal").layers if isinstance(x, kinds)}


def test_variants_and_options_of_the_temporal_part() -> None:
    assert list(recurrent("xception_lstm")) == ["lstm1", "dropout1"]
    assert list(recurrent("xception_gru", dropout=0.0)) == ["gru1"]
    deep = recurrent("xception_deep_lstm", dropout=0.7, hidden=9)
    assert list(deep) == ["lstm1", "dropout1", "lstm2", "dropout2"]
    assert (deep["lstm1"].return_sequences, deep["lstm2"].return_sequences) == (True, False)
    assert (deep["dropout2"].rate, deep["lstm2"].units) == (0.7, 9)
    assert recurrent("xception_bilstm")["bilstm1"].output.shape == (None, 12)
    assert list(recurrent("efficientnet_lstm")) == ["lstm1", "lstm2"]
    assert recurrent("efficientnet_lstm_frames", frames=4)["lstm2"].output.shape == (None, 4, 6)
    assert small("efficientnet_lstm_frames").output["valence"].shape == (None, None, 5)
    published = [create_model(n, {"backbone": "small_cnn"}, input_shape=(2, *SHAPE), classes=3) for n in NAMES]
    assert [m.get_layer("temporal").layers[2].output.shape[-1] for m in published] == [
        *(128, 128, 256, 128),  # of Xception
        *(256, 256, 256),  # of EfficientNet
        128,
    ]
    assert published[0].get_layer("encoder").output.shape == (None, 512)


def test_keras_losses_leave_masked_frames_out() -> None:
    model, inputs = seeded(small("efficientnet_lstm_frames")), clips()
    inputs["frame_mask"][1, 2:] = False
    targets = {head: np.zeros((3, 5), int) for head in ("valence", "arousal")}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", {head: loss for head in targets}, jit_compile=False)
    logits = {head: np.asarray(value) for head, value in model(inputs, training=False).items()}
    by_hand = sum(-np.log(keras.ops.softmax(x)[..., 0])[inputs["frame_mask"]].mean() for x in logits.values())
    assert model.evaluate(inputs, targets, verbose=0)[0] == pytest.approx(by_hand, rel=1e-5)


@pytest.fixture(scope="module")
def trained_still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An `xception_dense` of the small backbone with weights of its own."""
    options = {key: SMALL[key] for key in ("backbone", "width")}
    still = seeded(create_model("xception_dense", options, input_shape=SHAPE, classes=3))
    path = tmp_path_factory.mktemp("still") / "model.keras"
    still.save(path)
    return path


def test_the_encoder_is_the_still_model_up_to_its_features(trained_still: Path) -> None:
    still = keras.models.load_model(trained_still)
    model = small("xception_lstm", encoder_weights=str(trained_still))
    images = clips()["frames"][0]
    features = keras.Model(still.input, still.get_layer("features").output)(images, training=False)
    np.testing.assert_array_equal(model.get_layer("encoder")(images, training=False), features)
    assert features.shape == (5, 128)
    assert_close(small("xception_lstm").get_layer("temporal").count_params(), 4 * 6 * (128 + 6 + 1) + 7 * 5)


def test_a_frozen_encoder_stays_as_it_is_and_runs_as_at_inference(trained_still: Path) -> None:
    model = small("xception_lstm", encoder_weights=str(trained_still), freeze_encoder=True)
    encoder = model.get_layer("encoder")
    assert {id(v) for v in model.trainable_variables} == {
        id(v) for v in model.get_layer("temporal").trainable_variables
    }
    old = [v.numpy() for v in encoder.variables]
    inputs = clips()
    vectors = keras.Model(model.input, model.get_layer("unfold").output)
    np.testing.assert_array_equal(vectors(inputs, training=True), vectors(inputs, training=False))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), {"emotion": loss}, jit_compile=False)
    model.train_on_batch(inputs, {"emotion": np.arange(3)})
    for variable, value in zip(encoder.variables, old, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def refused(name: str, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        small(name, **options)
    return str(caught.value)


def test_encoder_weights_that_do_not_fit(trained_still: Path, tmp_path: Path) -> None:
    assert "no file" in refused("xception_lstm", encoder_weights=str(tmp_path / "none.keras"))
    foreign = tmp_path / "foreign.keras"
    foreign.write_bytes(b"PK no model")
    assert "No still model with a layer `features`" in refused("xception_lstm", encoder_weights=str(foreign))
    misshaped = refused("xception_lstm", width=0.125, encoder_weights=str(trained_still))
    assert "bn1/beta (2,)" in misshaped
    assert "bn1/beta (4,)" in misshaped
    extra = refused("efficientnet_lstm", encoder_weights=str(trained_still))
    assert "0 that it needs are missing" in extra
    assert "4 are too many (dense1/bias (256,)" in extra
    still = keras.Input(SHAPE, name="image")
    thin = keras.Model(still, layers.GlobalAveragePooling2D(name="features")(layers.Conv2D(4, 3, name="conv1")(still)))
    thin.save(foreign)
    assert "are missing" in refused("efficientnet_lstm", encoder_weights=str(foreign))
    options = {**SMALL, "encoder_weights": "gone.keras"}
    create_model("xception_lstm", options, input_shape=(3, *SHAPE), classes=3, pretrained=False)


def test_names_that_keras_counts_are_no_difference(tmp_path: Path) -> None:
    def still() -> keras.Model:  # keras.applications' Xception leaves its shortcuts to such names
        image = keras.Input(SHAPE, name="image")
        body = keras.Model(image, layers.BatchNormalization()(layers.Conv2D(4, 3)(image)), name="backbone")
        return keras.Model(image, layers.GlobalAveragePooling2D(name="features")(body(image)))

    first, second = still(), still()
    assert first.weights[0].path != second.weights[0].path
    seeded(first).save(tmp_path / "model.keras")
    take_encoder_weights(second, tmp_path / "model.keras")
    for ours, theirs in zip(second.weights, first.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_efficientnet_itself_as_encoder(tmp_path: Path) -> None:
    shape = (2, 32, 32, 3)
    model = create_model("efficientnet_lstm", {"hidden": 6, "freeze_encoder": True}, input_shape=shape, classes=21)
    assert model.get_layer("encoder").output.shape == (None, 1280)
    assert model.get_layer("encoder").get_layer("feature_map").output.shape == (None, 1, 1, 1280)
    inputs = clips(2, 2, shape=shape[1:])
    for index, weight in enumerate(model.weights):
        weight.assign(path_seeded(f"{index}/{weight.name}", tuple(weight.shape)))
    outputs = model(inputs, training=True)  # frozen: neither drop-connect nor batch statistics
    assert_close(outputs, model(inputs, training=False), atol=0.0)
    assert outputs["arousal"].shape == (2, 21)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    assert_close(loaded(inputs, training=True), outputs, atol=1e-5)
    assert len(loaded.trainable_variables) == len(model.trainable_variables) == 3 + 3 + 4


def test_the_still_head_of_the_affect_family() -> None:
    options = {"backbone": "small_cnn", "width": 0.25}
    model = seeded(create_model("efficientnet_va", options, input_shape=SHAPE, classes=8))
    images = clips()["frames"][0]
    outputs = model(images, training=False)
    assert {head: tensor.shape for head, tensor in outputs.items()} == {
        "emotion": (5, 8),
        "valence": (5, 1),
        "arousal": (5, 1),
    }
    features = keras.Model(model.input, model.get_layer("features").output)(images, training=False)
    kernel, bias = model.get_layer("valence").get_weights()
    np.testing.assert_allclose(outputs["valence"], np.asarray(features) @ kernel + bias, rtol=1e-5)


def test_wrong_shapes_and_options() -> None:
    with pytest.raises(InputError, match=r"xception_lstm is a sequence model: T, H, W, C\. Received: 16x16x1"):
        create_model("xception_lstm", SMALL, input_shape=SHAPE, classes=3)
    with pytest.raises(InputError, match=r"vgg11 is a model of still images: H, W, C\. Received: Nonex48x48x1"):
        create_model("vgg11", input_shape=(None, 48, 48, 1), classes=3)
    assert "T possibly None" in refused("xception_lstm", frames=0)
    assert "sides of at least 16" in refused_at((3, 15, 16, 1))
    assert "T possibly None" in refused_at((3, None, 16, 1))
    assert "backbone must be one of small_cnn, xception" in refused("xception_lstm", backbone="vgg11")
    assert "no first weights" in refused("efficientnet_lstm", weights="imagenet")
    assert "cell must be one of lstm, gru" in refused("xception_lstm", cell="rnn")
    assert "at least 1" in refused("xception_lstm", depth=0)


def refused_at(shape: tuple[int | None, ...]) -> str:
    with pytest.raises(InputError) as caught:
        create_model("xception_lstm", SMALL, input_shape=shape, classes=3)
    return str(caught.value)


def test_multiply_adds_of_a_clip() -> None:
    model = small("xception_bilstm", frames=4)
    once = multiply_adds(model.get_layer("encoder"))
    temporal = multiply_adds(model.get_layer("temporal"))
    assert temporal == 4 * 2 * (128 + 6) * 4 * 6 + 12 * 5
    assert multiply_adds(model) == 4 * once + temporal
    with pytest.raises(ValueError, match="no number of multiply-adds"):
        multiply_adds(small("xception_bilstm"))


def test_table_of_models(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "models", "xception_dense", "xception_lstm", "--input", "71x71x1", "--frames", "3")
    assert code == 0
    *_, still, sequence = (line.split() for line in out.splitlines())
    assert (still[4], sequence[4]) == ("71x71x1", "3x71x71x1")
    assert float(sequence[3]) == pytest.approx(3 * float(still[3]), rel=0.02)
    assert call(capsys, "models", "xception_lstm", "--frames", "0")[0] == 2


def signature(frames: int | None, *, batch: int | None) -> list[tf.TensorSpec]:
    return [
        tf.TensorSpec((batch, frames, *SHAPE), tf.float32, name="frames"),
        tf.TensorSpec((batch, frames), tf.bool, name="frame_mask"),
    ]


def write(model: keras.Model, folder: Path, specs: list[tf.TensorSpec]) -> Path:
    archive = keras.export.ExportArchive()
    archive.track(model)

    def serve(frames: tf.Tensor, frame_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        return model({"frames": frames, "frame_mask": frame_mask}, training=False)

    archive.add_endpoint("serving_default", serve, input_signature=specs)
    archive.write_out(
        str(folder), options=tf.saved_model.SaveOptions(experimental_custom_gradients=False), verbose=False
    )
    return folder


@pytest.mark.parametrize("name", ["xception_bilstm", "xception_gru", "efficientnet_lstm_frames"])
def test_exports_with_a_mask(name: str, tmp_path: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    model, inputs = seeded(small(name)), clips()
    inputs["frame_mask"][1, 3:] = False
    inputs["frame_mask"][2, 1:3] = False
    outputs = model(inputs, training=False)

    free = tf.saved_model.load(str(write(model, tmp_path / "free", signature(None, batch=None))))
    served = free.signatures["serving_default"](**{key: tf.constant(value) for key, value in inputs.items()})
    assert_close([served[head] for head in outputs], list(outputs.values()), atol=1e-5)

    static = write(model, tmp_path / "static", signature(5, batch=1))
    converter = tf.lite.TFLiteConverter.from_saved_model(str(static), signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    path = tmp_path / "model.tflite"
    path.write_bytes(converter.convert())
    assert not [operator for operator in operators(path) if operator.startswith(("CUSTOM", "FLEX"))]
    run = interpreter.Interpreter(model_path=str(path)).get_signature_runner("serving_default")
    for index in range(3):
        one = run(**{key: value[index : index + 1] for key, value in inputs.items()})
        assert_close(
            [one[head] for head in outputs], [logits[index : index + 1] for logits in outputs.values()], atol=1e-5
        )
