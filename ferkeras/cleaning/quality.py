"""Measures of one face: size, sharpness, exposure."""

from typing import NamedTuple

import cv2
import numpy as np

#: Longer side in pixels to which a face is scaled before it is measured, so that a number means the same for all.
SIDE = 64
#: Grey levels up to the first are clipped dark, from the second on clipped bright; between them is what JPEG adds.
DARK, BRIGHT = 5, 250


class Quality(NamedTuple):
    """Measures of a face.

    Attributes:
        size: Longer side of the face in pixels of the picture.
        sharpness: Variance of the Laplacian in squared grey levels. Source: Pech-Pacheco et al., "Diatom autofocusing
            in brightfield microscopy", ICPR 2000, LAPV; here after scaling to `SIDE`. Noise counts as sharpness.
        dark: Fraction of pixels that are clipped dark.
        bright: Fraction of pixels that are clipped bright.
        mean: Mean grey level.
    """

    size: float
    sharpness: float
    dark: float
    bright: float
    mean: float


def measure(image: np.ndarray, box: np.ndarray) -> Quality:
    """The face in `box` (4,) x, y, width, height, which may reach beyond `image` (H, W, 1 or 3) uint8."""
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(box[:2]).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(box[:2] + box[2:]).astype(int), (left + 1, top + 1), (width, height))
    face = image[top:bottom, left:right]
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) if face.shape[-1] == 3 else face[..., 0]
    scale = SIDE / max(grey.shape)
    shape = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
    scaled = cv2.resize(
        np.ascontiguousarray(grey), shape, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    return Quality(
        size=float(max(box[2:])),
        sharpness=float(cv2.Laplacian(scaled.astype(np.float32), cv2.CV_32F).var()),
        dark=float((scaled <= DARK).mean()),
        bright=float((scaled >= BRIGHT).mean()),
        mean=float(scaled.mean()),
    )
