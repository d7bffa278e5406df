"""Arithmetic of boxes: overlap, and the suppression of all but the best of those that overlap."""

from typing import Any

import cv2
import numpy as np


def suppress(boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, *, overlap: float) -> np.ndarray:
    """Greedy non-maximum suppression within each group, by intersection over union.

    Args:
        boxes: (N, 4) x1, y1, x2, y2.
        scores: (N,).
        groups: (N,) int; boxes of different groups do not touch each other.
        overlap: Largest that may remain, in (0, 1).

    Returns:
        Indices of those that remain, best score first.
    """
    if not len(boxes):
        return np.zeros(0, np.intp)
    x1, y1, x2, y2 = boxes.T.astype(np.float64)
    # Arrays are read many times faster than the lists that the type hints of OpenCV ask for.
    sized: Any = np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)
    certain: Any = scores.astype(np.float32)
    apart: Any = groups.astype(np.int32)
    found = cv2.dnn.NMSBoxesBatched(sized, certain, apart, -1.0, overlap)
    kept = np.asarray(found, np.intp).ravel()
    return kept[np.argsort(-scores[kept], kind="stable")]


def suppress_inside(boxes: np.ndarray, scores: np.ndarray, groups: np.ndarray, *, overlap: float) -> np.ndarray:
    """The same by intersection over the smaller of two boxes, which also removes a box inside another one."""
    remaining = np.argsort(-scores, kind="stable")
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while len(remaining):
        best, rest = remaining[0], remaining[1:]
        kept.append(best)
        width = np.minimum(boxes[best, 2], boxes[rest, 2]) - np.maximum(boxes[best, 0], boxes[rest, 0])
        height = np.minimum(boxes[best, 3], boxes[rest, 3]) - np.maximum(boxes[best, 1], boxes[rest, 1])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        apart = shared <= overlap * np.minimum(area[best], area[rest])
        remaining = rest[apart | (groups[rest] != groups[best])]
    return np.array(kept, np.intp)


def squared(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) x1, y1, x2, y2 grown about their centres to squares of their longer side."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) / 2
    return np.concatenate([centre - half, centre + half], axis=1)
