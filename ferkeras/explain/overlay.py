"""A map in colour over the picture that it explains."""

from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ferkeras.faces.align import invert
from ferkeras.files import staged

#: Name of the colour scale in matplotlib: dark is 0, bright is 1, and its lightness rises evenly.
COLOURS = "inferno"
#: How much of the picture the strongest colour hides.
OPACITY = 0.7


def overlay(picture: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """`picture` (H, W, 1 or 3) uint8 under a map (H, W) in [0, 1], as (H, W, 3) uint8.

    The colour grows opaque with the map, so that what does not count is seen as it is.
    """
    colours = _scale()[np.rint(maps * 255).astype(np.uint8)]
    opacity = (OPACITY * np.sqrt(maps))[..., None]
    mixed = (1 - opacity) * picture + opacity * colours
    return np.clip(np.rint(mixed), 0, 255).astype(np.uint8)


def placed(maps: np.ndarray, matrix: np.ndarray | None, shape: tuple[int, ...], *, size: int) -> np.ndarray:
    """A map of a crop where the face is in the picture, 0 around it.

    Args:
        maps: (h, w) in [0, 1].
        matrix: (2, 3) from pixels of the picture to those of the crop; None for a crop that is the whole picture.
        shape: H, W, ... of the picture.
        size: Side in pixels of the square crop that `matrix` leads to; the map is scaled to it.

    Returns:
        (H, W) float32 in [0, 1].
    """
    height, width = shape[:2]
    if matrix is None:
        return np.clip(cv2.resize(maps, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)
    crop = cv2.resize(maps, (size, size), interpolation=cv2.INTER_LINEAR)
    # A border of zeros, so that the map ends softly and not on the edge of the crop.
    there = cv2.warpAffine(crop, invert(matrix), (width, height), flags=cv2.INTER_LINEAR, borderValue=0.0)
    return np.clip(there, 0, 1).astype(np.float32)


def write_picture(picture: np.ndarray, path: Path) -> None:
    """`picture` (H, W, 3) uint8 as a PNG file, whole or not at all."""
    with staged(path) as unfinished:
        Image.fromarray(picture).save(unfinished, format="PNG")


@cache
def _scale() -> np.ndarray:
    """(256, 3) in [0, 255]."""
    import matplotlib

    return matplotlib.colormaps[COLOURS](np.arange(256), bytes=True)[:, :3].astype(np.float64)
