"""One report of a classifier from all its gathered predictions: never a mean of batch means.

Everything but calibration and likelihood is computed from the confusion matrix, by the same function for the
measured matrix and for its bootstrap resamples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ferkeras.errors import InputError

#: Equal-width bins of the confidence, as in Guo et al., 2017.
CALIBRATION_BINS = 15
#: The metrics over all classes that come from the confusion matrix.
SCORES = ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "kappa")
#: Those of them that get a confidence interval.
INTERVAL_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "kappa")


def classification_report(
    labels: ArrayLike,
    probabilities: ArrayLike,
    names: Sequence[str],
    *,
    groups: ArrayLike | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Accuracy, macro scores, kappa, calibration and confidence intervals of N predictions over K classes.

    The prediction is the most probable class, the first one in a tie.

    Absent classes follow scikit-learn. The macro means run over the classes that occur among the labels or
    the predictions; a class in neither is left out. Precision without a prediction and recall without an
    example are 0/0: `per_class` shows None, and the macro means of a class that occurs count it as 0.
    `balanced_accuracy` is the mean recall over the classes that have examples.

    Args:
        labels: (N,) integers in [0, K).
        probabilities: (N, K), rows in [0, 1] that sum to 1 (within 0.001).
        names: (K,) class names in the order of the columns.
        groups: (N,) subject ids, or None. With them the bootstrap draws subjects and not examples, because
            the examples of one person are not independent.
        bootstrap: Number of resamples; 0 for no intervals.
        seed: Of the bootstrap.

    Returns:
        A dict that `json.dumps` takes, without NaN (an undefined value is None):
        `n`; `accuracy`; `balanced_accuracy`; `macro_precision`, `macro_recall`, `macro_f1`;
        `kappa`: Cohen, 1960, unweighted, None where labels and predictions are all of one and the same class;
        `ece`: expected calibration error of the confidence, the highest probability, over 15 equal-width bins
        (Guo et al., 2017, "On Calibration of Modern Neural Networks", equation 3);
        `nll`: mean of -log p(label) in nats, p not below the smallest normal float32 (at most 87.3 per
        example);
        `per_class`: {name: {precision, recall, f1, support}};
        `confusion_matrix`: K rows (true) of K counts (predicted);
        `confidence_intervals`: {metric: [low, high]} of `INTERVAL_METRICS`, 95 % percentile bootstrap (Efron,
        1979), None with fewer than two groups, and without the resamples whose kappa is undefined;
        `reliability`: 15 dicts {confidence, accuracy, count}, the bin i holding confidences in (i/15,
        (i+1)/15].

    Raises:
        InputError: Arrays of the wrong shape or range, repeated names, or no example.
    """
    labels, probabilities, names = _validated(labels, probabilities, names)
    groups = None if groups is None else _group_index(groups, labels.size)
    if bootstrap < 0:
        raise InputError("`bootstrap` must be a number of resamples of at least 0", received=f"{bootstrap=}")

    predictions = probabilities.argmax(axis=1)
    matrix = _confusion_matrices(labels, predictions, len(names))[0]
    scores = {name: value[0] for name, value in _scores(matrix[None]).items()}
    reliability, ece = _calibration(probabilities.max(axis=1), predictions == labels)
    likelihood = np.maximum(probabilities[np.arange(labels.size), labels], np.finfo(np.float32).tiny)

    if groups is not None:
        units = _confusion_matrices(labels, predictions, len(names), groups)
        resamples = _resample_groups(units, bootstrap, seed)
    else:
        resamples = _resample_examples(matrix, bootstrap, seed)

    per_class = {
        name: {
            "precision": _plain(scores["precision"][k]),
            "recall": _plain(scores["recall"][k]),
            "f1": _plain(scores["f1"][k]),
            "support": int(matrix[k].sum()),
        }
        for k, name in enumerate(names)
    }
    return {
        "n": int(labels.size),
        **{metric: _plain(scores[metric]) for metric in SCORES},
        "ece": ece,
        "nll": float(-np.log(likelihood).mean()),
        "per_class": per_class,
        "confusion_matrix": matrix.tolist(),
        "confidence_intervals": _intervals(resamples) if bootstrap else {},
        "reliability": reliability,
    }


