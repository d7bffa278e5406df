"""Losses of valence and arousal in 21 classes: cross-entropy, concordance, and squared error, alone or added up.

Each head has its own loss. The labels are the bins -10 to 10, `UNLABELLED` where there is none; the logits are
(B, 21) for a clip or (B, T, 21) for its frames. Concordance and squared error act on the expectation of the bin under
the softmax, divided by 10, which lies in [-1, 1].

An example's weight is its sample weight, and 0 where it is unlabelled. By default all losses are weighted means over
the batch, frames and clips pooled, divided by the sum of the weights (the reduction "mean_with_sample_weight"), so
neither padding nor gaps in the annotation change them; a batch without a label costs 0. This differs from
`ferkeras.losses`, which divides by the size of the batch.
"""

import abc
from typing import Any

import keras
from keras import ops

from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED, VALENCE_AROUSAL_BINS

BINS = len(VALENCE_AROUSAL_BINS)
SCALE = float(VALENCE_AROUSAL_BINS[-1])


def soft_bins(labels: Any, *, sigma: float = 0.0) -> Any:
    """Targets over the bins: one-hot, or normal around the true bin so that a near miss costs less than a far one.

    Díaz and Marathe, 2019, "Soft Labels for Ordinal Regression", CVPR, equation 1, with the squared distance over
    2 sigma^2 as the penalty: `t_k` is proportional to `exp(-(k - y)^2 / (2 sigma^2))` and sums to 1 over the 21 bins,
    so nothing falls off the ends.

    Args:
        labels: (...,) bins -10 to 10 or `UNLABELLED`, in a floating-point dtype.
        sigma: Width in bins; 0 for one-hot.

    Returns:
        (..., 21); zeros where unlabelled, NaN where the label is none of these.
    """
    labels = ops.expand_dims(_checked(labels), axis=-1)
    distance = labels - ops.convert_to_tensor(VALENCE_AROUSAL_BINS, dtype=labels.dtype)
    if sigma:
        targets = ops.softmax(-ops.square(distance) / (2 * sigma**2), axis=-1)
    else:
        targets = ops.where(ops.isnan(distance), distance, ops.cast(ops.equal(distance, 0), labels.dtype))
    return ops.where(ops.equal(labels, UNLABELLED), 0.0, targets)


def expected_value(logits: Any) -> Any:
    """The expectation of the bin under the softmax of `logits` (..., 21), divided by 10: (...,) in [-1, 1]."""
    values = ops.convert_to_tensor(VALENCE_AROUSAL_BINS, dtype=logits.dtype) / SCALE
    return ops.sum(ops.softmax(logits, axis=-1) * values, axis=-1)


def _checked(labels: Any) -> Any:
    """The labels, with NaN for those that are neither a bin nor `UNLABELLED`."""
    known = (ops.abs(labels) <= SCALE) & ops.equal(labels, ops.round(labels))
    return ops.where(known | ops.equal(labels, UNLABELLED), labels, float("nan"))


def _true_value(labels: Any) -> Any:
    """Labels (...,) in [-1, 1], 0 where unlabelled."""
    return ops.where(ops.equal(labels, UNLABELLED), 0.0, labels / SCALE)


def _mean(values: Any, weights: Any) -> Any:
    return ops.divide_no_nan(ops.sum(ops.where(weights > 0, values, 0.0) * weights), ops.sum(weights))


def _cross_entropy(labels: Any, logits: Any, sigma: float) -> Any:
    return -ops.sum(soft_bins(labels, sigma=sigma) * ops.log_softmax(logits, axis=-1), axis=-1)


def _squared_error(labels: Any, logits: Any) -> Any:
    """(...,) squared error of the expectation; 0 where unlabelled."""
    error = ops.square(expected_value(logits) - _true_value(labels))
    return ops.where(ops.equal(labels, UNLABELLED), 0.0, error)


def _concordance_loss(labels: Any, logits: Any, weights: Any) -> Any:
    """1 - CCC of all examples of positive weight together, a scalar."""
    predicted, true = expected_value(logits), _true_value(labels)
    predicted_mean, true_mean = _mean(predicted, weights), _mean(true, weights)
    covariance = _mean((predicted - predicted_mean) * (true - true_mean), weights)
    variances = _mean(ops.square(predicted - predicted_mean) + ops.square(true - true_mean), weights)
    # The epsilon decides 0/0, when both are constant and equal, in favour of 0. Elsewhere it is negligible: one label
    # a bin away from 99 equal ones gives a variance of 1e-4.
    spread = variances + ops.square(predicted_mean - true_mean) + keras.config.epsilon()
    return 1 - 2 * covariance / spread


