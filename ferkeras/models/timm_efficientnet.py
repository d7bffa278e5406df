"""Published PyTorch weights of EfficientNet under the names of timm, put into the EfficientNet of keras.applications.

Sources: Tan & Le, "EfficientNet", ICML 2019, table 1; the names of the layers in timm: `conv_stem`, `bn1`,
`blocks.<stage>.<block>.*`, `conv_head`, `bn2`, `classifier`. Both build the same network but for two points:

* Padding of the convolutions of stride 2. `tf_efficientnet_*` pads as TensorFlow's SAME, as keras.applications does:
  at an even size one zero fewer at the top and left than at the bottom and right. `efficientnet_*` pads all sides
  alike. The two coincide where every such convolution sees an odd size, which it does for sides of 32 k + 1 (225, 257,
  ...); weights of the latter kind are taken for such sides alone.
* Epsilon of the batch normalisation, 1e-3 in `tf_efficientnet_*` and keras.applications, 1e-5 in `efficientnet_*`. The
  scale makes up for it, so that inference is the same: gamma * sqrt((variance + 1e-3) / (variance + 1e-5)).

Pixels are scaled alike: [0, 1], less ImageNet's mean, by its deviation (`ferkeras.models.imagenet`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.models.onnx_weights import Network, read_onnx
from ferkeras.models.torch_weights import read_tensors

_NORM = ("weight", "bias", "running_mean", "running_var")
_HEADS = ("emotion", "valence", "arousal")


@dataclass(frozen=True)
class Architecture:
    """One of timm's EfficientNets."""

    backbone: str
    """In `ferkeras.models.imagenet.BACKBONES`."""
    repeats: tuple[int, ...]
    """Blocks of each of the seven stages."""
    side: int
    """Of the input, in pixels."""
    symmetric: bool = False
    """Padding alike on all sides."""
    epsilon: float = 1e-3


_B0, _B2 = (1, 2, 2, 3, 3, 4, 1), (2, 3, 3, 4, 4, 5, 2)
ARCHITECTURES: dict[str, Architecture] = {
    "tf_efficientnet_b0": Architecture("efficientnet_b0", _B0, side=224),
    "tf_efficientnet_b2": Architecture("efficientnet_b2", _B2, side=260),
    "efficientnet_b0": Architecture("efficientnet_b0", _B0, side=225, symmetric=True, epsilon=1e-5),
    "efficientnet_b2": Architecture("efficientnet_b2", _B2, side=257, symmetric=True, epsilon=1e-5),
}


def read_efficientnet(path: Path, *, architecture: str) -> dict[str, np.ndarray]:
    """Tensors of a weights file under timm's names, `classifier` among them.

    Args:
        path: `.safetensors`, `.onnx`, or a PyTorch state dict.
        architecture: In `ARCHITECTURES`. Only ONNX files tell it, and one of another is refused.

    Raises:
        InputError: for a file that cannot be read, see `read_tensors` and `read_onnx`, or that has no classifier.
    """
    kind = ARCHITECTURES[architecture]
    found = _named(path, read_onnx(path), kind) if path.suffix == ".onnx" else read_tensors(path)
    # Some published classifiers are a sequence of one layer.
    tensors = {name.replace("classifier.0.", "classifier."): values for name, values in found.items()}
    tensors = {name: values for name, values in tensors.items() if not name.endswith(".num_batches_tracked")}
    if "classifier.weight" not in tensors or tensors["classifier.weight"].ndim != 2:
        raise InputError(
            "An EfficientNet of timm has a dense layer classifier",
            received=f"{path} with tensors such as {', '.join(list(tensors)[:3]) or 'none'}",
        )
    return tensors


def load_efficientnet(model: keras.Model, tensors: Mapping[str, np.ndarray], *, architecture: str) -> None:
    """Gives `model` the weights `tensors`, each of which must have its place, and each place its tensor.

    Args:
        model: Of `efficientnet_va` or `imagenet_classifier`, with this backbone.
        tensors: Of `read_efficientnet`. Rows of `classifier` are the emotions, then valence, then arousal.
        architecture: In `ARCHITECTURES`.

    Raises:
        InputError: for tensors that are missing, too many, of another shape or not finite, all of which are named, and
            for an input size at which padding differs; the model is then as it was.
    """
    kind, (height, width) = ARCHITECTURES[architecture], model.input.shape[1:3]
    if kind.symmetric and (height % 32 != 1 or width % 32 != 1):
        raise InputError(
            f"{architecture} pads alike on all sides, which is what is computed here for sides of 32 k + 1 alone",
            received=f"{height}x{width}",
            action=f"Take a side of {kind.side}.",
        )
    places = dict(_places(model, kind))
    _check(places, tensors)
    for place, (variables, _) in places.items():
        layer, _, part = place.rpartition(".")
        values = np.asarray(tensors[place], np.float32)
        if part == "weight" and f"{layer}.running_var" in tensors:
            variance = np.asarray(tensors[f"{layer}.running_var"], np.float64)
            own = 1e-3  # of keras.applications
            values = (values * np.sqrt((variance + own) / (variance + kind.epsilon))).astype(np.float32)
        _assign(variables, values)


#: The variables that share a tensor, one but for the classifier, and its shape in PyTorch.
_Place = tuple[list[keras.Variable], tuple[int, ...]]


