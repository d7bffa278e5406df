"""Squeeze-and-excitation: channels weighed by what the whole image holds."""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="ferkeras")
class SqueezeExcitation(layers.Layer):
    """Scales each channel by a gate in (0, 1) computed from the means of all channels.

    s = mean over H, W of x;  gate = sigmoid(W2 relu(W1 s));  output = x * gate.

    Source: Hu et al., "Squeeze-and-excitation networks", CVPR 2018, equations 2 to 4 and section 4 (reduction 16).
    Without biases, as in the networks of this library that use it (EmoNeXt and the SE-CNN family).

    Input and output: maps (B, H, W, C).

    Args:
        reduction: Factor by which the hidden layer is narrower than C; it has at least one unit.

    Raises:
        ValueError: for a reduction under 1, or an input that is not of rank 4.
    """

    def __init__(
        self, *, reduction: int = 16, name: str | None = None, dtype: Any = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        if reduction < 1:
            raise ValueError(f"`reduction` must be at least 1. Received: reduction={reduction}.")
        self.reduction = reduction

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        if len(input_shape) != 4 or channels is None:
            raise ValueError(f"SqueezeExcitation expects maps of shape (B, H, W, C). Received: shape={input_shape}.")
        hidden = max(1, channels // self.reduction)
        self.squeeze = self.add_weight(name="squeeze", shape=(channels, hidden), initializer="he_normal")
        self.excite = self.add_weight(name="excite", shape=(hidden, channels), initializer="glorot_uniform")

    def call(self, x: Any) -> Any:
        means = ops.mean(x, axis=(1, 2))
        gate = ops.sigmoid(ops.matmul(ops.relu(ops.matmul(means, self.squeeze)), self.excite))
        return x * gate[:, None, None, :]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"reduction": self.reduction}
