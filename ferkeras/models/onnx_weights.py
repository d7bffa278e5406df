"""Convolutions and the last dense layer of an ONNX file, in the order in which they run.

Exporters fold batch normalisation into the convolution before it and give the results new names, so that names tell
little; the order of the nodes, which ONNX demands to be that of the computation, tells all. Read here are the few
fields of the format's protocol buffers (`onnx.proto`) that hold weights; nothing is run.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ferkeras.errors import InputError
from ferkeras.models.torch_weights import damaged, decode

#: TensorProto.DataType of the tensors that are read.
_KINDS = {1: "float32", 10: "float16", 11: "float64", 16: "bfloat16"}


@dataclass(frozen=True)
class Normalisation:
    """The four vectors (C,) of a batch normalisation, and what is added to the variance."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    epsilon: float


@dataclass(frozen=True)
class Convolution:
    """A convolution and the batch normalisation that takes its output, None where there is none (any more)."""

    weight: np.ndarray
    """(O, I / groups, H, W)."""
    bias: np.ndarray | None
    """(O,)."""
    pads: tuple[int, ...]
    """Zeros at top, left, bottom and right."""
    normalisation: Normalisation | None


@dataclass(frozen=True)
class Network:
    """What `read_onnx` finds."""

    convolutions: list[Convolution]
    weight: np.ndarray
    """(K, D) of the dense layer."""
    bias: np.ndarray
    """(K,)."""


@dataclass
class _Node:
    kind: str = ""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)


def read_onnx(path: Path) -> Network:
    """The convolutions and the one dense layer (`Gemm`) of the network in `path`.

    Raises:
        InputError: for a file that cannot be read, whose weights lie in another file or are computed by other nodes,
            or that has not exactly one dense layer.
    """
    if not path.is_file():
        raise InputError("There is no weights file", received=str(path))
    try:
        nodes, tensors = _graph(memoryview(path.read_bytes()))
        return _network(path, nodes, tensors)
    except (ValueError, IndexError, KeyError, struct.error) as error:
        if isinstance(error, InputError):
            raise
        raise damaged(path, f"It cannot be read as ONNX: {type(error).__name__}: {error}") from error


def _network(path: Path, nodes: list[_Node], tensors: dict[str, memoryview]) -> Network:
    def tensor(name: str) -> np.ndarray:
        if name not in tensors:
            raise InputError(
                "Weights of an ONNX file must stand in it as such", received=f"{path}, where {name} is computed"
            )
        return _tensor(path, tensors[name])

    normalising = {node.inputs[0]: node for node in nodes if node.kind == "BatchNormalization"}
    convolutions = []
    for node in nodes:
        if node.kind != "Conv":
            continue
        following = normalising.get(node.outputs[0])
        normalisation = None
        if following is not None:
            gamma, beta, mean, variance = map(tensor, following.inputs[1:5])
            epsilon = following.attributes.get("epsilon", 1e-5)
            normalisation = Normalisation(gamma, beta, mean, variance, epsilon)
        weight, *bias = map(tensor, filter(None, node.inputs[1:]))
        pads = tuple(node.attributes.get("pads", (0, 0, 0, 0)))
        convolutions.append(Convolution(weight, bias[0] if bias else None, pads, normalisation))
    dense = [node for node in nodes if node.kind == "Gemm"]
    if len(dense) != 1 or len(dense[0].inputs) != 3:
        raise InputError(
            "An ONNX file of a classifier has one dense layer with a bias (Gemm)", received=f"{path} with {len(dense)}"
        )
    weight = tensor(dense[0].inputs[1])
    return Network(convolutions, weight if dense[0].attributes.get("transB") else weight.T, tensor(dense[0].inputs[2]))


def _fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protocol-buffer message: an int, or the bytes of anything longer."""
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire == 2:
            length, position = _varint(data, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"a field has the unknown wire type {wire}")
        if position + length > len(data):
            raise ValueError("a field reaches beyond the end")
        yield number, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """The integer at `position`, seven bits a byte, lowest first, and where the next field begins."""
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return value, position
        if shift > 63:
            raise ValueError("a number is too long")


def _graph(model: memoryview) -> tuple[list[_Node], dict[str, memoryview]]:
    """Nodes of the graph in their order, and its tensors by name, not yet decoded."""
    graphs = [value for number, value in _fields(model) if number == 7]
    if len(graphs) != 1:
        raise ValueError("there is no graph")
    nodes: list[_Node] = []
    tensors: dict[str, memoryview] = {}
    for number, value in _fields(graphs[0]):
        if number == 1:
            nodes.append(_node(value))
            if nodes[-1].kind == "Constant" and "value" in nodes[-1].attributes:
                tensors[nodes[-1].outputs[0]] = nodes[-1].attributes["value"]
        elif number == 5:
            name = next((bytes(text).decode() for field_number, text in _fields(value) if field_number == 8), "")
            tensors[name] = value
    return nodes, tensors


def _node(message: memoryview) -> _Node:
    node = _Node()
    for number, value in _fields(message):
        if number == 1:
            node.inputs.append(bytes(value).decode())
        elif number == 2:
            node.outputs.append(bytes(value).decode())
        elif number == 4:
            node.kind = bytes(value).decode()
        elif number == 5:
            name, content = _attribute(value)
            node.attributes[name] = content
    return node


def _attribute(message: memoryview) -> tuple[str, Any]:
    """Name and value: a float, an int, the bytes of a tensor, or a list of ints; None for any other kind."""
    name, content, whole = "", None, []
    for number, value in _fields(message):
        if number == 1:
            name = bytes(value).decode()
        elif number == 2:
            content = struct.unpack("<f", value)[0]
        elif number in (3, 5):
            content = value
        elif number == 8:
            whole += [value] if isinstance(value, int) else _packed(value)
    return name, whole or content


def _packed(data: memoryview) -> list[int]:
    values, position = [], 0
    while position < len(data):
        value, position = _varint(data, position)
        values.append(value)
    return values


def _tensor(path: Path, message: memoryview) -> np.ndarray:
    shape: list[int] = []
    kind = 0
    raw: memoryview | bytes = b""
    for number, value in _fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else _packed(value)
        elif number == 2:
            kind = value
        elif number in (4, 9):  # as packed floats or as raw bytes, which here are the same
            raw = value
        elif number == 14 and value == 1:
            raise InputError(
                "The weights of an ONNX file must lie in it",
                received=f"{path}, whose weights lie in another file",
                action="Export it again in one file: torch.onnx.export(..., external_data=False).",
            )
    if kind not in _KINDS:
        raise InputError(
            "Weights of an ONNX file must be floating-point numbers",
            received=f"{path} with tensors of ONNX type {kind}",
            action="Take the file that is not quantised.",
        )
    return decode(raw, kind=_KINDS[kind]).reshape(shape)
