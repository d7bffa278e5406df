"""Model files of the two detectors that users bring, with networks so small that their answers are known beforehand.

Both networks average squares of the picture. The more red a square is, the more it is a face, and only red counts: a
detector that takes colours for others, or scales back by a wrong factor, gives other answers.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

#: The network of `write_ssd`: a grid of 3 x 3 squares of 100 pixels, a prior box on each, and no offsets.
SSD = """
name: "tiny" input: "data" input_dim: 1 input_dim: 3 input_dim: 300 input_dim: 300
layer { name: "squares" type: "Pooling" bottom: "data" top: "squares"
  pooling_param { pool: AVE kernel_size: 100 stride: 100 } }
layer { name: "colours" type: "Slice" bottom: "squares" top: "blue" top: "green" top: "red"
  slice_param { axis: 1 slice_point: 1 slice_point: 2 } }
layer { name: "opposite" type: "Power" bottom: "red" top: "opposite" power_param { scale: -1 } }
layer { name: "classes" type: "Concat" bottom: "opposite" bottom: "red" top: "classes" concat_param { axis: 1 } }
layer { name: "last" type: "Permute" bottom: "classes" top: "last"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
layer { name: "pairs" type: "Reshape" bottom: "last" top: "pairs"
  reshape_param { shape { dim: 0 dim: -1 dim: 2 } } }
layer { name: "chances" type: "Softmax" bottom: "pairs" top: "chances" softmax_param { axis: 2 } }
layer { name: "conf" type: "Flatten" bottom: "chances" top: "conf" flatten_param { axis: 1 } }
layer { name: "prior" type: "PriorBox" bottom: "squares" bottom: "data" top: "prior"
  prior_box_param { min_size: 100 clip: false variance: 0.1 step: 100 offset: 0.5 } }
layer { name: "four" type: "Concat" bottom: "red" bottom: "red" bottom: "red" bottom: "red" top: "four"
  concat_param { axis: 1 } }
layer { name: "zero" type: "Power" bottom: "four" top: "zero" power_param { scale: 0 } }
layer { name: "loc" type: "Flatten" bottom: "zero" top: "loc" flatten_param { axis: 1 } }
layer { name: "detection_out" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" top: "detection_out"
  detection_output_param { num_classes: 2 share_location: true background_label_id: 0 code_type: CENTER_SIZE
    nms_param { nms_threshold: 0.45 top_k: 400 } keep_top_k: 200 confidence_threshold: 0.01 } }
"""
#: Where `write_yunet` puts the five landmarks, in strides from the corner of the square: x, y, x, y, ...
POINTS = (0.25, 0.25, 0.75, 0.25, 0.5, 0.5, 0.25, 0.75, 0.75, 0.75)
#: Stride of the level that finds faces; YuNet has three.
STRIDE = 32
_VARINT, _BYTES = 0, 2
_FLOAT, _INT64 = 1, 7  # ONNX TensorProto.DataType


def write_ssd(folder: Path) -> Path:
    """A .caffemodel with its .prototxt: a face of 1/3 of the picture's sides where one of 3 x 3 squares is all red."""
    (folder / "tiny.prototxt").write_text(SSD)
    model = folder / "tiny.caffemodel"
    model.write_bytes(_message((1, "tiny")))  # no layer has weights
    return model


def write_yunet(folder: Path) -> Path:
    """A .onnx: a face of two strides' side around each red square of one stride; the score is the root of its red."""
    nodes, tensors, outputs = [], [], []
    for stride in (8, 16, 32):
        pooled = f"squares_{stride}"
        sides = {"kernel_shape": (stride, stride), "strides": (stride, stride)}
        nodes.append(_node("AveragePool", ["input"], pooled, sides))
        red = 1 / 255 if stride == STRIDE else 0.0
        for kind, red_weight, biases in (
            ("cls", red, (0.0,)),
            ("obj", 0.0, (1.0,)),
            ("bbox", 0.0, (0.5, 0.5, 0.693147, 0.693147)),  # the centre in strides, the logarithm of sides in strides
            ("kps", 0.0, POINTS),
        ):
            name, channels = f"{kind}_{stride}", len(biases)
            tensors += [
                _tensor(f"w_{name}", (channels, 3, 1, 1), [0.0, 0.0, red_weight] * channels),
                _tensor(f"b_{name}", (channels,), biases),
                _tensor(f"s_{name}", (3,), (1, -1, channels)),
            ]
            nodes += [
                _node("Conv", [pooled, f"w_{name}", f"b_{name}"], f"c_{name}", {"kernel_shape": (1, 1)}),
                _node("Transpose", [f"c_{name}"], f"t_{name}", {"perm": (0, 2, 3, 1)}),
                _node("Reshape", [f"t_{name}", f"s_{name}"], name, {}),
            ]
            outputs.append(_value(name, (1, (64 // stride) ** 2, channels)))
    fields = [(1, node) for node in nodes] + [(2, "tiny")] + [(5, tensor) for tensor in tensors]
    fields += [(11, _value("input", (1, 3, 64, 64)))] + [(12, output) for output in outputs]
    model = folder / "tiny.onnx"
    model.write_bytes(_message((1, 8), (7, _message(*fields)), (8, _message((1, ""), (2, 13)))))
    return model


def _message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A protocol buffer of field numbers and values."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(_varint(number << 3 | _VARINT) + _varint(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts.append(_varint(number << 3 | _BYTES) + _varint(len(data)) + data)
    return b"".join(parts)


def _varint(value: int) -> bytes:
    groups = []
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def _node(operator: str, inputs: list[str], output: str, attributes: dict[str, tuple[int, ...]]) -> bytes:
    """An ONNX NodeProto; every attribute is a list of integers."""
    lists = [
        (5, _message((1, name), *((8, value) for value in values), (20, 7))) for name, values in attributes.items()
    ]
    return _message(*((1, name) for name in inputs), (2, output), (3, f"make_{output}"), (4, operator), *lists)


def _tensor(name: str, shape: Sequence[int], values: Sequence[float]) -> bytes:
    """An ONNX TensorProto, of int64 if the values are integers, else of float32."""
    whole = all(isinstance(value, int) for value in values)
    data = struct.pack(f"<{len(values)}{'q' if whole else 'f'}", *values)
    return _message(*((1, side) for side in shape), (2, _INT64 if whole else _FLOAT), (8, name), (9, data))


def _value(name: str, shape: Sequence[int]) -> bytes:
    """An ONNX ValueInfoProto of float32."""
    dimensions = _message(*((1, _message((1, side))) for side in shape))
    return _message((1, name), (2, _message((1, _message((1, _FLOAT), (2, dimensions))))))
