"""Weights in timm's names against PyTorch; `golden/make_efficientnet_torch.py` made the numbers."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.models.efficientnet_lstm import efficientnet_va
from ferkeras.models.timm_efficientnet import load_efficientnet
from tests.golden.efficientnet_cases import ROWS, SHAPES, images, timm_tensors


@pytest.mark.parametrize("architecture", SHAPES)
def test_equals_the_reference(architecture: str) -> None:
    with np.load(Path(__file__).parent / "golden" / f"{architecture}.npz") as golden:
        expected = dict(golden)
    tensors = timm_tensors({name: tuple(shape) for name, shape in json.loads(str(expected["shapes"])).items()})
    first = tensors["conv_stem.weight"].ravel()[:4]
    np.testing.assert_array_equal(first, expected["first_weights"], "numpy draws other numbers: make anew")
    model = efficientnet_va(input_shape=SHAPES[architecture][1:], classes=ROWS - 2)
    load_efficientnet(model, tensors, architecture=architecture)

    ends = keras.Model(model.input, {"features": model.get_layer("features").output, **model.output})
    outputs = {name: np.asarray(value) for name, value in ends(images(architecture), training=False).items()}
    logits = np.concatenate([outputs[head] for head in ("emotion", "valence", "arousal")], axis=-1)
    for name, value in (("features", outputs["features"]), ("logits", logits)):
        assert value.shape == expected[name].shape, name
        # float32 against float64: 1e-5 of the largest value of the tensor.
        np.testing.assert_allclose(
            value, expected[name], rtol=0, atol=1e-5 * np.abs(expected[name]).max(), err_msg=name
        )


@pytest.mark.parametrize("architecture", SHAPES)
def test_reference_tells_images_apart(architecture: str) -> None:
    # Were the golden values alike for both images, agreement with them would prove nothing.
    with np.load(Path(__file__).parent / "golden" / f"{architecture}.npz") as golden:
        for name in ("features", "logits"):
            assert np.abs(np.diff(golden[name], axis=0)).max() > 1000 * 1e-5 * np.abs(golden[name]).max(), name
