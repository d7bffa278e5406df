"""Saliency: how much each pixel moves the score, at the picture itself or averaged over noisy copies of it."""

from typing import Any

import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.explain.gradients import gradient
from ferkeras.explain.network import Inputs, call, mask_of, pixels_of, with_pixels
from ferkeras.explain.target import Target


def saliency(model: keras.Model, inputs: Inputs, target: Target) -> np.ndarray:
    """The size of the gradient of the score with respect to each pixel, the largest of the channels.

    Source: Simonyan et al., "Deep inside convolutional networks", ICLR workshop 2014, section 3.1.

    Args:
        model: Any that is differentiable.
        inputs: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}, pixels in [0, 255].
        target: What is explained.

    Returns:
        (B, [T,] H, W) float32, change of the score per grey level.
    """
    return _largest(_pixel_gradient(model, inputs, pixels_of(inputs), target))


def smoothgrad(
    model: keras.Model, inputs: Inputs, target: Target, *, samples: int = 24, noise: float = 0.1, seed: int = 0
) -> np.ndarray:
    """`saliency` of the mean gradient over copies of the picture with normal noise.

    Source: Smilkov et al., "SmoothGrad", 2017, equation 1; they recommend a noise of 0.1 to 0.2. Deviation: the
    gradients are averaged with their sign, as in the equation, and the size is taken of the mean.

    Args:
        samples: Noisy copies.
        noise: Standard deviation as a fraction of the range of the picture.
        seed: Of the noise, which depends on it and on the example alone, not on its neighbours in the batch.

    Raises:
        InputError: for fewer than one sample, or a noise below 0.
    """
    if samples < 1 or not noise >= 0:
        raise InputError("SmoothGrad needs at least one sample and a noise of at least 0", received=(samples, noise))
    pixels = pixels_of(inputs)
    generators = [np.random.default_rng([seed, int(example.sum(dtype=np.float64))]) for example in pixels]
    total = np.zeros_like(pixels)
    for _ in range(samples):
        noisy = np.stack(
            [
                example + noise * np.ptp(example) * generator.standard_normal(example.shape, np.float32)
                for example, generator in zip(pixels, generators, strict=True)
            ]
        )
        total += _pixel_gradient(model, inputs, noisy, target)
    return _largest(total / samples)


def _pixel_gradient(model: keras.Model, inputs: Inputs, at: np.ndarray, target: Target) -> np.ndarray:
    """Like `at` (B, [T,] H, W, C)."""

    def score(pixels: Any) -> Any:
        changed = with_pixels(inputs, pixels)
        return target.score(call(model, changed), mask_of(changed))

    return gradient(score, at.astype(np.float32))


def _largest(gradients: np.ndarray) -> np.ndarray:
    return np.abs(gradients).max(axis=-1).astype(np.float32)
