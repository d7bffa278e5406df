"""Classification losses on logits: cross-entropy and focal loss, both with class weights.

`call` returns one value per example and the reduction is Keras' own. A class weight multiplies the value of
an example, and the mean stays a plain mean over the batch: unlike PyTorch's `CrossEntropyLoss`, it is not
divided by the sum of the weights in the batch. Hence the loss of a global batch is the mean over its equal
shards, and an uneven last batch with few or no rare examples is not scaled up. Weights of mean 1 over the
training set, as from `balanced_class_weights`, keep the scale of the unweighted loss.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED


def balanced_class_weights(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """Weights inversely proportional to class frequency: `w_k = n / (K n_k)`.

    Their mean over the examples, `sum_k n_k w_k / n`, is 1. It is the rule "balanced" of scikit-learn's
    `compute_class_weight`.

    Args:
        counts: (K,) number of training examples of each class, all positive.

    Returns:
        (K,) float64 weights.

    Raises:
        InputError: `counts` is not a vector of positive numbers.
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not np.all(np.isfinite(values) & (values > 0)):
        raise InputError(
            "Class counts must be a vector of positive numbers, one for each class",
            received=f"counts={counts!r}",
            action="Leave out the classes without training examples, or choose the weights by hand.",
        )
    return values.sum() / (values.size * values)


