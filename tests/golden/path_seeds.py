"""Weights drawn from their path: two implementations that agree on names and shapes agree on values.

Needs numpy alone, so that a reference in another framework can use it in an environment of its own.
"""

import hashlib
import math

import numpy as np


def path_seeded(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 weight of `path`, such as `block1_conv1/kernel`.

    The spread keeps activations near one through many layers: kernels have variance 2 / fan-in (fan-in is the
    product of all axes but the last), biases, shifts and means 0.1 of deviation about 0, scales 0.1 about 1,
    variances lie in [0.5, 1.5).
    """
    seed = int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "little")
    generator = np.random.default_rng(seed)
    kind = path.rsplit("/", 1)[-1]
    if kind in ("kernel", "recurrent_kernel", "pointwise_kernel", "squeeze", "excite"):
        # A depthwise kernel (H, W, C, 1) sums over H and W alone.
        depthwise = len(shape) == 4 and shape[-1] == 1 and shape[2] > 1
        value = generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[:2] if depthwise else shape[:-1]))
    elif kind == "depthwise_kernel":
        value = generator.standard_normal(shape) * math.sqrt(2 / math.prod(shape[:2]))
    elif kind in ("bias", "beta", "moving_mean"):
        value = 0.1 * generator.standard_normal(shape)
    elif kind == "gamma":
        value = 1 + 0.1 * generator.standard_normal(shape)
    elif kind == "moving_variance":
        value = 0.5 + generator.random(shape)
    else:
        raise ValueError(f"No rule for a weight of this name. Received: path={path}. Add one to path_seeds.py.")
    return value.astype(np.float32)


def seeded_images(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """uint8 noise (B, H, W, C) in [0, 255]."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
