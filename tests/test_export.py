"""Exported files compute what the model computes, carry their names, and are whole or not there."""

import json
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export import litert
from ferkeras.export.litert import ConversionError, export_litert, load_litert, operators
from ferkeras.export.parity import ParityError, check_parity
from ferkeras.export.saved_model import export_saved_model, load_saved_model
from ferkeras.labels import EMOTIONS
from ferkeras.pictures import read_picture


def small_model(*, channels: int = 1, dtype: str = "float32", recurrent: bool = True) -> keras.Model:
    """A stand-in with the parts of a real network: convolutions, and LSTMs with attention over the rows."""
    keras.utils.set_random_seed(0)
    image = keras.Input((48, 48, channels), name="image")
    policy = {"dtype": dtype}
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale", **policy)(image)
    x = layers.Conv2D(4, 3, padding="same", name="conv", **policy)(scaled)
    x = layers.BatchNormalization(name="norm", **policy)(x)
    x = layers.MaxPooling2D(8, name="pool", **policy)(layers.ReLU(name="relu", **policy)(x))
    features = layers.Flatten(name="flat", **policy)(x)
    if recurrent:
        rows = layers.Reshape((48, 48 * channels), name="rows", **policy)(scaled)
        steps = layers.LSTM(8, return_sequences=True, name="lstm_1", **policy)(rows)
        steps = layers.LSTM(8, return_sequences=True, name="lstm_2", **policy)(steps)
        scores = layers.Dense(1, activation="tanh", name="score", **policy)(steps)
        weights = layers.Softmax(axis=1, name="attention", **policy)(scores)
        context = layers.Dot(axes=1, name="context", **policy)([weights, steps])
        context = layers.Flatten(name="context_flat", **policy)(context)
        features = layers.Concatenate(name="features", **policy)([features, context])
    model = keras.Model(image, {"emotion": layers.Dense(7, name="emotion")(features)})
    random = np.random.default_rng(0)
    for variable in model.get_layer("norm").variables:  # fresh ones are 0 and 1 and would hide a mistake
        variable.assign(random.uniform(0.5, 2.0, variable.shape))
    return model


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return small_model()


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (64, 48, 48, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def directory(model, tmp_path_factory) -> Path:
    return export_saved_model(model, tmp_path_factory.mktemp("run") / "saved_model" / "1", labels=EMOTIONS)


@pytest.fixture(scope="module")
def tflite(model, tmp_path_factory) -> Path:
    return export_litert(model, tmp_path_factory.mktemp("run") / "litert" / "float32.tflite", labels=EMOTIONS)


@pytest.fixture(scope="module")
def served(directory):
    return tf.saved_model.load(str(directory))


def test_exports_equal_the_model_and_report_it_in_json(model, directory, tflite, images):
    report = check_parity(
        model, {"saved_model": load_saved_model(directory), "float32.tflite": load_litert(tflite)}, images
    )
    assert json.loads(json.dumps(report)) == report
    assert report["passed"]
    for result in report["artifacts"].values():
        assert result["n"] == 64
        assert result["passed"]
        assert result["mean_abs_diff"] <= result["max_abs_diff"] <= 1e-4
        assert result["top1_agreement"] == 1.0


def test_tflite_has_builtin_operators_names_and_static_shapes(tflite):
    names = operators(tflite)
    assert {"CONV_2D", "MAX_POOL_2D", "SOFTMAX", "WHILE"} <= set(names)
    assert "LOGISTIC" in names  # an LSTM gate: in the body of a WHILE, which the main graph does not show
    assert not [name for name in names if "CUSTOM" in name]
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(tflite))
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["emotion"]}}
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, 48, 48, 1]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_batch_size_is_free(model, directory, tflite, images, batch):
    expected = model(images)["emotion"].numpy()[:batch]
    for run in (load_saved_model(directory), load_litert(tflite, num_threads=1)):
        outputs = run(images[:batch])
        assert list(outputs) == ["emotion"]
        assert outputs["emotion"].dtype == np.float32
        np.testing.assert_allclose(outputs["emotion"], expected, atol=1e-4)


def test_signatures_are_what_a_server_reads(served):
    default, from_bytes = served.signatures["serving_default"], served.signatures["serve_bytes"]
    assert set(served.signatures) == {"serving_default", "serve_bytes"}
    assert default.structured_input_signature[1] == {"image": tf.TensorSpec((None, 48, 48, 1), tf.float32, "image")}
    assert from_bytes.structured_input_signature[1] == {"image_bytes": tf.TensorSpec((None,), tf.string, "image_bytes")}
    for signature in (default, from_bytes):
        outputs = {name: (spec.shape.as_list(), spec.dtype) for name, spec in signature.structured_outputs.items()}
        assert outputs == {
            "emotion": ([None, 7], tf.float32),
            "probabilities": ([None, 7], tf.float32),
            "label": ([None], tf.string),
        }