def _convolutions(repeats: tuple[int, ...]) -> Iterator[tuple[str, str | None, str, str | None]]:
    """Convolution and its normalisation in timm, and the two in keras.applications, in the order of the computation."""
    yield "conv_stem", "bn1", "stem_conv", "stem_bn"
    for stage, blocks in enumerate(repeats):
        # The blocks of the first stage do not expand, so that what follows is numbered otherwise.
        depthwise, project, last = ("bn2", "conv_pwl", "bn3") if stage else ("bn1", "conv_pw", "bn2")
        for block in range(blocks):
            theirs, own = f"blocks.{stage}.{block}.", f"block{stage + 1}{chr(ord('a') + block)}_"
            if stage:
                yield f"{theirs}conv_pw", f"{theirs}bn1", f"{own}expand_conv", f"{own}expand_bn"
            yield f"{theirs}conv_dw", f"{theirs}{depthwise}", f"{own}dwconv", f"{own}bn"
            yield f"{theirs}se.conv_reduce", None, f"{own}se_reduce", None
            yield f"{theirs}se.conv_expand", None, f"{own}se_expand", None
            yield f"{theirs}{project}", f"{theirs}{last}", f"{own}project_conv", f"{own}project_bn"
    yield "conv_head", "bn2", "top_conv", "top_bn"


def _places(model: keras.Model, kind: Architecture) -> Iterator[tuple[str, _Place]]:
    """Each tensor that `model` needs, under timm's name."""
    body = model.get_layer("backbone")
    for convolution, norm, own, own_norm in _convolutions(kind.repeats):
        for part, variable in zip(("weight", "bias"), body.get_layer(own).weights, strict=False):
            yield f"{convolution}.{part}", ([variable], _in_pytorch(tuple(variable.shape)))
        if norm is not None:
            for part, variable in zip(_NORM, body.get_layer(own_norm).weights, strict=True):
                yield f"{norm}.{part}", ([variable], tuple(variable.shape))
    heads = [model.get_layer(head) for head in _HEADS if head in model.output]
    rows = sum(head.units for head in heads)
    yield "classifier.weight", ([head.kernel for head in heads], (rows, heads[0].kernel.shape[0]))
    yield "classifier.bias", ([head.bias for head in heads], (rows,))


def _in_pytorch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of a kernel (H, W, I, O), depthwise (H, W, C, 1), as (O, I, H, W) and (C, 1, H, W)."""
    if len(shape) != 4:
        return shape
    height, width, inputs, outputs = shape
    return (inputs, 1, height, width) if outputs == 1 else (outputs, inputs, height, width)


def _assign(variables: list[keras.Variable], values: np.ndarray) -> None:
    if values.ndim == 4:
        depthwise = variables[0].shape[-1] == 1
        variables[0].assign(values.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0)))
        return
    row = 0
    for variable in variables:  # one, or the heads that the rows of the classifier are cut into
        rows = variable.shape[-1] if values.ndim == 2 or len(variables) > 1 else len(values)
        variable.assign(values[row : row + rows].T)
        row += rows


def _check(places: Mapping[str, _Place], tensors: Mapping[str, np.ndarray]) -> None:
    faults = [f"{place} is missing" for place in places if place not in tensors]
    faults += [f"{name} has no place" for name in tensors if name not in places]
    for name, (_, shape) in places.items():
        if name not in tensors:
            continue
        tensor = tensors[name]
        if tensor.shape != shape:
            faults.append(f"{name} must be {shape} and is {tensor.shape}")
        elif tensor.dtype.kind != "f":
            faults.append(f"{name} must be floating-point and is {tensor.dtype}")
        elif not np.all(np.abs(tensor) <= np.finfo(np.float32).max):
            faults.append(f"{name} must be finite in float32")
        elif name.endswith(".running_var") and tensor.min() < 0:
            faults.append(f"{name} must not be negative")
    if faults:
        more = f"; and {len(faults) - 12} more" if len(faults) > 12 else ""
        raise InputError(f"The weights do not fit: {'; '.join(faults[:12])}{more}")


def _named(path: Path, network: Network, kind: Architecture) -> dict[str, np.ndarray]:
    """Tensors of an ONNX file under timm's names.

    Normalisation that was folded into a convolution is given back as one that adds the bias and changes nothing else:
    inference is the same, but a network trained on from there begins with other statistics than the original.
    """
    names = list(_convolutions(kind.repeats))
    if len(network.convolutions) != len(names):
        raise InputError(
            f"The network must have {len(names)} convolutions",
            received=f"{path} with {len(network.convolutions)}",
            action="Name its --architecture.",
        )
    symmetric = network.convolutions[0].pads == (1, 1, 1, 1)
    epsilons = {conv.normalisation.epsilon for conv in network.convolutions if conv.normalisation is not None}
    if symmetric != kind.symmetric or any(not np.isclose(epsilon, kind.epsilon) for epsilon in epsilons):
        raise InputError(
            "The network is of another architecture",
            received=f"{path}, padding {'alike on all sides' if symmetric else 'as TensorFlow'}, "
            f"epsilon {', '.join(f'{e:.0e}' for e in sorted(epsilons)) or 'not told'}",
            action="Those with tf_ pad as TensorFlow with epsilon 1e-3, the others alike on all sides with 1e-5.",
        )
    found = {"classifier.weight": network.weight, "classifier.bias": network.bias}
    for (name, norm, *_), convolution in zip(names, network.convolutions, strict=True):
        found[f"{name}.weight"] = convolution.weight
        bias = convolution.bias if convolution.bias is not None else np.zeros(len(convolution.weight), np.float32)
        if norm is None:
            found[f"{name}.bias"] = bias
            continue
        given, ones = convolution.normalisation, np.ones_like(bias)
        vectors = (ones, bias, 0 * ones, (1 - kind.epsilon) * ones)
        if given is not None:  # a bias before it is as much less mean
            vectors = (given.gamma, given.beta, given.mean - bias, given.variance)
        found |= {f"{norm}.{part}": vector for part, vector in zip(_NORM, vectors, strict=True)}
    return found
