"""The 68 landmarks that data sets are annotated with, brought to the five that faces are aligned by."""

import numpy as np

from ferkeras.errors import InputError

#: Indices in the 68 points of Multi-PIE and 300-W (Sagonas et al., "300 faces in-the-wild challenge", ICCVW 2013),
#: 0-based: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, outer lips 48-59, inner lips 60-67. Left is the image's left.
LEFT_EYE, RIGHT_EYE = slice(36, 42), slice(42, 48)
NOSE_TIP, LEFT_MOUTH_CORNER, RIGHT_MOUTH_CORNER = 30, 48, 54


def five_points(landmarks: np.ndarray) -> np.ndarray:
    """(..., 68, 2) x, y -> (..., 5, 2) float32: eye, eye, nose tip, mouth corner, mouth corner, the left one first.

    An eye is the mean of the six points of its lids, which lies near the pupil that detectors report. A NaN among the
    points used makes its landmark NaN.

    Raises:
        InputError: for another shape.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape[-2:] != (68, 2):
        raise InputError("Landmarks must be (..., 68, 2)", received=f"shape {points.shape}")
    five = [
        points[..., LEFT_EYE, :].mean(-2),
        points[..., RIGHT_EYE, :].mean(-2),
        points[..., NOSE_TIP, :],
        points[..., LEFT_MOUTH_CORNER, :],
        points[..., RIGHT_MOUTH_CORNER, :],
    ]
    return np.stack(five, axis=-2).astype(np.float32)
