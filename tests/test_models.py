"""Every model: its contract, what its parts look at, and what is told of wrong options."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.layers import SqueezeExcitation
from ferkeras.models import MODELS, create_model
from ferkeras.models.vgg import vgg
from tests.contracts import check_model

#: Options and input that make a small network of the same kind.
THIN: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "vgg16_bn": ({"width": 0.03125}, (32, 32, 3)),
    "xception": ({}, (71, 71, 1)),
    "efficientnet_b0": ({}, (32, 32, 3)),
    "efficientnet_b2": ({}, (32, 32, 1)),
    "xception_dense": ({"backbone": "small_cnn", "width": 0.25}, (32, 32, 3)),
    "efficientnet_va": ({"backbone": "small_cnn", "width": 0.25}, (32, 32, 1)),
}
THIN_FAMILY: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "vgg": ({"width": 0.125}, (48, 48, 1)),
    "fer": ({"width": 0.125}, (32, 32, 1)),
    "gimefive": ({"width": 0.0625}, (64, 64, 3)),
    "resnet": ({"width": 0.125}, (48, 48, 1)),
    # At 1e-6 the blocks and at strength 1 the regularisation have gradients too small for the contract to see.
    "emonext": ({"width": 0.25, "layer_scale": 1.0, "attention": 1e3}, (64, 64, 1)),
    "convnext": ({"width": 0.0833, "layer_scale": 1.0}, (48, 48, 3)),
}
#: Those left out differ from one that is here in widths and numbers alone, which the table holds.
LARGER = {"emonext_small", "emonext_base", "emonext_large", "emonext_xlarge", "convnext_small", "efficientnet_b2"}
#: For sequence models see `test_sequence_models.py`.
CONTRACTED = [name for name in MODELS if name not in LARGER and not MODELS[name].is_sequence]


def thin(name: str) -> keras.Model:
    options, shape = THIN.get(name) or THIN_FAMILY[name.partition("_")[0].rstrip("0123456789")]
    model = create_model(name, options, input_shape=shape, classes=7)
    for layer in model.layers:
        if isinstance(layer, SqueezeExcitation):  # so few hidden units could all be dead; of these, half are not
            kernel = np.abs(layer.squeeze)
            kernel[:, 1::2] *= -1
            layer.squeeze.assign(kernel)
    if name.startswith("emonext"):
        theta = model.get_layer("stn_theta").kernel  # zeros let no gradient through
        theta.assign(np.random.default_rng(0).normal(0, 0.05, theta.shape))
    return model


@pytest.mark.parametrize("name", CONTRACTED)
def test_contract(name: str, tmp_path: Path) -> None:
    check_model(thin(name), folder=tmp_path, heads=MODELS[name].heads)


@pytest.mark.parametrize(("shape", "classes"), [((64, 64, 3), 2), ((32, 40, 1), 8), ((112, 112, 3), 7)])
def test_other_sizes_colours_and_classes(shape: tuple[int, int, int], classes: int) -> None:
    model = create_model("vgg11_lstm_attention", {"width": 0.0625}, input_shape=shape, classes=classes)
    assert model(np.zeros((2, *shape)))["emotion"].shape == (2, classes)
    assert model.get_layer("attention").output[1].shape == (None, shape[0])


def test_the_attention_reads_rows_from_top_to_bottom() -> None:
    model = create_model("vgg11_lstm_attention", {"width": 0.0625}, input_shape=(48, 48, 1), classes=7)
    weights = keras.Model(model.input, model.get_layer("attention").output[1])
    images = np.random.default_rng(0).integers(0, 256, (1, 48, 48, 1)).astype("float32")
    changed = images.copy()
    changed[:, 30] = 255 - changed[:, 30]  # an LSTM knows of a row only once it has come to it
    scores = [np.log(np.asarray(weights(x))[0]) for x in (images, changed)]
    differences = [np.diff(s) for s in scores]
    np.testing.assert_allclose(differences[0][:29], differences[1][:29], atol=1e-5)
    assert abs(differences[0][29] - differences[1][29]) > 1e-4


def test_rows_matter_to_the_lstm_branch_by_their_order() -> None:
    model = create_model("vgg11_lstm_attention", {"width": 0.0625}, input_shape=(48, 48, 1), classes=7)
    ends = keras.Model(model.input, [*model.get_layer("features").input, model.get_layer("attention").output[1]])
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype("float32")
    vgg_features, context, weights = (np.asarray(x) for x in ends(images))
    assert vgg_features.shape == (2, 32)
    assert context.shape == (2, 128)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, rtol=1e-5)
    permuted = np.asarray(ends(images[:, ::-1])[1])
    assert np.abs(permuted - context).max() > 0.01
    # Columns are the values of a step: moving whole columns is another input too, but not another order of steps.
    assert np.abs(np.asarray(ends(images[:, :, ::-1])[1]) - context).max() > 0.01


def test_the_branches_do_not_touch_before_the_features() -> None:
    model = create_model("vgg11_lstm", {"width": 0.0625}, input_shape=(48, 48, 1), classes=7)
    ends = keras.Model(model.input, model.get_layer("features").input)
    images = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 1)).astype("float32")
    before = [np.asarray(x) for x in ends(images)]
    lstm = model.get_layer("rows_lstm2")
    lstm.set_weights([2 * w + 0.1 for w in lstm.get_weights()])
    after = [np.asarray(x) for x in ends(images)]
    np.testing.assert_array_equal(after[0], before[0])
    assert np.abs(after[1] - before[1]).max() > 0.01


def test_the_last_state_depends_on_every_row() -> None:
    # Sixteen rows back an untrained LSTM still remembers; one that read the image as a single step would have no rows.
    model = create_model("vgg11_lstm", {"width": 0.0625}, input_shape=(48, 48, 1), classes=7)
    context = keras.Model(model.input, model.get_layer("features").input[1])
    images = np.full((4, 48, 48, 1), 127.5, "float32")
    for example, row in enumerate((47, 40, 32)):
        images[example, row] = 255
    changed = np.asarray(context(images))
    assert (np.abs(changed[:3] - changed[3]).max(axis=1) > 1e-6).all()
    assert model.get_layer("rows").output.shape == (None, 48, 48)


def test_dropout_is_where_it_is_named() -> None:
    model = create_model("vgg11_lstm_dropout", {"width": 0.0625}, input_shape=(48, 48, 1), classes=7)
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == {"rows_dropout1": 0.3, "rows_dropout2": 0.3, "head_dropout": 0.3}


def unknown(name: str, options: dict[str, object] | None = None) -> str:
    with pytest.raises(InputError) as caught:
        create_model(name, options, input_shape=(48, 48, 1), classes=7)
    return str(caught.value)


def test_unknown_names_and_options() -> None:
    assert unknown("vg11") == "Unknown model. Received: vg11. Did you mean vgg11?"
    assert "`ferkeras models` lists them" in unknown("zzz")
    message = unknown("vgg11_lstm", {"lstm_unit": 3})
    assert message == "Unknown option model.options.lstm_unit of vgg11_lstm. Did you mean lstm_units?"
    assert "Known: depth, width" in unknown("vgg11", {"zzz": 3})
    for reserved in ("name", "classes", "input_shape"):  # these are not options
        assert f"Unknown option model.options.{reserved}" in unknown("vgg11", {reserved: 1})


def test_wrong_values() -> None:
    with pytest.raises(ValueError, match=r"depth must be one of \[11, 13, 16, 19\]\. Received: depth=12"):
        vgg(depth=12)
    with pytest.raises(ValueError, match="rows must be"):
        vgg(rows="all")
    assert "depth must be one of" in unknown("vgg11", {"depth": 12})
    assert "cannot be built" in unknown("vgg11", {"width": "wide"})
    with pytest.raises(InputError, match="32 or more"):
        create_model("vgg11", input_shape=(16, 48, 1), classes=7)


def test_options_change_what_they_name() -> None:
    options = {"width": 0.0625, "depth": 13, "lstm_units": 10, "lstm_layers": 1}
    model = create_model("vgg11_lstm_attention", options, input_shape=(48, 48, 1), classes=7)
    assert model.get_layer("block1_conv2").filters == 4
    assert model.get_layer("rows_lstm1").units == 10
    assert "rows_lstm2" not in [layer.name for layer in model.layers]
    assert model.get_layer("features").output.shape == (None, 42)
    assert model.name == "vgg11_lstm_attention"
