"""What all methods give in the end: a raw map, and the same enlarged to the picture with values in [0, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.explain.attention import attention
from ferkeras.explain.cam import cam
from ferkeras.explain.gradcam import gradcam, hirescam
from ferkeras.explain.network import Inputs, pixels_of
from ferkeras.explain.occlusion import frame_occlusion, occlusion
from ferkeras.explain.saliency import saliency, smoothgrad
from ferkeras.explain.target import Target

METHODS = ("gradcam", "hirescam", "cam", "saliency", "smoothgrad", "occlusion", "attention")


@dataclass(frozen=True)
class Options:
    """Settings of the methods; each takes those that are its own.

    Attributes:
        layer: Grad-CAM and HiResCAM: the layer, see `split`.
        patch: Occlusion: side of the square in pixels.
        stride: Occlusion: pixels from one place to the next.
        samples: SmoothGrad: noisy copies.
        noise: SmoothGrad: standard deviation as a fraction of the picture's range.
        seed: SmoothGrad: of the noise.
    """

    layer: str | None = None
    patch: int | None = None
    stride: int | None = None
    samples: int = 24
    noise: float = 0.1
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Maps:
    """What counted, for each of B examples.

    Attributes:
        raw: As the method gives it, in its own units and resolution: (B, [T,] h, w), or weights (B, H) of rows.
        map: (B, [T,] H, W) float32 in [0, 1], see `normalised`.
        frames: (B, T) float32: how much each frame of a clip counts, from methods that say so.
    """

    raw: np.ndarray
    map: np.ndarray
    frames: np.ndarray | None = None


def explain(
    model: keras.Model, inputs: Inputs, target: Target, *, method: str = "gradcam", options: Options | None = None
) -> Maps:
    """What in the inputs counts for the target.

    Args:
        model: A trained network, float32.
        inputs: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}, pixels in [0, 255].
        target: What is explained.
        method: One of `METHODS`.
        options: Settings of the methods.

    Raises:
        InputError: for an unknown method, or one that the network does not allow.
    """
    options = options or Options()
    size = pixels_of(inputs).shape[-3:-1]
    frames = None
    if method == "gradcam":
        raw = gradcam(model, inputs, target, layer=options.layer)
    elif method == "hirescam":
        raw = hirescam(model, inputs, target, layer=options.layer)
    elif method == "cam":
        raw = cam(model, inputs, target)
    elif method == "saliency":
        raw = saliency(model, inputs, target)
    elif method == "smoothgrad":
        raw = smoothgrad(model, inputs, target, samples=options.samples, noise=options.noise, seed=options.seed)
    elif method == "occlusion":
        raw = occlusion(model, inputs, target, patch=options.patch, stride=options.stride)
        frames = frame_occlusion(model, inputs, target) if raw.ndim == 4 else None
    elif method == "attention":
        return _attention_maps(attention(model, inputs), inputs)
    else:
        raise InputError("Unknown method", received=method, action=f"Known: {', '.join(METHODS)}.")
    return Maps(raw, normalised(enlarged(raw, size)), frames)


def normalised(maps: np.ndarray) -> np.ndarray:
    """Maps (B, ...) float32 in [0, 1]: what is below 0 is 0, and the largest value of an example is 1.

    The frames of a clip share one scale. An example in which nothing is above 0 stays 0 throughout.
    """
    positive = np.maximum(maps, 0)
    largest = positive.max(axis=tuple(range(1, positive.ndim)), keepdims=True)
    return np.divide(positive, largest, out=np.zeros_like(positive), where=largest > 0).astype(np.float32)


def enlarged(maps: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Maps (..., h, w) bilinearly to (..., H, W), as float32."""
    height, width = size
    flat = maps.reshape(-1, *maps.shape[-2:]).astype(np.float32)
    resized = [cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in flat]
    return np.stack(resized).reshape(*maps.shape[:-2], height, width)


def _attention_maps(weights: np.ndarray, inputs: Inputs) -> Maps:
    """Weights are above 0 throughout, so that 0 on the scale of the map is the smallest one of the example."""
    shape = pixels_of(inputs).shape[:-1]
    above = normalised(weights - weights.min(axis=1, keepdims=True))
    if len(shape) == 3:  # over rows
        return Maps(weights, np.broadcast_to(above[:, :, None], shape).copy())
    return Maps(weights, np.broadcast_to(above[:, :, None, None], shape).copy(), weights)