def test_labels_and_probabilities_follow_the_logits(served, directory, images):
    outputs = served.signatures["serving_default"](image=tf.constant(images, tf.float32))
    logits = outputs["emotion"].numpy()
    assert [label.decode() for label in outputs["label"].numpy()] == [EMOTIONS[k] for k in logits.argmax(-1)]
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    softmax = exponentials / exponentials.sum(-1, keepdims=True)
    np.testing.assert_allclose(outputs["probabilities"], softmax, atol=1e-6)
    assert (directory / "assets.extra" / "labels.txt").read_text().split() == list(EMOTIONS)


def test_png_bytes_equal_float_images_exactly(served, images):
    encoded = tf.stack([tf.io.encode_png(image) for image in images[:8]])
    from_bytes = served.signatures["serve_bytes"](image_bytes=encoded)
    from_floats = served.signatures["serving_default"](image=tf.constant(images[:8], tf.float32))
    for name in from_floats:
        np.testing.assert_array_equal(from_bytes[name], from_floats[name])


def test_bytes_of_any_colour_and_size_are_decoded_and_resized(served, model, tmp_path):
    colour = tf.cast(np.random.default_rng(2).integers(0, 256, (96, 70, 3)), tf.uint8)
    grey = tf.image.rgb_to_grayscale(colour)
    encoded = [
        tf.io.encode_jpeg(grey, quality=95),
        tf.io.encode_jpeg(colour, quality=95),
        tf.io.encode_png(grey),
        tf.io.encode_png(colour),
    ]
    outputs = served.signatures["serve_bytes"](image_bytes=tf.stack(encoded))
    # The graph sees what `ferkeras predict` sees, up to how two decoders round JPEG (worst on noise, as here).
    prepare = Preprocessing(48, 48, 1)
    seen = np.stack([prepare(tf.io.decode_image(data, channels=3)) for data in encoded])
    np.testing.assert_allclose(outputs["emotion"], model(seen.astype("float32"))["emotion"], atol=1e-5)
    for index, data in enumerate(encoded):
        (tmp_path / "picture").write_bytes(data.numpy())
        predicted = np.asarray(prepare(read_picture(tmp_path / "picture")), int)
        assert np.abs(predicted - seen[index]).mean() < (2.0 if index < 2 else 1e-9)


def test_a_colour_model_takes_grey_pictures(tmp_path):
    model = small_model(channels=3, recurrent=False)
    served = tf.saved_model.load(str(export_saved_model(model, tmp_path / "1", labels=EMOTIONS)))
    grey = np.random.default_rng(3).integers(0, 256, (48, 48, 1), dtype=np.uint8)
    outputs = served.signatures["serve_bytes"](image_bytes=tf.constant([tf.io.encode_png(grey).numpy()]))
    expected = model(np.repeat(grey, 3, axis=-1)[None])["emotion"]
    np.testing.assert_allclose(outputs["emotion"], expected, atol=1e-5)


def test_wrong_bytes_are_refused(served):
    with pytest.raises(tf.errors.InvalidArgumentError, match="Unknown image file format"):
        served.signatures["serve_bytes"](image_bytes=tf.constant([b"not a picture"]))


def test_a_crashed_converter_leaves_nothing_and_keeps_the_old_file(model, tmp_path, monkeypatch):
    converter = tmp_path / "converter"
    converter.write_text("#!/bin/sh\necho the last line >&2\nkill -SEGV $$\n")
    converter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(converter))
    path = tmp_path / "litert" / "float32.tflite"
    with pytest.raises(ConversionError, match=f"died from {signal.SIGSEGV.name}.*the last line"):
        export_litert(model, path, labels=EMOTIONS)
    assert list(path.parent.iterdir()) == []
    path.write_bytes(b"old")
    with pytest.raises(ConversionError):
        export_litert(model, path, labels=EMOTIONS)
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"old"]


def test_a_failed_write_keeps_the_old_saved_model(model, tmp_path, monkeypatch):
    def break_off(archive, directory, **options):
        Path(directory).mkdir()
        (Path(directory) / "saved_model.pb").write_bytes(b"half")
        raise OSError("disk full")

    target = tmp_path / "1"
    target.mkdir()
    (target / "saved_model.pb").write_bytes(b"old")
    monkeypatch.setattr(tf.saved_model, "save", break_off)
    with pytest.raises(OSError, match="disk full"):
        export_saved_model(model, target, labels=EMOTIONS)
    assert (target / "saved_model.pb").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_an_earlier_saved_model_is_replaced_and_nothing_else(tmp_path):
    model = small_model(recurrent=False)
    names = [name.upper() for name in EMOTIONS]
    export_saved_model(model, tmp_path / "1", labels=EMOTIONS)
    export_saved_model(model, tmp_path / "1", labels=names)
    assert (tmp_path / "1" / "assets.extra" / "labels.txt").read_text().split() == names
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    with pytest.raises(InputError, match="new or hold an earlier SavedModel"):
        export_saved_model(model, tmp_path, labels=EMOTIONS)
    with pytest.raises(InputError, match="path of a file"):
        export_litert(model, tmp_path, labels=EMOTIONS)


