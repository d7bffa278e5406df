"""Every family as SavedModel and LiteRT: the same logits as Keras, from builtin operators alone.

What the two forms hold beside the logits is tested in `test_saved_model.py` and `test_litert.py`. Families whose
operators are those of another are marked slow: each takes a quarter of a minute or more.
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
from ferkeras.export.interface import all_layers, interface_of
from ferkeras.export.litert import export_litert, load_litert, operators
from ferkeras.export.litert_convert import convert
from ferkeras.export.parity import check_parity
from ferkeras.export.saved_model import export_saved_model, load_saved_model
from ferkeras.labels import EMOTIONS, VALENCE_AROUSAL_BINS
from ferkeras.models import MODELS, create_model
from ferkeras.runs import NUMBER
from tests.golden.path_seeds import path_seeded, seeded_images


@dataclass(frozen=True)
class Case:
    """A small network of one family; its input is (H, W, C) or (T, H, W, C)."""

    input_shape: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    classes: int = 7


_CLIP = {"backbone": "small_cnn", "width": 0.25, "hidden": 8}
_AFFECT = len(VALENCE_AROUSAL_BINS)
#: Maps of more than one pixel before the pooling, or the normalisation of a few images alone magnifies rounding.
CASES: dict[str, Case] = {
    "vgg11_lstm_attention": Case((48, 48, 1), {"width": 0.0625}),
    "gimefive5_se": Case((32, 32, 3), {"width": 0.25}),
    "gimefive_res": Case((64, 64, 3), {"width": 0.25}),
    "fer_mobile": Case((48, 48, 1), {"width": 0.25}),
    "fer_vgg": Case((48, 48, 1), {"width": 0.125}),
    "resnet18": Case((64, 64, 3), {"width": 0.25, "stem_pool": True}),
    "vgg16_bn": Case((32, 32, 3), {"width": 0.125}),
    "emonext_tiny": Case((48, 48, 1), {"width": 0.25}),
    "convnext_tiny": Case((48, 48, 3), {"width": 0.25}),
    "efficientnet_b0": Case((64, 64, 3)),
    "xception": Case((71, 71, 1)),
    "xception_dense": Case((32, 32, 1), {"backbone": "small_cnn", "width": 0.25}),
    "efficientnet_va": Case((32, 32, 1), {"backbone": "small_cnn", "width": 0.25}),
    "xception_lstm": Case((4, 24, 24, 1), _CLIP),
    "xception_deep_lstm": Case((4, 24, 24, 1), _CLIP),
    "xception_bilstm": Case((4, 24, 24, 1), _CLIP),
    "xception_gru": Case((4, 24, 24, 1), _CLIP),
    "efficientnet_lstm": Case((4, 24, 24, 1), _CLIP, _AFFECT),
    "efficientnet_lstm_frames": Case((4, 24, 24, 1), _CLIP, _AFFECT),
    "microexp_stcnn": Case((12, 32, 32, 1)),
    "irnn": Case((4, 48, 48, 1)),
    "two_stream_bilstm": Case((4, 48, 48, 1)),
    "stc_nlstm": Case((8, 48, 48, 1)),
}
FAST = {
    *("vgg11_lstm_attention", "gimefive5_se", "gimefive_res", "resnet18", "vgg16_bn", "emonext_tiny", "fer_mobile"),
    *("efficientnet_b0", "efficientnet_lstm_frames"),
}


#: Allowed where depth and many normalisations make rounding grow.
ROUNDING = {"emonext_tiny": 0.25, "efficientnet_b0": 0.6}


def inputs_for(case: Case, count: int = 32) -> Any:
    """Noise of different brightness (noise as bright as other noise looks alike), and masks of every kind."""
    images = seeded_images(3, (count, *case.input_shape))
    images //= (1 + np.arange(count, dtype="uint8") % 8).reshape(-1, *[1] * len(case.input_shape))
    if len(case.input_shape) == 3:
        return images
    mask = np.random.default_rng(0).random((count, case.input_shape[0])) < 0.7
    mask[:, 0] = True
    mask[0] = True
    return {"frames": images, "frame_mask": mask}


def seed(model: keras.Model, inputs: Any) -> None:
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
    model(inputs, training=True)  # the moving statistics become those of the images


def inference_parameters(model: keras.Model) -> int:
    layers = [layer for layer in model.layers if not getattr(layer, "training_only", False)]
    return sum(layer.count_params() for layer in layers)


def stored_parameters(saved_model: Path) -> int:
    variables = tf.train.load_checkpoint(str(saved_model / "variables" / "variables"))
    types = variables.get_variable_to_dtype_map()
    shapes = variables.get_variable_to_shape_map()
    return sum(math.prod(shape) for name, shape in shapes.items() if types[name] == tf.float32)


def convert_here(source: Path, target: Path, *, representative: Path | None = None, **options: Any) -> None:
    convert(source, target, representative=representative, **{"quantize": "none", **options})


@pytest.fixture(autouse=True)
def _convert_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts in this process: one of its own, which `test_litert.py` covers, costs an import of TensorFlow each."""
    monkeypatch.setattr(litert, "convert_in_child", convert_here)


