"""Scores of valence or of arousal: of the 21 classes, and of the expectation against the label.

`accuracy`: the most probable of the 21 classes is the true one, the first in a tie. `within_one`: it is off by at most
one bin. The others compare the expectation of the bin under the softmax with the label, both divided by 10 and so in
[-1, 1]: `rmse`; `mae`; `pearson`, the correlation; `ccc`, the concordance of Lin, 1989, "A Concordance Correlation
Coefficient to Evaluate Reproducibility", with population moments, `2 cov / (var x + var y + (mean x - mean y)^2)`;
`sagr`, the share of equal signs (Nicolaou et al., 2011, "Continuous Prediction of Spontaneous Affect from Multiple Cues
and Modalities in Valence-Arousal Space").

The sign of 0 is 0. An expectation is almost never 0, so that practically every label of 0 counts as a miss in `sagr`.
Pearson and CCC are 0, not undefined, where the predictions or the labels are constant.

Every score is a function of a few sums over the labelled examples. So the same function serves all examples, one clip,
the resamples of the bootstrap, and the folds of a cross-validation taken together.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from ferkeras.valence_arousal import (
    BINS,
    bins_to_classes,
    bins_to_values,
    classes_to_bins,
    expected_values,
    values_to_bins,
)

SCORES = ("accuracy", "within_one", "rmse", "mae", "pearson", "ccc", "sagr")
#: What is added up over the examples: y is the true value, x the predicted one, both in [-1, 1].
SUMS = ("n", "hits", "near", "signs", "zeros", "absolute", "squared", "x", "y", "xx", "yy", "xy")
#: A standard deviation of up to this counts as none, and so does the distance of a prediction from 0 for its sign:
#: logits in float32 determine an expectation no better.
TOLERANCE = 1e-6


def affect_scores(true: ArrayLike, logits: ArrayLike) -> dict[str, Any]:
    """`n`, the number of labels, and `SCORES` of one output, all examples together.

    Args:
        true: (...,) integer bins -10 to 10; `UNLABELLED` ones are left out.
        logits: (..., 21).

    Raises:
        InputError: Arrays of the wrong shape or range, or no label.
    """
    labels, z = labelled(true, logits)
    return plain_scores(logit_sums(labels, z).reshape(-1, len(SUMS)).sum(axis=0))


def value_scores(true: ArrayLike, predicted: ArrayLike) -> dict[str, Any]:
    """`n` and `SCORES` of predictions that are numbers and not logits; their classes are the nearest bins.

    Args:
        true: (N,) values in [-1, 1], at least one.
        predicted: (N,) values, cut to [-1, 1].

    Raises:
        InputError: Another shape or range, or values that are not finite.
    """
    y, x = np.asarray(true, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.shape != x.shape or y.ndim != 1 or y.size == 0 or not np.all(np.isfinite([y, x])):
        raise InputError(
            "True and predicted values must be finite and of one shape (N,), at least one",
            received=f"shapes {y.shape} and {x.shape}",
        )
    return plain_scores(value_sums(y, np.clip(x, -1, 1)).sum(axis=0))


def labelled(true: ArrayLike, logits: ArrayLike, *, name: str = "the output") -> tuple[NDArray[Any], NDArray[Any]]:
    """Labels (...,) as classes 0 to 20 or `UNLABELLED`, and logits (..., 21), checked.

    Raises:
        InputError: Arrays of the wrong shape or range, or no label.
    """
    labels, z = bins_to_classes(true), np.asarray(logits)
    if z.shape != (*labels.shape, BINS):
        raise InputError(
            f"The logits of {name} must have the shape of the labels and then {BINS} classes",
            received=f"labels of shape {labels.shape}, logits of shape {z.shape}",
        )
    if np.all(labels == UNLABELLED):
        raise InputError(f"There must be a label of {name}", received=f"none in shape {labels.shape}")
    return labels, z


def logit_sums(labels: NDArray[Any], logits: NDArray[Any]) -> NDArray[np.float64]:
    """(..., S): what each example adds to `SUMS`, zeros where it is unlabelled; the arguments as from `labelled`."""
    known = labels != UNLABELLED
    sums = np.zeros((*labels.shape, len(SUMS)))
    classes, z = labels[known], logits[known]
    sums[known] = _sums(bins_to_values(classes_to_bins(classes)), expected_values(z), z.argmax(axis=-1) - classes)
    return sums


def value_sums(true: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, S): what each of N examples adds to `SUMS`, both values (N,) in [-1, 1]."""
    return _sums(true, predicted, values_to_bins(predicted) - values_to_bins(true))


def _sums(
    true: NDArray[np.float64], predicted: NDArray[np.float64], class_error: NDArray[np.int64]
) -> NDArray[np.float64]:
    error = predicted - true
    sign = np.where(np.abs(predicted) <= TOLERANCE, 0, np.sign(predicted))
    columns = {
        "n": np.ones_like(true),
        "hits": class_error == 0,
        "near": np.abs(class_error) <= 1,
        "signs": sign == np.sign(true),
        "zeros": true == 0,
        "absolute": np.abs(error),
        "squared": error**2,
        "x": predicted,
        "y": true,
        "xx": predicted**2,
        "yy": true**2,
        "xy": predicted * true,
    }
    return np.stack([columns[name] for name in SUMS], axis=-1).astype(np.float64)


def scores_of(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """`SCORES`, each (R,), of R sets of sums (R, S) over at least one example."""
    mean = dict(zip(SUMS, (sums / sums[:, :1]).T, strict=True))
    x_variance, y_variance = mean["xx"] - mean["x"] ** 2, mean["yy"] - mean["y"] ** 2
    varies = np.minimum(x_variance, y_variance) > TOLERANCE**2
    covariance = np.where(varies, mean["xy"] - mean["x"] * mean["y"], 0)
    deviations = np.sqrt(np.where(varies, x_variance * y_variance, 1))
    spread = np.where(varies, x_variance + y_variance + (mean["x"] - mean["y"]) ** 2, 1)
    return {
        "accuracy": mean["hits"],
        "within_one": mean["near"],
        "rmse": np.sqrt(mean["squared"]),
        "mae": mean["absolute"],
        "pearson": np.clip(covariance / deviations, -1, 1),
        "ccc": 2 * covariance / spread,
        "sagr": mean["signs"],
    }


def plain_scores(total: NDArray[np.float64]) -> dict[str, Any]:
    """`n` and `SCORES` of one set of sums (S,), as plain numbers."""
    return {"n": int(total[0]), **{name: float(value[0]) for name, value in scores_of(total[None]).items()}}


def intervals(units: NDArray[np.float64], *, bootstrap: int, seed: int) -> dict[str, list[float | None]]:
    """95 % intervals {score: [low, high]} by drawing G units with replacement (percentile bootstrap, Efron, 1979).

    Args:
        units: (G, S) sums of each subject or example, all with a label. With fewer than two of them the limits are
            None.
        bootstrap: Number of resamples.
        seed: With the same seed the same subjects are drawn for every model and output.
    """
    size = len(units)
    if size < 2:
        return {name: [None, None] for name in SCORES}
    rng, share = np.random.default_rng(seed), np.full(size, 1 / size)
    scores = scores_of(np.stack([rng.multinomial(size, share) @ units for _ in range(bootstrap)]))
    return {name: [float(limit) for limit in np.percentile(values, [2.5, 97.5])] for name, values in scores.items()}