def test_an_operation_without_builtin_form_is_named(tmp_path, monkeypatch):
    def run_here(command, **options):  # a second process would cost a second import of TensorFlow
        try:
            litert._convert(*command[-2:])
        except Exception as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))

    monkeypatch.setattr(subprocess, "run", run_here)
    image = keras.Input((8, 8, 1), name="image")
    shrunk = keras.ops.image.resize(image, (4, 4), antialias=True)
    logits = layers.Dense(2, name="emotion")(layers.Flatten()(shrunk))
    with pytest.raises(ConversionError, match=r"without builtin form: tf\.ScaleAndTranslate"):
        export_litert(keras.Model(image, {"emotion": logits}), tmp_path / "model.tflite", labels=("a", "b"))


def test_recurrent_layers_stay_portable_where_there_is_a_gpu(model, tmp_path, monkeypatch):
    monkeypatch.setattr(import_module("keras.src.backend.tensorflow.rnn"), "_is_gpu_available", lambda: True)
    before = model.get_layer("lstm_1").use_cudnn
    export_saved_model(model, tmp_path / "1", labels=EMOTIONS)
    assert b"CudnnRNN" not in (tmp_path / "1" / "saved_model.pb").read_bytes()
    assert model.get_layer("lstm_1").use_cudnn == before


def test_models_that_cannot_be_exported_are_refused(model, tmp_path):
    image = keras.Input((48, 48, 1), name="image")
    logits = layers.Dense(7, name="emotion")(layers.Flatten()(image))
    anywhere = keras.Input((None, None, 1), name="image")
    pooled = layers.Dense(7, name="emotion")(layers.GlobalAveragePooling2D()(anywhere))
    other_name = keras.Input((48, 48, 1), name="picture")
    cases = {
        "compute in another type": (small_model(dtype="mixed_bfloat16"), EMOTIONS),
        "one output": (keras.Model(image, logits), EMOTIONS),
        "H and W fixed": (keras.Model(anywhere, {"emotion": pooled}), EMOTIONS),
        "one input 'image'": (
            keras.Model(other_name, {"emotion": layers.Dense(7)(layers.Flatten()(other_name))}),
            EMOTIONS,
        ),
        "7 different labels": (model, EMOTIONS[:6]),
        "different labels": (model, ("angry",) * 7),
    }
    for message, (refused, labels) in cases.items():
        for export in (export_saved_model, export_litert):
            with pytest.raises(InputError, match=message):
                export(refused, tmp_path / "out", labels=labels)
    assert list(tmp_path.iterdir()) == []


def test_runners_explain_wrong_files_and_images(directory, tflite, tmp_path, monkeypatch):
    for run in (load_saved_model(directory), load_litert(tflite)):
        with pytest.raises(InputError, match=r"\(B, 48, 48, 1\).*Received: shape \(2, 48, 48, 3\)"):
            run(np.zeros((2, 48, 48, 3)))
        with pytest.raises(InputError, match="at least 1"):
            run(np.zeros((0, 48, 48, 1)))
    (tmp_path / "text.tflite").write_text("this is not a model")
    for name in ("text.tflite", "absent.tflite"):
        with pytest.raises(InputError, match="LiteRT model file"):
            load_litert(tmp_path / name)
    with pytest.raises(InputError, match=r"saved_model\.pb"):
        load_saved_model(tmp_path)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[litert\]"):
        litert.load_litert(tflite)


def constant(*rows):
    """A predictor that always gives these logits."""
    return lambda images: {"emotion": np.array(rows, np.float32)[: len(images)]}


def test_parity_by_hand_computed_numbers():
    images = np.zeros((2, 1, 1, 1))
    expected = constant([1, 2], [4, 3])
    report = check_parity(expected, {"near": constant([1, 2.5], [4, 3])}, images, tolerance=0.5)
    assert report["artifacts"]["near"] == {
        "n": 2,
        "max_abs_diff": 0.5,
        "mean_abs_diff": 0.125,
        "top1_agreement": 1.0,
        "passed": True,
    }
    bad = {"same": expected, "swapped": constant([1, 2], [3, 4]), "broken": constant([1, np.nan], [4, 3])}
    with pytest.raises(ParityError, match=r"swapped: largest difference 1\.0, same top class on 50\.0%") as caught:
        check_parity(expected, bad, images)
    report = caught.value.report
    assert {name: result["passed"] for name, result in report["artifacts"].items()} == {
        "same": True,
        "swapped": False,
        "broken": False,
    }
    assert not report["passed"]
    assert report["artifacts"]["broken"]["max_abs_diff"] is None
    json.dumps(report, allow_nan=False)


def test_parity_refuses_what_would_prove_nothing():
    with pytest.raises(InputError, match="at least one image"):
        check_parity(constant([1, 2]), {}, np.zeros((0, 1, 1, 1)))
    with pytest.raises(InputError, match="not finite"):
        check_parity(constant([np.nan, 2]), {}, np.zeros((1, 1, 1, 1)))
    with pytest.raises(InputError, match="shapes"):
        check_parity(constant([1, 2]), {"wide": constant([1, 2, 3])}, np.zeros((1, 1, 1, 1)))
