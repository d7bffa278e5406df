"""What a spatial transformer does, as a picture: images above what the network behind it sees of them."""

from pathlib import Path

import keras
import numpy as np
from PIL import Image

from ferkeras.errors import InputError
from ferkeras.files import staged

LAYER = "spatial_transformer"
COLUMNS = 8
GAP = 2
"""White pixels between two images."""
PAIR_GAP = 10
"""White pixels between the output of an image and the image of the next line."""


def has_spatial_transformer(model: keras.Model) -> bool:
    """True where `stn_sheet` has something to show."""
    return any(layer.name == LAYER for layer in model.layers)


def stn_sheet(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Lines of up to eight images, each above its transformed self.

    Source: Jaderberg et al., "Spatial transformer networks", NIPS 2015, figure 1, shows its results so.

    Args:
        model: With a layer `spatial_transformer`, whose output is the transformed image (B, H, W, 1 or 3) in [0, 1].
        images: (B, H, W, 1 or 3) pixels in [0, 255], as the model takes them; B at least one.

    Returns:
        (height, width, 3) uint8. The same weights and images give the same bytes; the model is not changed.

    Raises:
        InputError: for a model without such a layer, or no image.
    """
    if not has_spatial_transformer(model):
        action = "EmoNeXt has one, unless model.options.transformer is false."
        raise InputError(f"The model has no layer {LAYER}", received=model.name, action=action)
    if not len(images):
        raise InputError("A sheet needs at least one image", received=f"shape {np.shape(images)}")
    seen = keras.Model(model.input, model.get_layer(LAYER).output)
    # Called, not `predict`: a graph for these few images would take longer than the images.
    outputs = seen(images.astype("float32"), training=False)
    outputs = keras.ops.convert_to_numpy(keras.ops.cast(outputs, "float32")) * 255
    pairs = [_stack([above, below], axis=0, gap=GAP) for above, below in zip(_rgb(images), _rgb(outputs), strict=True)]
    columns = min(COLUMNS, len(pairs))
    pairs += [np.full_like(pairs[0], 255)] * (-len(pairs) % columns)  # fills the last line
    lines = [_stack(pairs[start : start + columns], axis=1, gap=GAP) for start in range(0, len(pairs), columns)]
    return _stack(lines, axis=0, gap=PAIR_GAP)


def write_stn_sheet(model: keras.Model, images: np.ndarray, path: Path) -> None:
    """`stn_sheet` as a PNG file, written whole or not at all; raises what that raises."""
    sheet = stn_sheet(model, images)
    with staged(path) as unfinished:
        Image.fromarray(sheet).save(unfinished, format="PNG")


def _rgb(images: np.ndarray) -> np.ndarray:
    """(B, H, W, 1 or 3) in [0, 255] -> (B, H, W, 3) uint8."""
    rounded = np.clip(np.rint(images), 0, 255).astype(np.uint8)
    return np.broadcast_to(rounded, (*rounded.shape[:3], 3))


def _stack(parts: list[np.ndarray], *, axis: int, gap: int) -> np.ndarray:
    """The pictures (H, W, 3) one after the other along `axis`, with white between them."""
    shape = list(parts[0].shape)
    shape[axis] = gap
    white = np.full(shape, 255, np.uint8)
    between = [piece for part in parts for piece in (white, part)]
    return np.concatenate(between[1:], axis=axis)
