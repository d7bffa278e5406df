"""What the references of the spatial transformer and the tests of this library have in common: images and maps.

Needs numpy alone, so that a reference in another framework can use it in an environment of its own.
"""

import math

import numpy as np

#: H, W, C: uneven sides, so that a mix-up of the two shows.
IMAGE_SHAPE = (9, 14, 2)


def affine_maps() -> dict[str, np.ndarray]:
    """Rows [[a, b, c], [d, e, f]] of theta by what they do; output (x, y) shows input theta (x, y, 1)."""
    cosine, sine = math.cos(0.6), math.sin(0.6)
    maps = {
        "identity": [[1, 0, 0], [0, 1, 0]],
        "mirror": [[-1, 0, 0], [0, 1, 0]],
        "quarter turn": [[0, -1, 0], [1, 0, 0]],
        "rotation": [[cosine, -sine, 0.1], [sine, cosine, -0.2]],
        "shear": [[1, 0.4, 0], [-0.3, 1, 0.05]],
        "closer": [[0.37, 0, 0.21], [0, 0.53, -0.34]],
        "farther": [[1.9, 0, 0.1], [0, 2.6, -0.3]],  # the image in a frame of zeros
        "a fraction of a pixel off": [[1, 0, 0.05], [0, 1, -0.07]],  # so that samples lie astride two borders
        "half outside": [[1, 0, 1.03], [0, 1, 0.98]],
        "just outside": [[1, 0, 2.2], [0, 1, 0]],
        "far outside": [[1, 0, 50], [0, 1, -70]],
        "a single point": [[0, 0, 0.123], [0, 0, -0.456]],
        "the corner": [[0, 0, 1], [0, 0, 1]],
        "wild": [[17.3, -23.1, 4.2], [-31.7, 11.9, 0.6]],
    }
    return {name: np.array(rows, np.float32) for name, rows in maps.items()}


def images() -> np.ndarray:
    """(B, H, W, C) float32 in [0, 1], one for each map."""
    return np.random.default_rng(20_24).random((len(affine_maps()), *IMAGE_SHAPE), dtype=np.float32)


def pixel_coordinates(theta: np.ndarray, height: int, width: int) -> np.ndarray:
    """Where theta (..., 2, 3) samples, in pixels: (..., H, W, 2) float64, x before y.

    Normalised coordinates run from -1 at the centre of the first pixel to 1 at the centre of the last.
    """
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    points = np.einsum("...ij,hwj->...hwi", theta.astype(np.float64), np.stack([x, y, np.ones_like(x)], axis=-1))
    return (points + 1) / 2 * (np.array([width, height]) - 1)


def theta_weights() -> tuple[np.ndarray, np.ndarray]:
    """Kernel (32, 6) and bias (6,) of a localization that turns, shifts and scales each image in its own way."""
    generator = np.random.default_rng(20_25)
    kernel = 0.08 * generator.standard_normal((32, 6))
    bias = np.array([0.9, -0.2, 0.1, 0.25, 1.1, -0.05])
    return kernel.astype(np.float32), bias.astype(np.float32)
