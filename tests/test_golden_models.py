"""VGG11-LSTM-attention against an independent PyTorch model; `golden/make_vgg_torch.py` made the numbers."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.models import create_model
from tests.golden.path_seeds import path_seeded, seeded_images


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "golden" / "vgg11_lstm_attention.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def outputs(golden) -> dict[str, np.ndarray]:
    images = seeded_images(int(golden["input_seed"]), tuple(golden["input_shape"]))
    model = create_model("vgg11_lstm_attention", input_shape=images.shape[1:], classes=7)
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    parts = keras.Model(
        model.input,
        {
            "feature_map": keras.ops.mean(model.get_layer("feature_map").output, axis=(1, 2)),
            "attention": model.get_layer("attention").output[1],
            "features": model.get_layer("features").output,
            **model.output,
        },
    )
    return {name: np.asarray(value) for name, value in parts(images, training=False).items()}


def test_weights_are_those_of_the_reference(golden):
    weights = path_seeded("block1_conv1/kernel", (3, 3, 1, 64)).ravel()[:4]
    np.testing.assert_array_equal(weights, golden["first_weights"], "numpy draws other numbers: make them anew")


@pytest.mark.parametrize("name", ["feature_map", "attention", "features", "emotion"])
def test_equals_the_reference(golden, outputs, name):
    assert outputs[name].shape == golden[name].shape
    # float32 against float64: 1e-5 of the largest value of the tensor.
    np.testing.assert_allclose(outputs[name], golden[name], rtol=1e-5, atol=1e-5 * np.abs(golden[name]).max())


def test_reference_tells_images_rows_and_classes_apart(golden):
    # Were the golden values all alike, agreement with them would prove nothing.
    assert golden["emotion"].std(axis=0).min() > 1e-3
    assert golden["emotion"].std(axis=1).min() > 0.05
    assert golden["attention"].std(axis=1).min() > 1e-3
