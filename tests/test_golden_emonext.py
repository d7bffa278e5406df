"""EmoNeXt tiny against an independent PyTorch network; `golden/make_emonext_torch.py` made the numbers."""

from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from ferkeras.models.emonext import emonext
from tests.golden.path_seeds import path_seeded, seeded_images
from tests.golden.stn_cases import theta_weights

OUTPUTS = (
    "theta",
    "transformed_mean",
    "transformed_pixels",
    "feature_map",
    "attention_variance",
    "features",
    "emotion",
)


@pytest.fixture(scope="module", params=[64, 224])
def golden(request) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "golden" / f"emonext_tiny_{request.param}.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def outputs(golden) -> dict[str, np.ndarray]:
    images = seeded_images(int(golden["input_seed"]), tuple(golden["input_shape"]))
    model = emonext(size="tiny", attention=1.0, input_shape=images.shape[1:], classes=7)
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    model.get_layer("stn_theta").set_weights(theta_weights())
    seen = model.get_layer("spatial_transformer").output
    feature_map = model.get_layer("feature_map").output
    parts = keras.Model(
        model.input,
        {
            "theta": model.get_layer("stn_theta").output,
            "transformed_mean": ops.mean(seen, axis=(1, 2)),
            "transformed_pixels": seen[:, ::16, ::16],
            "map": feature_map,
            "feature_map": ops.mean(feature_map, axis=(1, 2)),
            "features": model.get_layer("features").output,
            **model.output,
        },
    )
    values = parts(images, training=False)
    attention = model.get_layer("self_attention")
    attention(values.pop("map"), training=True)
    return {name: np.asarray(value) for name, value in values.items()} | {
        "attention_variance": np.asarray(attention.losses[0])
    }


def test_weights_are_those_of_the_reference(golden):
    weights = path_seeded("emotion/bias", (7,))
    np.testing.assert_array_equal(weights, golden["first_weights"], "numpy draws other numbers: make them anew")


@pytest.mark.parametrize("name", OUTPUTS)
def test_equals_the_reference(golden, outputs, name):
    assert outputs[name].shape == golden[name].shape
    # float32 against float64: 1e-5 of the largest value of the tensor. Of single pixels of noise, which change wholly
    # from one to the next, what 5e-5 of a pixel in the coordinates makes: 1e-6 of theta at a side of 224.
    tolerance = 5e-5 if name == "transformed_pixels" else 1e-5
    np.testing.assert_allclose(outputs[name], golden[name], rtol=1e-5, atol=tolerance * np.abs(golden[name]).max())


def test_logits_are_equal_in_absolute_terms(golden, outputs):
    assert np.abs(outputs["emotion"] - golden["emotion"]).max() < 5e-5


def test_the_reference_proves_something(golden):
    # Were the maps the identity or the outputs all alike, agreement with them would prove nothing.
    assert np.abs(golden["theta"] - [1, 0, 0, 0, 1, 0]).max(axis=1).min() > 0.2
    assert golden["theta"].std(axis=0).max() > 0.05
    pixels = golden["transformed_pixels"]
    assert 0.01 < (pixels == 0).mean() < 0.5, "some samples lie outside the image, and most inside"
    assert golden["emotion"].std(axis=0).min() > 5e-3
    assert golden["emotion"].std(axis=1).min() > 0.1
    assert golden["attention_variance"] > 1e-4