def seeded_model(name: str) -> tuple[keras.Model, Any]:
    """The model of a case and inputs, by which its weights are."""
    case = CASES[name]
    keras.utils.set_random_seed(0)  # stochastic depth draws in training, and the moving statistics follow
    model = create_model(name, case.options, input_shape=case.input_shape, classes=case.classes, pretrained=False)
    inputs = inputs_for(case)
    seed(model, inputs)
    return model, inputs


def first(inputs: Any, count: int) -> Any:
    return {k: v[:count] for k, v in inputs.items()} if isinstance(inputs, dict) else inputs[:count]


def meanings(model: keras.Model) -> dict[str, Any]:
    of = {7: EMOTIONS, _AFFECT: VALENCE_AROUSAL_BINS, 1: (NUMBER,)}
    return {head: tuple(of[tensor.shape[-1]]) for head, tensor in model.output.items()}


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")  # EmoNeXt's last map at 48 pixels is 1x1
@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES])
def test_exports_equal_the_model(name: str, tmp_path: Path) -> None:
    model, inputs = seeded_model(name)
    shape = CASES[name].input_shape
    clip = {"frames": shape[0]} if len(shape) == 4 else {}
    interface = interface_of(model, heads=meanings(model), preprocessing=clip)
    saved_model = export_saved_model(model, tmp_path / "1", interface=interface)
    file = export_litert(model, tmp_path / "model.tflite", interface=interface)
    assert not [operator for operator in operators(file) if "CUSTOM" in operator]
    assert stored_parameters(saved_model) == inference_parameters(model)
    candidates = {"saved_model": load_saved_model(saved_model), "litert": load_litert(file)}
    some = first(inputs, 8)
    assert check_parity(model, candidates, some, tolerance=1e-4)["passed"]
    # A tolerance says something only where the logits are much larger and not the same for all images.
    for tensor in model(some, training=False).values():
        logits = np.asarray(tensor).reshape(-1, tensor.shape[-1])
        assert logits.std(axis=0).min() > 0.01
        assert logits.shape[1] == 1 or logits.std(axis=1).min() > 0.05


def test_no_family_is_missing() -> None:
    assert {MODELS[name].function for name in CASES} == {entry.function for entry in MODELS.values()}


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in CASES if name != "xception"])
def test_rounding_weights_changes_logits_little(name: str, tmp_path: Path) -> None:
    """Dynamic-range int8, as a share of the spread of the logits.

    Random weights leave no margin between classes, so how many top classes stay is measured on trained networks, by
    the command itself.
    """
    model, inputs = seeded_model(name)
    shape = CASES[name].input_shape
    clip = {"frames": shape[0]} if len(shape) == 4 else {}
    interface = interface_of(model, heads=meanings(model), preprocessing=clip)
    file = export_litert(model, tmp_path / "dynamic.tflite", interface=interface, quantize="dynamic")
    report = check_parity(model, {"dynamic": load_litert(file)}, inputs, quantised=["dynamic"])
    spread = np.mean([np.asarray(logits).std() for logits in model(inputs, training=False).values()])
    assert 0 < report["artifacts"]["dynamic"]["mean_abs_diff"] < ROUNDING.get(name, 0.1) * spread
