"""Grad-CAM and HiResCAM: which places of a map, weighed by the gradient, speak for the score."""

from typing import Any

import keras
import numpy as np

from ferkeras.explain.gradients import gradient
from ferkeras.explain.network import FINE_SIDE, LEAST_SIDE, Inputs, mask_of, pixels_of, split, with_pixels
from ferkeras.explain.target import Target


def gradcam(model: keras.Model, inputs: Inputs, target: Target, *, layer: str | None = None) -> np.ndarray:
    """The maps of a layer, each weighed by the mean gradient of the score with respect to it, summed, and rectified.

    Source: Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2. For valence and arousal the score is the
    expectation over the bins: the map shows what raises it. In a clip the gradient comes back through the temporal
    part, and each frame has weights of its own; a frame that the mask leaves out has a map of zeros.

    Args:
        model: Of images, or of clips with `encoder` and `temporal`.
        inputs: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}, pixels in [0, 255].
        target: What is explained.
        layer: See `split`.

    Returns:
        (B, [T,] h, w) float32, at least 0, at the resolution of the layer.

    Raises:
        InputError: as `split`.
    """
    maps, gradients = _maps_and_gradients(model, inputs, target, layer, LEAST_SIDE)
    return _rectified(gradients.mean(axis=(-3, -2), keepdims=True) * maps)


def hirescam(model: keras.Model, inputs: Inputs, target: Target, *, layer: str | None = None) -> np.ndarray:
    """The maps of a layer, each place weighed by its own gradient, summed, and rectified.

    Source: Draelos & Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations", 2020, equation 6. Without
    the mean over the places it also holds for layers before the last one, whose maps are finer: the default layer is
    the last one with at least twelve rows and columns. For the rest see `gradcam`.
    """
    maps, gradients = _maps_and_gradients(model, inputs, target, layer, FINE_SIDE)
    return _rectified(gradients * maps)


def _maps_and_gradients(
    model: keras.Model, inputs: Inputs, target: Target, layer: str | None, least_side: int
) -> tuple[np.ndarray, np.ndarray]:
    """Two of (B, [T,] h, w, C)."""
    parts = split(model, layer, least_side=least_side)
    pixels = pixels_of(inputs)
    tensors = with_pixels(inputs, pixels)
    mask = mask_of(tensors)
    maps = keras.ops.convert_to_numpy(parts.maps(tensors))

    def score(at: Any) -> Any:
        return target.score(parts.outputs(at, tensors), mask)

    shape = (*pixels.shape[:-3], *maps.shape[1:])
    return maps.reshape(shape), gradient(score, maps).reshape(shape)


def _rectified(weighed: np.ndarray) -> np.ndarray:
    return np.maximum(weighed.sum(axis=-1), 0).astype(np.float32)
