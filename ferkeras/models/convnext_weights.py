"""First weights for ConvNeXt stages, from ImageNet or from a file, with an account of every tensor."""

import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

HEAD = "emotion"
_NAMES = {"tiny": "Tiny", "small": "Small", "base": "Base", "large": "Large", "xlarge": "XLarge"}
#: Layer of keras.applications, without its model's name -> layer here; stages count from 0 there and from 1 here.
_PATTERNS = {
    r"stem_conv": "stem_conv",
    r"stem_layernorm": "stem_norm",
    r"downsampling_layernorm_(\d)": "downsample{0}_norm",
    r"downsampling_conv_(\d)": "downsample{0}_conv",
    r"stage_(\d)_block_(\d+)_depthwise_conv": "stage{0}_block{1}_depthwise",
    r"stage_(\d)_block_(\d+)_layernorm": "stage{0}_block{1}_norm",
    r"stage_(\d)_block_(\d+)_pointwise_conv_1": "stage{0}_block{1}_expand",
    r"stage_(\d)_block_(\d+)_pointwise_conv_2": "stage{0}_block{1}_project",
    r"stage_(\d)_block_(\d+)_layer_scale": "stage{0}_block{1}_scale",
    r"head_layernorm": "features",
}
#: Tensors that every ConvNeXt has.
_CONVNEXT = re.compile(r"(stem|downsample\d)_(conv|norm)/|stage\d_block|features/")


@dataclass(frozen=True)
class Transfer:
    """Tensors by path, sorted.

    Attributes:
        taken: Of the model, now with the source's values.
        left: Of the source, with no place in the model.
        begun: Of the model, not in the source: they keep their first values.
    """

    taken: tuple[str, ...]
    left: tuple[str, ...]
    begun: tuple[str, ...]

    def __str__(self) -> str:
        def brief(paths: tuple[str, ...]) -> str:
            names = list(dict.fromkeys(path.split("/")[0] for path in paths))
            return f"{len(paths)} ({', '.join(names)})" if names else "none"

        return (
            f"{len(self.taken)} tensors taken; left in the source: {brief(self.left)}; begun anew: {brief(self.begun)}"
        )


def load_convnext(model: keras.Model, source: str, *, size: str) -> Transfer:
    """Puts the weights of `source` into the layers of `model` that are ConvNeXt's, and says which on standard error.

    Args:
        model: Built by `ferkeras.models.emonext`.
        source: `imagenet`, a weights file of keras.applications' ConvNeXt of this size (`.h5`, `.weights.h5`), or a
            `.keras` file of such a model or of one of this library.
        size: Of the ConvNeXt.

    Returns:
        What was done. The classifier is taken only where it has as many classes.

    Raises:
        ValueError: where the source cannot be had or read, has nothing that fits, or a tensor of another shape;
            the model is then as it was.
    """
    found = dict(_tensors(_open(source, size=size)))
    own_tensors = dict(_own_tensors(model))
    wanted = {path: variable for path, variable in own_tensors.items() if path in found}
    for path in list(wanted):
        given, own = found[path].shape, tuple(wanted[path].shape)
        if given == own:
            continue
        if not path.startswith(f"{HEAD}/"):
            raise ValueError(
                f"The weights of {source} do not fit: {path} has shape {own}. Received: {given}. "
                f"Take a ConvNeXt of size {size} and the model's full width."
            )
        del wanted[path]
    if all(path.startswith(f"{HEAD}/") for path in wanted):  # a bias fits wherever the classes are as many
        raise ValueError(f"{source} holds no ConvNeXt weights. Received layers such as {', '.join(list(found)[:3])}.")
    odd = sorted(path for path in set(found) ^ set(own_tensors) if _CONVNEXT.match(path))
    if odd:
        raise ValueError(
            f"The weights of {source} are of another ConvNeXt. Received: {len(odd)} tensors that only one of the two "
            f"has, such as {odd[0]}. Take a ConvNeXt of size {size}."
        )
    for path, variable in wanted.items():
        variable.assign(found[path])
    transfer = Transfer(
        taken=tuple(sorted(wanted)),
        left=tuple(sorted(set(found) - set(wanted))),
        begun=tuple(sorted(set(own_tensors) - set(wanted))),
    )
    print(f"ferkeras: {source}: {transfer}.", file=sys.stderr)
    return transfer


