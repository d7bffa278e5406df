"""The scale of valence and arousal: bins -10 to 10, classes 0 to 20, values in [-1, 1], and the ways between them.

A label is an integer bin, `UNLABELLED` (-99) where there is none; a network gives logits of 21 classes; what people
read is the value, a tenth of the bin.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED, VALENCE_AROUSAL_BINS

BINS = len(VALENCE_AROUSAL_BINS)
LOWEST, HIGHEST = VALENCE_AROUSAL_BINS[0], VALENCE_AROUSAL_BINS[-1]


def bins_to_classes(bins: ArrayLike) -> NDArray[np.int64]:
    """Class numbers 0 to 20 of bins -10 to 10, of any shape; `UNLABELLED` stays what it is.

    Raises:
        InputError: Another value.
    """
    values = _integers(bins, LOWEST, HIGHEST, what="Valence and arousal labels")
    return np.where(values == UNLABELLED, UNLABELLED, values - LOWEST)


def classes_to_bins(classes: ArrayLike) -> NDArray[np.int64]:
    """Bins -10 to 10 of class numbers 0 to 20, of any shape; `UNLABELLED` stays what it is.

    Raises:
        InputError: Another value.
    """
    values = _integers(classes, 0, BINS - 1, what="Classes of valence and arousal")
    return np.where(values == UNLABELLED, UNLABELLED, values + LOWEST)


def bins_to_values(bins: ArrayLike) -> NDArray[np.float64]:
    """Values in [-1, 1] of bins -10 to 10, of any shape; NaN where unlabelled.

    Raises:
        InputError: Another value.
    """
    labels = _integers(bins, LOWEST, HIGHEST, what="Valence and arousal labels")
    return np.where(labels == UNLABELLED, np.nan, labels / HIGHEST)


def values_to_bins(values: ArrayLike) -> NDArray[np.int64]:
    """The nearest bin -10 to 10 of values in [-1, 1], of any shape; `UNLABELLED` where NaN.

    Halves, such as 0.25, go to the even bin (0.2), as IEEE 754 and NumPy round, after multiplication by 10 in float64.

    Raises:
        InputError: A value outside [-1, 1].
    """
    numbers = np.asarray(values, dtype=np.float64)
    if np.any(np.abs(numbers) > 1):
        raise InputError(
            "Values of valence and arousal must lie in [-1, 1], NaN where there is none",
            received=f"values in [{np.nanmin(numbers):g}, {np.nanmax(numbers):g}]",
            action="Divide bins by 10.",
        )
    unlabelled = np.isnan(numbers)
    return np.where(unlabelled, UNLABELLED, np.rint(np.where(unlabelled, 0, numbers) * HIGHEST)).astype(np.int64)


def expected_values(logits: ArrayLike) -> NDArray[np.float64]:
    """The expectation of the bin under the softmax, divided by 10.

    Args:
        logits: (..., 21), finite.

    Returns:
        (...,) float64 in [-1, 1].

    Raises:
        InputError: Another last axis, or values that are not finite.
    """
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim == 0 or z.shape[-1] != BINS:
        raise InputError(f"Logits of valence or arousal must have {BINS} classes last", received=f"shape {z.shape}")
    if not np.all(np.isfinite(z)):
        raise InputError("Logits must be finite", received=f"{np.sum(~np.isfinite(z))} of {z.size} that are not")
    weights = np.exp(z - z.max(axis=-1, keepdims=True))
    return weights @ np.arange(LOWEST, HIGHEST + 1) / weights.sum(axis=-1) / HIGHEST


def mean_value(bins: ArrayLike) -> float:
    """The mean in [-1, 1] of bins -10 to 10 of any shape, the unlabelled left out: what a constant should predict.

    Raises:
        InputError: Another value, or no label.
    """
    values = bins_to_values(bins)
    if np.all(np.isnan(values)):
        raise InputError("There must be at least one label", received=f"none in shape {values.shape}")
    return float(np.nanmean(values))


def _integers(values: ArrayLike, low: int, high: int, *, what: str) -> NDArray[Any]:
    """Integers within the range or `UNLABELLED`, whatever number type holds them."""
    numbers = np.asarray(values)
    whole = np.issubdtype(numbers.dtype, np.number) and np.all(numbers == np.rint(numbers))
    if not whole or np.any(((numbers < low) | (numbers > high)) & (numbers != UNLABELLED)):
        raise InputError(
            f"{what} must be integers from {low} to {high}, {UNLABELLED} where there is none",
            received=f"{numbers.dtype} of shape {numbers.shape}"
            + (f", from {numbers.min():g} to {numbers.max():g}" if whole else ""),
        )
    return numbers.astype(np.int64)