def _class_vector(values: Any, *, name: str) -> tuple[float, ...]:
    """A (K,) vector of finite, non-negative numbers as plain floats, ready for `get_config`."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.all(np.isfinite(array) & (array >= 0)):
        raise InputError(
            f"`{name}` must be a vector of finite numbers of at least 0, one for each class",
            received=f"{name}={values!r}",
        )
    return tuple(array.tolist())


def _check_width(width: int, num_classes: int, *, name: str) -> None:
    if width != num_classes:
        raise InputError(
            f"`{name}` must have one value for each of the {num_classes} classes of the logits",
            received=f"{width} values",
        )


def _targets(y_true: Any, logits: Any) -> Any:
    """Targets (..., K) from sparse labels (...,) or (..., 1), or from targets that are (..., K) already.

    An `UNLABELLED` example gets the zero vector, so its loss and gradient are 0. Any other label outside
    [0, K) gets NaN: a compiled step cannot raise, and a loss of 0 would hide the mistake.
    """
    num_classes = logits.shape[-1]
    same_rank = len(y_true.shape) == len(logits.shape)
    if same_rank and y_true.shape[-1] == num_classes:
        return y_true
    if same_rank and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, axis=-1)
    elif len(y_true.shape) != len(logits.shape) - 1:
        raise InputError(
            "Labels must be class numbers (B,) or targets (B, K), with K the width of the logits",
            received=f"labels of shape {tuple(y_true.shape)}, logits of shape {tuple(logits.shape)}",
        )
    labels = ops.expand_dims(ops.cast(y_true, "int32"), axis=-1)
    one_hot = ops.cast(ops.equal(labels, ops.arange(num_classes, dtype="int32")), logits.dtype)
    known = ((labels >= 0) & (labels < num_classes)) | (labels == UNLABELLED)
    return ops.where(known, one_hot, float("nan"))


@keras.saving.register_keras_serializable(package="ferkeras")
class CrossEntropy(keras.losses.Loss):
    """Softmax cross-entropy on logits with optional class weights and label smoothing.

    `-sum_k t_k log softmax(z)_k`, where the target `y` is first weighted, `v_k = w_k y_k`, and then smoothed
    with its mass kept, `t_k = (1 - s) v_k + s sum_j v_j / K` (Szegedy et al., 2016, "Rethinking the Inception
    Architecture for Computer Vision", section 7). So an example of class k costs `w_k` times its unweighted,
    smoothed loss, as with the `class_weight` of `Model.fit`, and the loss is linear in `y`: a MixUp target
    costs the mixture of the two losses.

    Args:
        class_weights: (K,) weights of at least 0, or None for 1 everywhere. Give them mean 1 over the
            training set (see the module's text) to keep the scale of the loss.
        label_smoothing: `s` in [0, 1).
        reduction, name, dtype: As in `keras.losses.Loss`.

    Call arguments:
        y_true: Class numbers (B,) or (B, 1), or one-hot or soft targets (B, K). `ferkeras.labels.UNLABELLED`
            gives loss 0 (the example still counts in the mean's divisor); any other number outside [0, K)
            gives NaN.
        y_pred: Logits (B, K), K at least 2. Further axes before K, such as time, are allowed in both.

    Raises:
        InputError: An argument out of range, or shapes that do not fit together.
    """

    def __init__(
        self,
        *,
        class_weights: Sequence[float] | np.ndarray | None = None,
        label_smoothing: float = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "cross_entropy",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise InputError("`label_smoothing` must lie in [0, 1)", received=f"label_smoothing={label_smoothing!r}")
        self.class_weights = None if class_weights is None else _class_vector(class_weights, name="class_weights")
        self.label_smoothing = float(label_smoothing)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        targets = _targets(y_true, y_pred)
        num_classes = y_pred.shape[-1]
        if self.class_weights is not None:
            _check_width(len(self.class_weights), num_classes, name="class_weights")
            targets = targets * ops.convert_to_tensor(self.class_weights, dtype=targets.dtype)
        if self.label_smoothing:
            mass = ops.sum(targets, axis=-1, keepdims=True)
            targets = (1 - self.label_smoothing) * targets + self.label_smoothing * mass / num_classes
        return -ops.sum(targets * ops.log_softmax(y_pred, axis=-1), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "class_weights": None if self.class_weights is None else list(self.class_weights),
            "label_smoothing": self.label_smoothing,
            "dtype": self.dtype,
        }


@keras.saving.register_keras_serializable(package="ferkeras")
class FocalLoss(keras.losses.Loss):
    """Focal loss over the softmax: `-sum_k y_k alpha_k (1 - p_k)^gamma log p_k`, `p = softmax(logits)`.

    Lin et al., 2017, "Focal Loss for Dense Object Detection", equation 5. Deviation: the paper applies it to
    independent sigmoids, this is its form for classes that exclude each other. With K = 2, logits `[0, z]`
    and `alpha = [1 - a, a]` it is the paper's loss of the logit `z` with `alpha = a`. `gamma = 0` is
    cross-entropy with class weights `alpha`. The per-example values and their mean follow the rule of the
    module's text.

    `alpha` lives in a non-trainable variable, so that `update_alpha` and `restore` act on a compiled
    TensorFlow step without retracing. Create the loss inside the strategy's scope under `tf.distribute`. The
    JAX trainer compiles the value in: call `model.make_train_function(force=True)` after a change there.
    `get_config` holds the current value.

    Args:
        gamma: Focusing parameter of at least 0; the paper's best is 2.
        alpha: A number for all classes, or (K,) weights of at least 0. `update_alpha` needs the vector.
        reduction, name, dtype: As in `keras.losses.Loss`.

    Call arguments:
        y_true, y_pred: As in `CrossEntropy`.

    Raises:
        InputError: An argument out of range, or shapes that do not fit together.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | np.ndarray = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "focal_loss",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= gamma < float("inf"):
            raise InputError("`gamma` must be a finite number of at least 0", received=f"gamma={gamma!r}")
        self.gamma = float(gamma)
        vector = _class_vector(np.atleast_1d(alpha), name="alpha")
        # float32 whatever the dtype of the loss: half precision would lose the differences that updates make.
        self.alpha = keras.Variable(
            np.reshape(vector, np.shape(alpha)), dtype="float32", trainable=False, name="focal_alpha"
        )

    def call(self, y_true: Any, y_pred: Any) -> Any:
        targets = _targets(y_true, y_pred)
        if len(self.alpha.shape) == 1:
            _check_width(self.alpha.shape[0], y_pred.shape[-1], name="alpha")
        log_p = ops.log_softmax(y_pred, axis=-1)
        # The floor keeps the gradient of the power finite at p = 1 when gamma < 1.
        one_minus_p = ops.maximum(-ops.expm1(log_p), keras.config.epsilon())
        alpha = ops.cast(self.alpha, y_pred.dtype)
        return -ops.sum(targets * alpha * ops.power(one_minus_p, self.gamma) * log_p, axis=-1)

    def update_alpha(self, recall: Sequence[float | None] | np.ndarray, *, epsilon: float = 0.1) -> np.ndarray:
        """Set `alpha` from the validation recall of each class, larger where more examples were missed.

        `alpha_k = (1 - r_k + epsilon) / mean_j (1 - r_j + epsilon)`, which has mean 1. The rule is this
        library's, no paper's. `epsilon` bounds the ratio of two weights by `(1 + epsilon) / epsilon`, 11 by
        default: without it a class of recall 0.99 among perfect ones would take the whole loss.

        Args:
            recall: (K,) recall of each class in [0, 1]. None or NaN marks a class without validation
                examples: it is left out of the mean and gets 1.
            epsilon: A positive number.

        Returns:
            (K,) float32, the new `alpha`.

        Raises:
            InputError: `alpha` is a scalar, or `recall` or `epsilon` is out of range.
        """
        values = np.asarray(recall, dtype=np.float64)
        if values.shape != tuple(self.alpha.shape) or values.ndim != 1:
            raise InputError(
                f"`recall` must have one value for each class of `alpha` of shape {tuple(self.alpha.shape)}",
                received=f"recall of shape {values.shape}",
                action="Create the loss with a vector, alpha=[1.0] * K, to update it.",
            )
        known = ~np.isnan(values)
        if np.any((values[known] < 0) | (values[known] > 1)):
            raise InputError("`recall` must lie in [0, 1]", received=f"recall={recall!r}")
        if not 0 < epsilon < float("inf"):
            raise InputError("`epsilon` must be a positive number", received=f"epsilon={epsilon!r}")
        missed = 1 - values[known] + epsilon
        alpha = np.ones_like(values)
        alpha[known] = missed / missed.mean() if missed.size else 1.0
        self.alpha.assign(alpha)
        return self.state()

    def state(self) -> np.ndarray:
        """The current `alpha`, () or (K,) float32, to be stored in a checkpoint."""
        return np.array(ops.convert_to_numpy(ops.copy(self.alpha)))

    def restore(self, state: Sequence[float] | np.ndarray | float) -> None:
        """Set `alpha` to what `state` returned; `InputError` where the shape or the values do not fit."""
        if np.shape(state) != tuple(self.alpha.shape):
            raise InputError(
                f"The state must have the shape of `alpha`, {tuple(self.alpha.shape)}",
                received=f"a state of shape {np.shape(state)}",
            )
        vector = _class_vector(np.atleast_1d(state), name="state")
        self.alpha.assign(np.reshape(vector, np.shape(state)))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "gamma": self.gamma,
            "alpha": self.state().tolist(),
            "dtype": self.dtype,
        }
