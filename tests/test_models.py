"""Every model: its exact parameter count, its contract, and what its options mean."""

from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.models import MODELS, create_model
from ferkeras.models.vgg import vgg
from tests.contracts import check_model

#: Parameters at 48x48x1 and seven classes, from the definitions: a 3x3 convolution from a to b channels has
#: 9ab + b, its normalisation 4b (2b of them not trained), a dense layer ab + b, an LSTM 4h(x + h + 1).
PARAMETERS: dict[str, int] = {
    "vgg11": 9_296_903,
    "vgg13": 9_482_183,
    "vgg16": 14_796_999,
    "vgg19": 20_111_815,
    "vgg11_lstm": 9_535_495,
    "vgg11_lstm_dropout": 9_535_495,
    "vgg11_lstm_attention": 9_535_624,
}
WIDTHS = {
    11: [64, 128, 256, 256, 512, 512, 512, 512],
    13: [64, 64, 128, 128, 256, 256, 512, 512, 512, 512],
    16: [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512],
    19: [64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512, 512, 512, 512, 512],
}


def by_formula(name: str) -> int:
    depth = int(name[3:5])
    channels = [1, *WIDTHS[depth]]
    total = sum(9 * a * b + b + 4 * b for a, b in pairwise(channels))
    features = 512
    if "lstm" in name:
        total += 4 * 128 * (48 + 128 + 1) + 4 * 128 * (128 + 128 + 1)
        features += 128
    if "attention" in name:
        total += 128 + 1
    return total + (features * 128 + 128) + (128 * 7 + 7)


def test_no_model_is_missing_from_the_table() -> None:
    assert set(PARAMETERS) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_parameter_count(name: str) -> None:
    model = create_model(name, input_shape=(48, 48, 1), classes=7)
    assert model.count_params() == PARAMETERS[name] == by_formula(name)


@pytest.mark.parametrize("name", MODELS)
def test_contract(name: str, tmp_path: Path) -> None:
    model = create_model(name, {"width": 0.125}, input_shape=(48, 48, 1), classes=7)
    check_model(model, folder=tmp_path)


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


def test_dropout_is_where_it_is_named() -> None:
    model = create_model("vgg11_lstm_dropout", {"width": 0.0625}, input_shape=(48, 48, 1), classes=7)
    rates = {layer.name: layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)}
    assert rates == {"rows_dropout1": 0.3, "rows_dropout2": 0.3, "head_dropout": 0.3}


def test_unknown_names_and_options() -> None:
    shape = {"input_shape": (48, 48, 1), "classes": 7}
    with pytest.raises(InputError, match=r"Did you mean vgg11\?"):
        create_model("vg11", **shape)
    with pytest.raises(InputError, match=r"Did you mean lstm_units\?"):
        create_model("vgg11_lstm", {"lstm_unit": 3}, **shape)
    with pytest.raises(InputError, match="32 or more"):
        create_model("vgg11", input_shape=(16, 48, 1), classes=7)


def test_wrong_values() -> None:
    with pytest.raises(ValueError, match=r"depth must be one of \[11, 13, 16, 19\]\. Received: depth=12"):
        vgg(depth=12)
    with pytest.raises(ValueError, match="rows must be"):
        vgg(rows="all")
