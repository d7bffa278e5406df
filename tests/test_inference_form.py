"""Exports of EmoNeXt: without the branch that acts in training alone, and equal to the trained model."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ferkeras.export.inference_form import inference_form
from ferkeras.export.interface import interface_of
from ferkeras.export.litert import export_litert, load_litert, operators
from ferkeras.export.parity import check_parity
from ferkeras.export.saved_model import export_saved_model, load_saved_model
from ferkeras.labels import EMOTIONS
from ferkeras.layers import AttentionVariance
from ferkeras.models.emonext import emonext
from tests.golden.path_seeds import path_seeded
from tests.golden.stn_cases import theta_weights

IMAGES = np.random.default_rng(0).integers(0, 256, (16, 48, 48, 1)).astype("float32")


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """Its blocks count and its transformer moves the image, so that an export without either would differ."""
    model = emonext(size="tiny", width=0.125, input_shape=(48, 48, 1), classes=7)
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    model.get_layer("stn_theta").set_weights(theta_weights())
    parts = keras.Model(model.input, [model.get_layer(name).output for name in ("scale", "spatial_transformer")])
    scaled, seen = parts(IMAGES)
    assert np.abs(np.asarray(seen) - scaled).mean() > 0.05
    return model


@pytest.fixture(scope="module")
def directory(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "saved_model" / "1"
    return export_saved_model(model, path, interface=interface_of(model, heads={"emotion": EMOTIONS}))


def test_nothing_of_the_training_branch_remains(model: keras.Model) -> None:
    before = {weight.path: weight.numpy() for weight in model.weights}
    form = inference_form(model)
    assert [x.name for x in model.layers if getattr(x, "training_only", False)] == ["self_attention"]
    assert [layer.name for layer in form.layers] == [x.name for x in model.layers if x.name != "self_attention"]
    after = {weight.path: weight.numpy() for weight in form.weights}
    assert {path for path in before if path not in after} == {
        f"self_attention/{tensor}" for tensor in ("norm/gamma", "norm/beta", "query/kernel", "query/bias", "key/kernel")
    }
    for path, value in after.items():
        np.testing.assert_array_equal(value, before[path], path)
    assert "self_attention" in [layer.name for layer in model.layers]
    for weight in model.weights:
        np.testing.assert_array_equal(weight, before[weight.path], weight.path)


def test_outputs_are_equal_bit_for_bit(model: keras.Model) -> None:
    form = inference_form(model)
    assert form.input.name == model.input.name == "image"
    assert list(form.output) == list(model.output) == ["emotion"]
    assert form.name == model.name
    np.testing.assert_array_equal(form(IMAGES)["emotion"], model(IMAGES)["emotion"])
    for name in ("spatial_transformer", "feature_map", "features"):
        left, right = (keras.Model(m.input, m.get_layer(name).output)(IMAGES) for m in (form, model))
        np.testing.assert_array_equal(left, right)


def test_the_form_has_weights_of_its_own(model: keras.Model) -> None:
    form, expected = inference_form(model), model(IMAGES)["emotion"]
    form.get_layer("emotion").bias.assign_add(np.ones(7))
    np.testing.assert_array_equal(model(IMAGES)["emotion"], expected)


def test_a_model_without_such_layers_is_returned_as_it_is() -> None:
    model = emonext(size="tiny", width=0.0625, input_shape=(48, 48, 1), attention=0.0)
    assert inference_form(model) is model


def test_several_such_layers_at_any_place_and_in_any_precision() -> None:
    image = keras.Input((6, 6, 2), name="image")
    x = AttentionVariance(name="first")(image)
    x = layers.Conv2D(4, 3, dtype="mixed_bfloat16", name="conv")(x)
    x = AttentionVariance(strength=2.0, name="second")(x)
    x = AttentionVariance(name="third")(x)
    x = layers.Add(name="add")([x, layers.ReLU(name="relu")(x)])
    x = layers.BatchNormalization(name="norm", trainable=False)(x)
    model = keras.Model(image, {"emotion": layers.Flatten(name="flat")(x)}, name="several")
    form = inference_form(model)
    assert [layer.name for layer in form.layers] == ["image", "conv", "relu", "add", "norm", "flat"]
    assert form.get_layer("conv").compute_dtype == "bfloat16"
    assert not form.get_layer("norm").trainable
    images = np.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    np.testing.assert_array_equal(form(images)["emotion"], model(images)["emotion"])


def test_saved_model_equals_the_model_and_has_no_variable_of_the_branch(model: keras.Model, directory: Path) -> None:
    report = check_parity(model, {"saved_model": load_saved_model(directory)}, IMAGES)
    assert report["passed"]
    stored = tf.train.list_variables(str(directory / "variables" / "variables"))
    shapes = sorted(tuple(shape) for name, shape in stored if name.endswith("VARIABLE_VALUE"))
    own = [w for w in model.weights if not w.path.startswith("self_attention/")]
    assert shapes == sorted(tuple(weight.shape) for weight in own)
    graph = (directory / "saved_model.pb").read_bytes()
    assert b"self_attention" not in graph
    assert b"stn_theta" in graph


def test_litert_equals_the_model_with_builtin_operators_alone(model: keras.Model, tmp_path: Path) -> None:
    path = export_litert(model, tmp_path / "float32.tflite", interface=interface_of(model, heads={"emotion": EMOTIONS}))
    report = check_parity(model, {"litert": load_litert(path)}, IMAGES)
    assert report["passed"]
    assert report["artifacts"]["litert"]["max_abs_diff"] <= 1e-4
    names = operators(path)
    assert {"GATHER", "DEPTHWISE_CONV_2D", "LOGISTIC"} <= set(names)
    assert not [name for name in names if name.startswith(("CUSTOM", "FLEX"))]
    assert b"self_attention" not in path.read_bytes()
