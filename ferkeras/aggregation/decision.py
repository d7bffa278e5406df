"""Decision level: one distribution over the classes from those of the frames of a clip.

Source: fixed rules of combination, Kittler et al., "On combining classifiers", IEEE Transactions on Pattern Analysis
and Machine Intelligence 1998, sections 2.3 to 2.5 (sum, maximum, majority vote), with the frames as the classifiers.
Deviations: the maximum is scaled to sum to one, and the vote shares out one more vote by the mean probability.
"""

from collections.abc import Callable

import numpy as np

from ferkeras.errors import InputError


def aggregate_probabilities(probabilities: np.ndarray, mask: np.ndarray, *, method: str) -> np.ndarray:
    """(N, T, K) probabilities of frames to (N, K) of clips, by a key of `DECISION_METHODS`.

    Args:
        probabilities: Rows over K sum to one.
        mask: (N, T) bool; frames that are False count for nothing.
        method: `mean`, `weighted`, `max` or `majority`.

    Raises:
        InputError: for another method, or a clip in which no frame is True.
    """
    if method not in DECISION_METHODS:
        known = ", ".join(DECISION_METHODS)
        raise InputError("Unknown way to aggregate probabilities", received=method, action=f"Known: {known}.")
    require_a_frame(mask)
    return DECISION_METHODS[method](np.asarray(probabilities, np.float64), mask)


def require_a_frame(mask: np.ndarray) -> None:
    """Raises `InputError` for a clip without a valid frame: nothing can be said of it."""
    empty = np.flatnonzero(~mask.any(axis=1))
    if len(empty):
        raise InputError("Every clip needs a frame with a face", received=f"none in clip {empty[0]} of {len(mask)}")


def _mean(p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _weighted_mean(p, mask.astype(np.float64))


def _weighted(p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Each frame weighs 1 - H(p) / log K, its certainty: one for a sure frame, zero where all classes are as likely.

    Prepared clips hold no scores of a detector, so that what the network itself says is all there is to weigh by.
    """
    entropy = -(p * np.log(np.maximum(p, 1e-30))).sum(axis=-1)
    weights = mask * np.clip(1.0 - entropy / np.log(p.shape[-1]), 0.0, 1.0)
    unsure = weights.sum(axis=1, keepdims=True) <= 1e-12
    return _weighted_mean(p, np.where(unsure, mask, weights))


def _max(p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    highest = np.where(mask[..., None], p, 0.0).max(axis=1)
    return highest / highest.sum(axis=-1, keepdims=True)


def _majority(p: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Shares of the votes; one vote more is parted by the mean probability, which decides between equals."""
    votes = (np.eye(p.shape[-1])[p.argmax(axis=-1)] * mask[..., None]).sum(axis=1)
    return (votes + _mean(p, mask)) / (mask.sum(axis=1, keepdims=True) + 1)


def _weighted_mean(p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (p * weights[..., None]).sum(axis=1) / weights.sum(axis=1, keepdims=True)


DECISION_METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "weighted": _weighted,
    "max": _max,
    "majority": _majority,
}
