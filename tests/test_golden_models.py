"""Models against independent PyTorch networks; `golden/make_vgg_torch.py` and `make_cnn_torch.py` made the numbers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras.models import create_model
from tests.golden.path_seeds import path_seeded, seeded_images


@dataclass(frozen=True)
class Case:
    """What `create_model` is given to build the network of a golden file."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


#: By name of the golden file.
CASES: dict[str, Case] = {
    "vgg11_lstm_attention": Case("vgg11_lstm_attention"),
    "gimefive4": Case("gimefive4"),
    "gimefive5_se": Case("gimefive5_se"),
    "gimefive_res_half": Case("gimefive_res", {"width": 0.5}),
    "resnet18": Case("resnet18"),
    "resnet18_stem_pool": Case("resnet18", {"stem_pool": True}),
    "vgg16_bn_quarter": Case("vgg16_bn", {"width": 0.25}),
}


def endpoint(model: keras.Model, name: str) -> keras.KerasTensor:
    """The tensor of a model that a golden file calls `name`."""
    if name == "emotion":
        return model.output["emotion"]
    if name == "attention":
        return model.get_layer("attention").output[1]
    output = model.get_layer(name).output
    return keras.ops.mean(output, axis=(1, 2)) if name == "feature_map" else output


@pytest.mark.parametrize("file", CASES)
def test_equals_the_reference(file: str) -> None:
    with np.load(Path(__file__).parent / "golden" / f"{file}.npz") as arrays:
        golden = dict(arrays)
    images = seeded_images(int(golden.pop("input_seed")), tuple(golden.pop("input_shape")))
    weights = path_seeded("block1_conv1/kernel", (3, 3, 1, 64)).ravel()[:4]
    np.testing.assert_array_equal(weights, golden.pop("first_weights"), "numpy draws other numbers: make them anew")
    assert {"features", "emotion"} <= set(golden)

    case = CASES[file]
    classes = golden["emotion"].shape[-1]
    model = create_model(case.name, case.options, input_shape=images.shape[1:], classes=classes)
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    outputs = keras.Model(model.input, {name: endpoint(model, name) for name in golden})(images, training=False)
    for name, expected in golden.items():
        assert outputs[name].shape == expected.shape, name
        # float32 against float64: 1e-5 of the largest value of the tensor.
        np.testing.assert_allclose(outputs[name], expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max(), err_msg=name)


@pytest.mark.parametrize("file", CASES)
def test_reference_tells_images_and_classes_apart(file: str) -> None:
    # Were the golden values all alike, agreement with them would prove nothing.
    with np.load(Path(__file__).parent / "golden" / f"{file}.npz") as golden:
        logits = golden["emotion"]
        assert logits.std(axis=0).min() > 100 * 1e-5 * np.abs(logits).max()
        assert logits.std(axis=1).min() > 0.05
        if "attention" in golden:
            assert golden["attention"].std(axis=1).min() > 1e-3
