"""Files in int8: small, close to the model, with float arithmetic where rounding would do harm."""

import re
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export import litert, litert_convert, litert_quantize
from ferkeras.export.interface import all_layers
from ferkeras.export.litert import export_litert, load_litert, operators, step_file
from ferkeras.export.litert_metadata import read_metadata
from ferkeras.export.litert_quantize import REPRESENTATIVE, quantize_file, write_representative
from ferkeras.export.litert_streaming import Stream
from ferkeras.export.parity import check_parity
from ferkeras.models import create_model
from tests.tiny_networks import clip, clips, described, images, still


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts in this process: one of its own costs an import of TensorFlow."""

    def convert(source, target, *, signatures, quantize="none", representative=None):
        litert_convert.convert(source, target, signatures=signatures, quantize=quantize, representative=representative)

    monkeypatch.setattr(litert, "convert_in_child", convert)


def keras_outputs(model: keras.Model):
    return lambda inputs: {name: np.asarray(value) for name, value in model(inputs, training=False).items()}


def kinds(path: Path) -> dict[str, set[str]]:
    """Operator -> types of its outputs, in the graph of the first signature."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    tensors = {tensor["index"]: tensor["dtype"].__name__ for tensor in interpreter.get_tensor_details()}
    found: dict[str, set[str]] = {}
    for operator in interpreter._get_ops_details():
        found.setdefault(operator["op_name"], set()).update(tensors.get(i, "?") for i in operator["outputs"])
    return found


@pytest.mark.usefixtures("here")
def test_stills_in_int8_are_close_and_their_lstm_is_float(tmp_path):
    pytest.importorskip("ai_edge_quantizer")
    model = still(recurrent=True)
    batches = iter([images(64)])
    path = export_litert(
        model, tmp_path / "int8.tflite", interface=described(model), quantize="int8", representative=batches
    )
    report = check_parity(keras_outputs(model), {"int8": load_litert(path)}, images(32), tolerance=0.2)
    found = report["artifacts"]["int8"]
    assert found["max_abs_diff"] > 0
    assert found["top1_agreement"] > 0.8
    assert kinds(path)["CONV_2D"] == {"int8"}
    assert "int8" not in kinds(path).get("WHILE", set())
    assert read_metadata(path)["weights"] == "int8"
    image = read_metadata(path)["signatures"]["serving_default"]["inputs"]["image"]
    assert image["dtype"] == "float32"
    assert not [name for name in operators(path) if "CUSTOM" in name]


@pytest.mark.usefixtures("here")
def test_clips_in_int8_whole_and_step_by_step(tmp_path):
    pytest.importorskip("ai_edge_quantizer")
    model, given = clip(), clips(16)
    path = export_litert(
        model,
        tmp_path / "int8.tflite",
        interface=described(model),
        quantize="int8",
        representative=[given],
        streaming=True,
    )
    report = check_parity(keras_outputs(model), {"int8": load_litert(path)}, given, tolerance=0.1)
    assert report["passed"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["int8.tflite", "int8_step.tflite"]
    stream, expected = Stream(step_file(path)), keras_outputs(model)(given)["emotion"]
    for index in range(4):
        stream.reset()
        outputs = [stream(frame) for frame in given["frames"][index][given["frame_mask"][index]]]
        np.testing.assert_allclose(outputs[-1]["emotion"], expected[index], atol=0.1)
    with pytest.raises(InputError, match="signature serving_default"):
        load_litert(step_file(path))


def test_spatial_transformer_and_recurrent_layers_are_spared():
    stn = create_model("emonext_tiny", {"width": 0.0625}, input_shape=(48, 48, 1), classes=7)
    assert {"spatial_transformer", "stn_theta", "stn_conv1"} <= spared(stn)
    assert "emotion" not in spared(stn)
    assert {"temporal", "lstm1"} <= spared(clip())
    assert any(name.startswith("lstm_cell") for name in spared(clip()))
    assert not [name for name in spared(clip()) if name.startswith(("conv", "dense"))]


def spared(model: keras.Model) -> set[str]:
    return set(litert_quantize.spared_layers(model)) & {layer.name for layer in all_layers(model)}


@pytest.mark.parametrize(
    ("tensor", "taken"),
    [
        ("encoder_1/relu1_1/Relu;encoder_1/conv1_1/convolution", True),
        ("lstm_cell_1/MatMul", False),
        ("temporal_1/lstm1_1/MatMul", False),
        ("xception_lstm_1/encoder_1/conv1_1/Relu", True),
        ("stn_conv1_1/Conv2D;stn_bn1_1/add", False),
        ("StatefulPartitionedCall_1:0", False),
    ],
)
def test_layers_are_told_by_the_names_of_tensors(tensor, taken):
    scope = litert_quantize.scope_without(["lstm", "lstm_cell", "temporal", "stn_conv1"])
    assert bool(re.search(scope, tensor)) is taken


def test_representative_images_are_gathered_and_limited(tmp_path):
    model = still()
    batches = iter([images(100), images(100), images(100)])
    write_representative(tmp_path / "data.npz", batches, model=model, interface=described(model))
    with np.load(tmp_path / "data.npz") as stored:
        assert len(stored["image"]) == REPRESENTATIVE
    assert len(list(batches)) == 1
    clips_of = clip()
    given = clips(4)
    write_representative(tmp_path / "clips.npz", [given], model=clips_of, interface=described(clips_of))
    with np.load(tmp_path / "clips.npz") as stored:
        np.testing.assert_array_equal(stored["image"], given["frames"][given["frame_mask"]])
        np.testing.assert_array_equal(stored["frame_mask"], given["frame_mask"])
    for nothing in (None, []):
        with pytest.raises(InputError, match="images of the training split"):
            write_representative(tmp_path / "x.npz", nothing, model=model, interface=described(model))
    with pytest.raises(InputError, match="Expected images of shape"):
        write_representative(tmp_path / "x.npz", [clips(1)["frames"]], model=model, interface=described(model))


def test_without_the_quantiser_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[quantize\]"):
        quantize_file(tmp_path / "x.tflite", tmp_path / "x.npz")
    model = still()
    with pytest.raises(MissingExtraError, match=r"ferkeras\[quantize\]"):
        export_litert(
            model, tmp_path / "x.tflite", interface=described(model), quantize="int8", representative=[images(1)]
        )
    assert list(tmp_path.iterdir()) == []
