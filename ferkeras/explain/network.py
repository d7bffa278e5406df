"""A network as the methods see it: called in inference mode, and cut in two at one of its maps."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.inference import keras_runner

#: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}; pixels in [0, 255].
Inputs = Any
#: Rows and columns of the coarsest map that Grad-CAM takes where the user names no layer, and HiResCAM.
LEAST_SIDE, FINE_SIDE = 6, 12
#: Fewer channels are the picture itself, scaled or normalised.
LEAST_CHANNELS = 8


def pixels_of(inputs: Inputs) -> np.ndarray:
    """(B, [T,] H, W, C) float32."""
    return np.asarray(inputs["frames"] if isinstance(inputs, Mapping) else inputs, np.float32)


def with_pixels(inputs: Inputs, pixels: Any) -> Inputs:
    """`inputs` as tensors, with other pixels."""
    pixels = keras.ops.convert_to_tensor(pixels, dtype="float32")
    if not isinstance(inputs, Mapping):
        return pixels
    return {"frames": pixels, "frame_mask": keras.ops.convert_to_tensor(inputs["frame_mask"], dtype="bool")}


def mask_of(inputs: Inputs) -> Any:
    """(B, T), or None for images."""
    return inputs["frame_mask"] if isinstance(inputs, Mapping) else None


def call(model: keras.Model, inputs: Inputs) -> dict[str, Any]:
    """{head: logits} in inference mode; in inputs and outputs anything that Keras takes for a tensor."""
    pixels = inputs["frames"] if isinstance(inputs, Mapping) else inputs
    return model(with_pixels(inputs, pixels), training=False)


def values(model: keras.Model, inputs: Inputs, read: Callable[..., Any], *, batch: int = 32) -> np.ndarray:
    """(B,) float64: `read`, a method of a target, of the outputs, computed `batch` examples at a time."""
    run = keras_runner(model)
    parts = []
    for start in range(0, len(pixels_of(inputs)), batch):
        part = keras.tree.map_structure(lambda x, start=start: np.asarray(x[start : start + batch]), inputs)
        found = read(run(part), mask_of(part))
        parts.append(np.asarray(keras.ops.convert_to_numpy(found), np.float64))
    return np.concatenate(parts)


@dataclass(frozen=True)
class Split:
    """A network cut at a map.

    Attributes:
        layer: Whose output the map is.
        maps: Inputs as tensors to the map (N, h, w, C); N is B, or B*T for clips.
        outputs: The map and the inputs, which may reach the outputs by other ways too, to {head: logits}.
    """

    layer: str
    maps: Callable[[Inputs], Any]
    outputs: Callable[[Any, Inputs], dict[str, Any]]


def split(model: keras.Model, layer: str | None = None, *, least_side: int = LEAST_SIDE) -> Split:
    """Cuts `model` at a map.

    Args:
        model: Of images, or of clips with an `encoder` of frames and a `temporal` part.
        layer: Name of a layer with an output (B, h, w, C). None is the last one, in the order of the network, with
            at least six rows and columns: `feature_map` where it is large enough, which for faces of 48 pixels it is
            not (3 x 3).

    Raises:
        InputError: for a network of clips without these parts, or a layer that is not there or gives no map.
    """
    if len(model.inputs) == 1:
        return cut(model, layer, least_side=least_side)
    parts = sequence_parts(model)
    frame = cut(parts["encoder"], layer, least_side=least_side)

    def images(inputs: Inputs) -> Any:
        return parts["fold"](inputs["frames"], inputs["frame_mask"])

    def outputs(maps: Any, inputs: Inputs) -> dict[str, Any]:
        vectors = parts["unfold"](frame.outputs(maps, images(inputs)), inputs["frame_mask"])
        return parts["temporal"]({"features": vectors, "frame_mask": inputs["frame_mask"]}, training=False)

    return Split(frame.layer, lambda inputs: frame.maps(images(inputs)), outputs)


def sequence_parts(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """The layers of a `sequence_model` by name; raises `InputError` for a network of clips that is none."""
    parts = {part.name: part for part in model.layers}
    if not {"fold", "encoder", "unfold", "temporal"} <= set(parts):
        action = "Take --method saliency, smoothgrad or occlusion."
        raise InputError("The network has no encoder of single frames", received=model.name, action=action)
    return parts


def cut(model: keras.Model, layer: str | None, *, least_side: int = LEAST_SIDE) -> Split:
    """`split` for a network of images (N, H, W, C), whatever its outputs."""
    name = layer or _default_layer(model, least_side)
    found = next((part for part in model.layers if part.name == name), None)
    if found is None or len(getattr(found.output, "shape", ())) != 4:
        maps = [part.name for part in model.layers if len(getattr(part.output, "shape", ())) == 4]
        close = difflib.get_close_matches(name, maps, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Maps: {', '.join(maps[-6:])}."
        raise InputError("There is no layer of this name with a map", received=name, action=hint)
    (image,) = model.inputs
    before = keras.Model(image, found.output)
    after = keras.Model([found.output, image], model.output)
    return Split(
        name,
        lambda images: before(images, training=False),
        lambda maps, images: after([maps, images], training=False),
    )


def _default_layer(model: keras.Model, least_side: int) -> str:
    large = "feature_map"
    for part in model.layers:
        shape: tuple[int, ...] = getattr(part.output, "shape", ())
        if len(shape) == 4 and min(shape[1:3]) >= least_side and shape[3] >= LEAST_CHANNELS:
            large = part.name
    return large
