"""Every still family as SavedModel and LiteRT: the same logits as Keras, from builtin operators alone.

What the two forms hold beside the logits is tested in `test_export.py`. Xception and ConvNeXt, whose operators are
those of EfficientNet and EmoNeXt, are marked slow: each takes a quarter of a minute.
"""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ferkeras.export import litert
from ferkeras.export.litert import export_litert, load_litert, operators
from ferkeras.export.parity import check_parity
from ferkeras.export.saved_model import all_layers, export_saved_model, load_saved_model
from ferkeras.labels import EMOTIONS
from ferkeras.models import create_model
from tests.golden.path_seeds import path_seeded, seeded_images


@dataclass(frozen=True)
class Case:
    """A small network of one family."""

    input_shape: tuple[int, int, int]
    options: dict[str, Any] = field(default_factory=dict)


#: Maps of more than one pixel before the pooling, or the normalisation of a few images alone magnifies rounding.
CASES: dict[str, Case] = {
    "vgg11_lstm_attention": Case((48, 48, 1), {"width": 0.0625}),
    "gimefive5_se": Case((32, 32, 3), {"width": 0.25}),
    "gimefive_res": Case((64, 64, 3), {"width": 0.25}),
    "resnet18": Case((64, 64, 3), {"width": 0.25, "stem_pool": True}),
    "vgg16_bn": Case((32, 32, 3), {"width": 0.125}),
    "emonext_tiny": Case((48, 48, 1), {"width": 0.25}),
    "convnext_tiny": Case((48, 48, 3), {"width": 0.25}),
    "efficientnet_b0": Case((64, 64, 3)),
    "xception": Case((71, 71, 1)),
}
SLOW = {"convnext_tiny", "xception"}


def seed(model: keras.Model, images: np.ndarray) -> None:
    """Gives `model` weights by which logits are of order one and differ from image to image.

    First weights would prove little: with some backbones they give logits of 1e-7, a spatial transformer begins with
    the identity, and every normalisation with zeros and ones.
    """
    for index, weight in enumerate(model.weights):
        # By number: keras.applications leaves some layers to the names that Keras counts up from model to model.
        weight.assign(path_seeded(f"{index}/{weight.name}", tuple(weight.shape)))
    for layer in model.layers:
        if layer.name == "stn_theta":
            layer.kernel.assign(0.1 * layer.kernel)
            layer.bias.assign([1, 0, 0, 0, 1, 0])
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)  # the moving statistics become those of the images


def inference_parameters(model: keras.Model) -> int:
    layers = [layer for layer in model.layers if not getattr(layer, "training_only", False)]
    return sum(layer.count_params() for layer in layers)


def stored_parameters(saved_model: Path) -> int:
    variables = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    types = variables.get_variable_to_dtype_map()
    shapes = variables.get_variable_to_shape_map()
    return sum(math.prod(shape) for name, shape in shapes.items() if types[name] == tf.float32)


@pytest.fixture(autouse=True)
def convert_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts in this process: one of its own, which `test_export.py` covers, costs an import of TensorFlow each."""
    monkeypatch.setattr(litert, "_convert_in_child", lambda source, target: litert._convert(str(source), str(target)))


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")  # EmoNeXt's last map at 48 pixels is 1x1
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in CASES])
def test_exports_equal_the_model(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    keras.utils.set_random_seed(0)  # stochastic depth draws in training, and the moving statistics follow
    model = create_model(name, case.options, input_shape=case.input_shape, classes=7)
    images = seeded_images(3, (32, *case.input_shape))
    images //= (1 + np.arange(32, dtype="uint8") % 8)[:, None, None, None]  # noise as bright as other noise looks alike
    seed(model, images)
    saved_model = export_saved_model(model, tmp_path / "1", labels=EMOTIONS)
    file = export_litert(model, tmp_path / "model.tflite", labels=EMOTIONS)
    assert not [operator for operator in operators(file) if "CUSTOM" in operator]
    assert stored_parameters(saved_model) == inference_parameters(model)
    candidates = {"saved_model": load_saved_model(saved_model), "litert": load_litert(file)}
    report = check_parity(model, candidates, images[:8], tolerance=1e-4)
    assert report["passed"]
    # A tolerance says something only where the logits are much larger and not the same for all images.
    logits = np.asarray(model(images[:8], training=False)["emotion"])
    assert logits.std(axis=0).min() > 0.02
    assert logits.std(axis=1).min() > 0.1