def _scores(matrices: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Scores of R confusion matrices (R, K, K): per-class (R, K), the others (R,); NaN where undefined."""
    counts = matrices.astype(np.float64)
    total = counts.sum(axis=(1, 2))
    correct = np.diagonal(counts, axis1=1, axis2=2)
    true, predicted = counts.sum(axis=2), counts.sum(axis=1)

    occurs = true + predicted > 0
    precision, recall, f1 = (
        np.where(divisor > 0, correct / np.maximum(divisor, 1), np.nan)
        for divisor in (predicted, true, (true + predicted) / 2)
    )

    def macro(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.nan_to_num(values).sum(axis=1) / occurs.sum(axis=1)

    accuracy = correct.sum(axis=1) / total
    by_chance = (true * predicted).sum(axis=1) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = np.where(by_chance < 1, (accuracy - by_chance) / (1 - by_chance), np.nan)
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "accuracy": accuracy,
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "macro_precision": macro(precision),
        "macro_recall": macro(recall),
        "macro_f1": macro(f1),
        "kappa": kappa,
    }


def _confusion_matrices(
    labels: NDArray[np.int64],
    predictions: NDArray[np.int64],
    num_classes: int,
    groups: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """(G, K, K) counts, rows true and columns predicted, one matrix for each group (G = 1 without groups)."""
    group = np.zeros_like(labels) if groups is None else groups
    shape = (int(group.max()) + 1, num_classes, num_classes)
    cells = np.ravel_multi_index((group, labels, predictions), shape)
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape)


def _resample_examples(matrix: NDArray[np.int64], bootstrap: int, seed: int) -> NDArray[np.int64]:
    """(R, K, K): n examples drawn with replacement fill the cells of the matrix multinomially."""
    n = int(matrix.sum())
    draws = np.random.default_rng(seed).multinomial(n, matrix.ravel() / n, size=bootstrap)
    return draws.reshape(bootstrap, *matrix.shape)


def _resample_groups(units: NDArray[np.int64], bootstrap: int, seed: int) -> NDArray[np.int64]:
    """(R, K, K): the sum of the matrices of G groups drawn with replacement; none where G < 2."""
    size = units.shape[0]
    if size < 2:
        return np.zeros((0, *units.shape[1:]), dtype=np.int64)
    times = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=bootstrap)
    # In floating point, which is exact for counts, because integers have no fast matrix product.
    sums = times.astype(np.float64) @ units.reshape(size, -1).astype(np.float64)
    return sums.astype(np.int64).reshape(bootstrap, *units.shape[1:])


def _intervals(resamples: NDArray[np.int64]) -> dict[str, list[float | None]]:
    """{metric: [2.5 %, 97.5 % percentile]} over the resamples in which the metric is defined."""
    scores = _scores(resamples)
    intervals: dict[str, list[float | None]] = {}
    for metric in INTERVAL_METRICS:
        defined = scores[metric][~np.isnan(scores[metric])]
        low, high = np.percentile(defined, [2.5, 97.5]) if defined.size else (np.nan, np.nan)
        intervals[metric] = [_plain(low), _plain(high)]
    return intervals


def _calibration(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> tuple[list[dict[str, Any]], float]:
    """The reliability bins and the expected calibration error of confidences (N,) in (0, 1]."""
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    count = np.bincount(bins, minlength=CALIBRATION_BINS)
    confidences = np.bincount(bins, weights=confidence, minlength=CALIBRATION_BINS)
    corrects = np.bincount(bins, weights=correct, minlength=CALIBRATION_BINS)
    rows = [
        {"confidence": float(p / c) if c else None, "accuracy": float(a / c) if c else None, "count": int(c)}
        for p, a, c in zip(confidences, corrects, count, strict=True)
    ]
    return rows, float(np.abs(corrects - confidences).sum() / confidence.size)


def _plain(value: Any) -> float | None:
    """A number for JSON, which has no NaN."""
    return None if np.isnan(value) else float(value)


def _validated(
    labels: ArrayLike, probabilities: ArrayLike, names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64], list[str]]:
    true, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if true.ndim != 1 or true.size == 0 or not np.issubdtype(true.dtype, np.integer):
        raise InputError(
            "Labels must be integers of shape (N,), at least one",
            received=f"{true.dtype} of shape {true.shape}",
        )
    if p.shape != (true.size, len(names)) or len(set(names)) != len(names):
        raise InputError(
            f"Probabilities must have shape (N, K) = ({true.size}, {len(names)}), with different class names",
            received=f"probabilities of shape {p.shape}, names={list(names)!r}",
        )
    sums = p.sum(axis=1)
    if not np.all((p >= 0) & (np.abs(sums - 1) <= 1e-3)[:, None]):
        raise InputError(
            "Each row of the probabilities must lie in [0, 1] and sum to 1",
            received=f"values {p.min():.4g} to {p.max():.4g}, sums {sums.min():.4g} to {sums.max():.4g}",
            action="Apply a softmax if these are logits.",
        )
    if true.min() < 0 or true.max() >= len(names):
        raise InputError(
            f"Labels must lie in [0, {len(names) - 1}]",
            received=f"labels in [{true.min()}, {true.max()}]",
            action="Leave out the examples without a label.",
        )
    return true.astype(np.int64), p, list(names)


def _group_index(groups: ArrayLike, n: int) -> NDArray[np.int64]:
    ids = np.asarray(groups)
    if ids.shape != (n,):
        raise InputError(f"Groups must give one subject id for each of the {n} examples", received=f"shape {ids.shape}")
    return np.unique(ids, return_inverse=True)[1].astype(np.int64)
