"""Reading the weights of ONNX files, which are written here field by field as onnx.proto numbers them."""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.models.onnx_weights import read_onnx
from ferkeras.models.timm_efficientnet import read_efficientnet
from tests.golden.efficientnet_cases import timm_tensors

GOLDEN = Path(__file__).parent / "golden"
KINDS = {"float32": 1, "int64": 7, "float16": 10, "float64": 11}
VECTORS = ("weight", "bias", "running_mean", "running_var")
RANDOM = np.random.default_rng(5)


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def message(*fields: tuple[int, Any]) -> bytes:
    """Fields of (number, int, float, text or bytes)."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        elif isinstance(value, float):
            parts.append(varint(number << 3 | 5) + struct.pack("<f", value))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts.append(varint(number << 3 | 2) + varint(len(data)) + data)
    return b"".join(parts)


def tensor(name: str, values: np.ndarray) -> bytes:
    return message(*((1, n) for n in values.shape), (2, KINDS[values.dtype.name]), (8, name), (9, values.tobytes()))


def node(kind: str, inputs: Iterable[str], output: str, **attributes: int | float | list[int] | bytes) -> bytes:
    fields: list[tuple[int, Any]] = [(1, name) for name in inputs] + [(2, output), (4, kind)]
    for name, value in attributes.items():
        if isinstance(value, list):  # written one by one, as older exporters do
            fields.append((5, message((1, name), *((8, item) for item in value))))
        else:
            number = {int: 3, float: 2, bytes: 5}[type(value)]
            fields.append((5, message((1, name), (number, value))))
    return message(*fields)


def write(path: Path, nodes: Sequence[bytes], tensors: Mapping[str, np.ndarray], *more: tuple[int, Any]) -> Path:
    """A file of the graph of `nodes`; `more` are further fields of the graph."""
    initializers = [(5, tensor(name, values)) for name, values in tensors.items()]
    graph = message(*((1, n) for n in nodes), *initializers, *more)
    path.write_bytes(message((1, 8), (2, "by hand"), (7, graph), (8, message((2, 17)))))
    return path


def network() -> tuple[list[bytes], dict[str, np.ndarray]]:
    """A convolution that is normalised, one that is not, in half precision, and a dense layer."""
    tensors = {
        **{name: RANDOM.standard_normal(3).astype("f4") for name in ("gamma", "beta", "mean", "variance")},
        "w1": RANDOM.standard_normal((3, 2, 1, 1)).astype("f4"),
        "w2": RANDOM.standard_normal((4, 3, 3, 3)).astype("f2"),
        "b2": RANDOM.standard_normal(4),
        "w3": RANDOM.standard_normal((5, 4)).astype("f4"),
        "b3": RANDOM.standard_normal(5).astype("f4"),
    }
    nodes = [
        node("Conv", ("image", "w1", ""), "x"),
        node("BatchNormalization", ("x", "gamma", "beta", "mean", "variance"), "y", epsilon=0.25),
        node("Conv", ("y", "w2", "b2"), "z", pads=[0, 0, 1, 1], group=1),
        node("Gemm", ("z", "w3", "b3"), "logits", transB=1),
    ]
    return nodes, tensors


def test_reads_weights_and_their_order(tmp_path: Path) -> None:
    nodes, tensors = network()
    found = read_onnx(write(tmp_path / "w.onnx", nodes, tensors))
    first, second = found.convolutions
    np.testing.assert_array_equal(first.weight, tensors["w1"])
    np.testing.assert_array_equal(second.weight, tensors["w2"])
    assert first.bias is None
    assert second.bias is not None
    np.testing.assert_array_equal(second.bias, tensors["b2"])
    assert (first.pads, second.pads) == ((0, 0, 0, 0), (0, 0, 1, 1))
    assert second.normalisation is None
    assert first.normalisation is not None
    for name in ("gamma", "beta", "mean", "variance"):
        np.testing.assert_array_equal(getattr(first.normalisation, name), tensors[name])
    assert first.normalisation.epsilon == 0.25
    np.testing.assert_array_equal(found.weight, tensors["w3"])
    np.testing.assert_array_equal(found.bias, tensors["b3"])


def test_other_ways_to_write_the_same(tmp_path: Path) -> None:
    nodes, tensors = network()
    turned = [*nodes[:3], node("Gemm", ("z", "w3", "b3"), "logits", alpha=1.0)]  # B is not transposed
    # A weight as the value of a node, its dimensions packed and its numbers as floats.
    packed = message((1, b"\x03\x02\x01\x01"), (2, 1), (4, tensors.pop("w1").tobytes()))
    constant = node("Constant", (), "w1", value=packed)
    expected = read_onnx(write(tmp_path / "a.onnx", *network())).convolutions[0].weight.shape
    tensors["w3"] = np.ascontiguousarray(tensors["w3"].T)
    found = read_onnx(write(tmp_path / "w.onnx", [constant, *turned], tensors))
    assert found.convolutions[0].weight.shape == expected
    np.testing.assert_array_equal(found.weight, tensors["w3"].T)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"w1": None}, "w1 is computed"),
        ({"w1": np.zeros((3, 2, 1, 1), np.int64)}, "not quantised"),
        ({"gemm": None}, "one dense layer with a bias"),
        ({"gemm": ("z", "w3")}, "one dense layer with a bias"),
        ({"outside": True}, "external_data=False"),
    ],
)
def test_refuses_what_it_cannot_use(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    nodes, tensors = network()
    more: list[tuple[int, Any]] = []
    if "w1" in change:
        del tensors["w1"]
        if change["w1"] is not None:
            tensors["w1"] = change["w1"]
    if "gemm" in change:
        nodes[3:] = [node("Gemm", change["gemm"], "logits")] if change["gemm"] else []
    if "outside" in change:
        del tensors["w1"]
        more = [(5, message((2, 1), (8, "w1"), (14, 1)))]
    with pytest.raises(InputError, match=told):
        read_onnx(write(tmp_path / "w.onnx", nodes, tensors, *more))


@pytest.mark.parametrize("data", [b"", b"\x3a\xff", b"not a model at all", b"\xff" * 20, message((7, b"\x0b"))])
def test_refuses_what_is_no_model(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "w.onnx"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"damaged|one dense layer"):
        read_onnx(path)


def test_refuses_a_file_cut_off_anywhere(tmp_path: Path) -> None:
    whole = write(tmp_path / "w.onnx", *network()).read_bytes()
    for length in range(10, len(whole) - 4, 37):
        path = tmp_path / "cut.onnx"
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_onnx(path)


def efficientnet(
    *, fold: bool, pads: Sequence[int]
) -> tuple[list[bytes], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Nodes and tensors of `efficientnet_b0`, normalisation folded or not, and the same tensors in timm's names."""
    with np.load(GOLDEN / "efficientnet_b0.npz") as golden:
        named = timm_tensors({name: tuple(shape) for name, shape in json.loads(str(golden["shapes"])).items()})
    norms = {
        "conv_stem": "bn1",
        "conv_head": "bn2",
        **{f"blocks.0.0.{layer}": f"blocks.0.0.{norm}" for layer, norm in (("conv_dw", "bn1"), ("conv_pw", "bn2"))},
    }
    nodes, tensors = [], {}
    # The file tells nothing by names: they are numbers here.
    for index, name in enumerate(name for name, values in named.items() if values.ndim == 4):
        layer = name.removesuffix(".weight")
        block, _, kind = layer.rpartition(".")
        later = {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"}.get(kind)
        norm = norms.get(layer, f"{block}.{later}" if later else None)
        weight, bias = named[name].astype("f8"), named.get(f"{layer}.bias")
        padding = list(pads) if layer == "conv_stem" else [0, 0, 0, 0]
        if norm and fold:
            gamma, beta, mean, variance = (named[f"{norm}.{part}"].astype("f8") for part in VECTORS)
            scale = gamma / np.sqrt(variance + 1e-5)
            weight, bias = weight * scale[:, None, None, None], beta - mean * scale
        tensors[f"{index}w"] = np.ascontiguousarray(weight.astype("f4"))
        if bias is not None:
            tensors[f"{index}b"] = bias.astype("f4")
        inputs = [f"x{index}", f"{index}w", *([f"{index}b"] if bias is not None else [])]
        nodes.append(node("Conv", inputs, f"y{index}", pads=padding))
        if norm and not fold:
            tensors |= {f"{index}{part}": named[f"{norm}.{part}"] for part in VECTORS}
            inputs = [f"y{index}", *(f"{index}{part}" for part in VECTORS)]
            nodes.append(node("BatchNormalization", inputs, f"z{index}"))  # epsilon 1e-5 is the format's own
    tensors |= {"k": np.ascontiguousarray(named["classifier.weight"]), "l": named["classifier.bias"]}
    return [*nodes, node("Gemm", ("p", "k", "l"), "logits", transB=1)], tensors, named


def test_efficientnet_gets_its_names_back(tmp_path: Path) -> None:
    nodes, tensors, named = efficientnet(fold=False, pads=(1, 1, 1, 1))
    found = read_efficientnet(write(tmp_path / "w.onnx", nodes, tensors), architecture="efficientnet_b0")
    assert set(found) == set(named)
    for name, values in named.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


def test_folded_normalisation_computes_the_same(tmp_path: Path) -> None:
    nodes, tensors, named = efficientnet(fold=True, pads=(1, 1, 1, 1))
    found = read_efficientnet(write(tmp_path / "w.onnx", nodes, tensors), architecture="efficientnet_b0")
    assert set(found) == set(named)
    for layer, norm in (("conv_stem", "bn1"), ("blocks.3.1.conv_pwl", "blocks.3.1.bn3"), ("conv_head", "bn2")):
        computed = []
        for given in (named, found):
            gamma, beta, mean, variance = (given[f"{norm}.{part}"].astype("f8") for part in VECTORS)
            scale = gamma / np.sqrt(variance + 1e-5)
            computed.append((given[f"{layer}.weight"] * scale[:, None, None, None], beta - mean * scale))
        for expected, value in zip(*computed, strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-6, err_msg=layer)


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        ("tf_efficientnet_b0", "another architecture.*alike on all sides.*1e-05"),
        ("efficientnet_b2", "115 convolutions"),
    ],
)
def test_refuses_another_architecture(architecture: str, told: str, tmp_path: Path) -> None:
    nodes, tensors, _ = efficientnet(fold=False, pads=(1, 1, 1, 1))
    with pytest.raises(InputError, match=told):
        read_efficientnet(write(tmp_path / "w.onnx", nodes, tensors), architecture=architecture)


def test_refuses_the_padding_of_tensorflow_as_symmetric(tmp_path: Path) -> None:
    nodes, tensors, _ = efficientnet(fold=True, pads=(0, 0, 1, 1))
    path = write(tmp_path / "w.onnx", nodes, tensors)
    assert len(read_efficientnet(path, architecture="tf_efficientnet_b0")) == 311
    with pytest.raises(InputError, match=r"as TensorFlow, epsilon not told"):
        read_efficientnet(path, architecture="efficientnet_b0")
