"""Encoded clips whose class can be told from their frames."""

import numpy as np

from ferkeras.aggregation.encoding import EncodedClips, EncodedSplit


def encoded(n: int = 24, *, frames: int = 5, width: int = 6, classes: int = 3) -> EncodedSplit:
    """Clips whose class moves the mean of their frames; every second lacks two frames; four subjects."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    vectors = rng.normal(size=(n, frames, width)) + 3.0 * np.eye(classes, width)[labels][:, None]
    p = np.exp(vectors[..., :classes])
    mask = np.ones((n, frames), bool)
    mask[1::2, 1:3] = False
    subjects = np.array([f"s{i}".encode() for i in np.arange(n) // classes % 4])
    clips = EncodedClips(vectors.astype(np.float32), p / p.sum(axis=-1, keepdims=True), mask)
    return EncodedSplit(clips, labels.astype(np.int64), subjects)