class _BinLoss(keras.losses.Loss, abc.ABC):
    """What the losses of this module share: checks, the weight of each example, float32."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        labels, weights = self._prepare(y_true, y_pred, sample_weight)
        return super().__call__((labels, weights), y_pred, sample_weight=weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """One value for each example; `y_true` is the labels, or the pair of labels and weights (...,)."""
        if not isinstance(y_true, (tuple, list)):
            y_true = self._prepare(y_true, y_pred)
        labels, weights = y_true
        return self._values(labels, ops.cast(y_pred, self.dtype), weights)

    @abc.abstractmethod
    def _values(self, labels: Any, logits: Any, weights: Any) -> Any:
        """One value for each example (...,), of labels and weights (...,) and logits (..., 21)."""

    def _prepare(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        """Labels (...,) and weights (...,) for logits (..., 21)."""
        shape = tuple(y_pred.shape)
        labels = ops.convert_to_tensor(y_true, dtype=self.dtype)
        if len(labels.shape) == len(shape) and labels.shape[-1] == 1:
            labels = ops.squeeze(labels, axis=-1)
        if len(labels.shape) != len(shape) - 1 or shape[-1] != BINS:
            raise InputError(
                f"Labels must be bins (B,) or (B, T), and logits ({BINS} classes) (B, {BINS}) or (B, T, {BINS})",
                received=f"labels of shape {tuple(labels.shape)}, logits of shape {shape}",
            )
        weights = ops.cast(ops.not_equal(labels, UNLABELLED), self.dtype)
        labels = _checked(labels)
        if sample_weight is None:
            return labels, weights
        given = ops.convert_to_tensor(sample_weight, dtype=self.dtype)
        if len(given.shape) == len(shape) and given.shape[-1] == 1:
            given = ops.squeeze(given, axis=-1)
        while len(given.shape) < len(labels.shape):  # one weight for each clip counts for all its frames
            given = ops.expand_dims(given, axis=-1)
        return labels, weights * given

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"dtype": self.dtype}


@keras.saving.register_keras_serializable(package="ferkeras")
class BinCrossEntropy(_BinLoss):
    """Softmax cross-entropy over the 21 bins, `-sum_k t_k log softmax(z)_k`, with one-hot or ordinal soft targets.

    Args:
        soft_sigma: Width in bins of the soft targets, see `soft_bins`; 0 for one-hot ones. With soft targets the least
            possible value is their entropy, not 0.
        reduction, name: As in `keras.losses.Loss`; the module's text tells of the default reduction.
        dtype: In which the loss is computed, float32 under any policy by default.

    Call arguments:
        y_true: (B,), (B, 1), (B, T) or (B, T, 1) bins -10 to 10, `UNLABELLED` where there is none. Any other number
            gives NaN: a compiled step cannot raise, and leaving it out would hide the mistake.
        y_pred: (B, 21) or (B, T, 21) logits.
        sample_weight: None, or at least 0: (B,), (B, 1), (B, T) or (B, T, 1).

    Raises:
        InputError: An argument out of range, or shapes that do not fit together.
    """

    def __init__(
        self,
        *,
        soft_sigma: float = 0.0,
        reduction: str | None = "mean_with_sample_weight",
        name: str | None = "bin_cross_entropy",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.soft_sigma = _number(soft_sigma, name="soft_sigma")

    def _values(self, labels: Any, logits: Any, weights: Any) -> Any:
        return _cross_entropy(labels, logits, self.soft_sigma)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"soft_sigma": self.soft_sigma}


@keras.saving.register_keras_serializable(package="ferkeras")
class ConcordanceLoss(_BinLoss):
    """1 - CCC between expectation and label over the batch, in [0, 2].

    Lin, 1989, "A Concordance Correlation Coefficient to Evaluate Reproducibility", Biometrics 45:
    `CCC = 2 cov(x, y) / (var x + var y + (mean x - mean y)^2)`, here with weighted population moments and Keras'
    epsilon, 1e-7, added to the divisor. It is a property of the batch and not of an example: every example is given
    the same value, the frames of all clips are pooled, and the loss of a global batch is not the mean over its shards.
    Where the predictions or the labels of the batch are constant, or there is one label alone, CCC is 0 and the loss
    1; the gradient stays finite. Use batches of many labels that differ.

    Args:
        reduction, name, dtype: As in `BinCrossEntropy`.

    Call arguments:
        y_true, y_pred, sample_weight: As in `BinCrossEntropy`.

    Raises:
        InputError: Shapes that do not fit together.
    """

    def __init__(
        self,
        *,
        reduction: str | None = "mean_with_sample_weight",
        name: str | None = "concordance_loss",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)

    def _values(self, labels: Any, logits: Any, weights: Any) -> Any:
        return _concordance_loss(labels, logits, weights) + ops.zeros_like(labels)


@keras.saving.register_keras_serializable(package="ferkeras")
class ExpectationError(_BinLoss):
    """Squared error between expectation and label, both in [-1, 1]; the mean (MSE) or, on request, its root (RMSE).

    Args:
        root: RMSE, a property of the batch as in `ConcordanceLoss`. Its gradient would be infinite at 0, so the mean
            square has a floor of 1e-7 (Keras' epsilon): below an RMSE of 0.0003 the gradient is 0.
        reduction, name, dtype: As in `BinCrossEntropy`.

    Call arguments:
        y_true, y_pred, sample_weight: As in `BinCrossEntropy`.

    Raises:
        InputError: Shapes that do not fit together.
    """

    def __init__(
        self,
        *,
        root: bool = False,
        reduction: str | None = "mean_with_sample_weight",
        name: str | None = "expectation_error",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.root = bool(root)

    def _values(self, labels: Any, logits: Any, weights: Any) -> Any:
        squares = _squared_error(labels, logits)
        if not self.root:
            return squares
        return ops.sqrt(ops.maximum(_mean(squares, weights), keras.config.epsilon())) + ops.zeros_like(labels)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"root": self.root}


@keras.saving.register_keras_serializable(package="ferkeras")
class AffectLoss(_BinLoss):
    """`cross_entropy BinCrossEntropy + ccc ConcordanceLoss + mse ExpectationError`, one loss for one head.

    Args:
        cross_entropy, ccc, mse: Weights of the terms, at least 0 and not all 0; a term of weight 0 is not computed.
        soft_sigma: Of the cross-entropy, in bins.
        reduction, name, dtype: As in `BinCrossEntropy`.

    Call arguments:
        y_true, y_pred, sample_weight: As in `BinCrossEntropy`.

    Raises:
        InputError: An argument out of range, or shapes that do not fit together.
    """

    def __init__(
        self,
        *,
        cross_entropy: float = 1.0,
        ccc: float = 0.0,
        mse: float = 0.0,
        soft_sigma: float = 0.0,
        reduction: str | None = "mean_with_sample_weight",
        name: str | None = "affect_loss",
        dtype: Any = "float32",
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.cross_entropy = _number(cross_entropy, name="cross_entropy")
        self.ccc = _number(ccc, name="ccc")
        self.mse = _number(mse, name="mse")
        self.soft_sigma = _number(soft_sigma, name="soft_sigma")
        if not (self.cross_entropy or self.ccc or self.mse):
            raise InputError("One of `cross_entropy`, `ccc` and `mse` must be above 0", received="0 for all three")

    def _values(self, labels: Any, logits: Any, weights: Any) -> Any:
        values = ops.zeros_like(labels)
        if self.cross_entropy:
            values = values + self.cross_entropy * _cross_entropy(labels, logits, self.soft_sigma)
        if self.ccc:
            values = values + self.ccc * _concordance_loss(labels, logits, weights)
        if self.mse:
            values = values + self.mse * _squared_error(labels, logits)
        return values

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "cross_entropy": self.cross_entropy,
            "ccc": self.ccc,
            "mse": self.mse,
            "soft_sigma": self.soft_sigma,
        }


def _number(value: float, *, name: str) -> float:
    if not 0 <= value < float("inf"):
        raise InputError(f"`{name}` must be a finite number of at least 0", received=f"{name}={value!r}")
    return float(value)
