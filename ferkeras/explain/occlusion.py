"""Occlusion: how much the score falls when a part of the picture, or a frame of the clip, is hidden."""

from collections.abc import Mapping

import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.explain.network import Inputs, pixels_of, values
from ferkeras.explain.target import Target


def occlusion(
    model: keras.Model,
    inputs: Inputs,
    target: Target,
    *,
    patch: int | None = None,
    stride: int | None = None,
    batch: int = 32,
) -> np.ndarray:
    """The fall of the score while a square patch of the mean colour covers a pixel, averaged over all that do.

    Source: Zeiler & Fergus, "Visualizing and understanding convolutional networks", ECCV 2014, section 4.2.
    Deviations: the logit and not the probability, which no longer moves once the network is sure; and the mean of the
    picture rather than a fixed grey. In a clip the patch covers the same place of all frames at once.

    Args:
        model: Any.
        inputs: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}, pixels in [0, 255].
        target: What is explained.
        patch: Side of the square in pixels; None is a sixth of the shorter side.
        stride: Pixels from one place to the next; None is a third of the patch.
        batch: Occluded copies that the network sees at once.

    Returns:
        (B, [T,] H, W) float32; below 0 where the part spoke against the target. All frames have the same map.

    Raises:
        InputError: for a patch that is larger than the picture, or a stride larger than the patch.
    """
    pixels = pixels_of(inputs)
    height, width = pixels.shape[-3:-1]
    patch = max(2, min(height, width) // 6) if patch is None else patch
    stride = max(1, patch // 3) if stride is None else stride
    if not 1 <= patch <= min(height, width) or not 1 <= stride <= patch:
        what = f"A patch has 1 to {min(height, width)} pixels, and its stride 1 to as many as the patch"
        raise InputError(what, received=f"patch {patch}, stride {stride}")
    fill = pixels.mean(axis=tuple(range(1, pixels.ndim - 1)), keepdims=True)
    squares = [
        (..., slice(top, top + patch), slice(left, left + patch))
        for top in _places(height, patch, stride)
        for left in _places(width, patch, stride)
    ]
    fall = np.zeros((len(pixels), height, width))
    covered = np.zeros((height, width))
    together = max(1, batch // len(pixels))  # squares at once
    whole = values(model, inputs, target.score, batch=batch)
    for start in range(0, len(squares), together):
        some = squares[start : start + together]
        hidden = np.tile(pixels, (len(some), *[1] * (pixels.ndim - 1)))
        for copy, square in zip(np.split(hidden, len(some)), some, strict=True):
            copy[(*square, slice(None))] = fill
        found = values(model, _repeated(inputs, hidden), target.score, batch=batch).reshape(len(some), -1)
        for without, square in zip(found, some, strict=True):
            fall[square] += (whole - without)[:, None, None]
            covered[square] += 1
    raw = (fall / covered).astype(np.float32)
    return np.broadcast_to(raw[:, None], pixels.shape[:-1]).copy() if isinstance(inputs, Mapping) else raw


def frame_occlusion(model: keras.Model, inputs: Inputs, target: Target, *, batch: int = 32) -> np.ndarray:
    """The fall of the score when a frame is left out by the mask: how much each frame of a clip counts.

    Args:
        inputs: {"frames": (B, T, H, W, C), "frame_mask": (B, T)}.

    Returns:
        (B, T) float32; 0 for frames that are left out already, and for the only frame of a clip.

    Raises:
        InputError: for images.
    """
    if not isinstance(inputs, Mapping):
        raise InputError("Frames are left out of clips", received="images", action="Take `occlusion`.")
    mask = np.asarray(inputs["frame_mask"], bool)
    whole = values(model, inputs, target.score, batch=batch)
    fall = np.zeros(mask.shape, np.float32)
    for step in range(mask.shape[1]):
        without = mask.copy()
        without[:, step] = False
        rest = without.any(axis=1) & mask[:, step]  # an empty clip says nothing
        left_out = values(model, {**inputs, "frame_mask": without}, target.score, batch=batch)
        fall[rest, step] = (whole - left_out)[rest]
    return fall


def _repeated(inputs: Inputs, pixels: np.ndarray) -> Inputs:
    """`inputs` as often as their changed `pixels` hold them."""
    if not isinstance(inputs, Mapping):
        return pixels
    mask = np.asarray(inputs["frame_mask"])
    return {"frames": pixels, "frame_mask": np.tile(mask, (len(pixels) // len(mask), 1))}


def _places(side: int, patch: int, stride: int) -> list[int]:
    """First pixels of the patches; the last one ends at the border."""
    last = side - patch
    return sorted({*range(0, last, stride), last})