def _open(source: str, *, size: str) -> keras.Model:
    """The model that holds the weights named by `source`."""
    create = getattr(keras.applications, f"ConvNeXt{_NAMES[size]}")
    if source == "imagenet":
        try:
            return create(weights="imagenet")
        except Exception as error:  # whatever the download raises
            raise ValueError(
                f"The ImageNet weights of ConvNeXt {size} cannot be had: {error} "
                "Give weights the path of a file that was fetched elsewhere."
            ) from error
    path = Path(source)
    if not path.is_file():
        raise ValueError(f"weights must be imagenet or a file. Received: {source}, which is not there.")
    if path.suffix == ".keras":
        try:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{source} is not a Keras model that can be read: {error}") from error
    if path.suffix != ".h5":
        raise ValueError(f"weights must be a .h5, .weights.h5 or .keras file. Received: {source}.")
    problem: Exception | None = None
    for options in ({"include_top": True}, {"include_top": False, "pooling": "avg"}):
        reference = create(weights=None, **options)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of parts that are missing, each of which is then an error
                reference.load_weights(path)
            return reference
        except (OSError, ValueError, TypeError, KeyError) as error:
            problem = problem or error
    raise ValueError(f"{source} does not hold the weights of keras.applications' ConvNeXt {size}: {_brief(problem)}")


def _brief(problem: object) -> str:
    """What Keras says, in one line and without the values of a tensor or the list of all layers behind it."""
    return " ".join(re.split(r" Target variable:|\n\nList of objects", str(problem))[0].split())


def _own_tensors(model: keras.Model) -> Iterator[tuple[str, keras.Variable]]:
    for layer in model.layers:
        for variable in layer.weights:
            yield f"{layer.name}/{_inside(layer, variable)}", variable


def _tensors(model: keras.Model) -> Iterator[tuple[str, Any]]:
    """`layer/tensor` under the names that this library uses, and its values, of all layers at any depth."""
    top = model.layers[-1]
    for layer in _leaves(model):
        name = _own_name(layer.name, prefix=f"{model.name}_")
        # Without its classifier, the last normalisation of keras.applications' model has no name of its own.
        if layer is top and isinstance(layer, keras.layers.LayerNormalization):
            name = "features"
        for variable in layer.weights:
            values = keras.ops.convert_to_numpy(variable.value)
            if isinstance(layer, keras.layers.Conv2D) and layer.groups > 1:
                values = values.transpose(0, 1, 3, 2) if values.ndim == 4 else values  # a depthwise kernel here
            # The layer scale of keras.applications has a variable that has no name there.
            inside = "gamma" if name.endswith("_scale") else _inside(layer, variable)
            yield f"{name}/{inside}", values


def _leaves(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        else:
            yield layer


def _inside(layer: keras.layers.Layer, variable: keras.Variable) -> str:
    """The path of `variable` below its layer: `kernel`, or `query/kernel` in a layer made of layers."""
    return variable.path.rpartition(f"{layer.name}/")[2]


def _own_name(name: str, *, prefix: str) -> str:
    bare = name.removeprefix(prefix)
    for pattern, own in _PATTERNS.items():
        match = re.fullmatch(pattern, bare)
        if match:
            numbers = [int(group) for group in match.groups()]
            shift = 2 if bare.startswith("downsampling") else 1
            return own.format(*(number + (shift if index == 0 else 1) for index, number in enumerate(numbers)))
    return name
