"""The self-attention regularisation of EmoNeXt: a loss term, and nothing in the way of the features."""

import math
from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="ferkeras")
class AttentionVariance(layers.Layer):
    """Passes a feature map on and, in training, adds the variance of its self-attention weights to the loss.

    t = layer norm of the H*W tokens;  W = softmax over j of (t_i Q) . (t_j K) / sqrt(C);
    loss term = strength * mean over B, i, j of (W_ij - mean W)^2.

    Source: El Boudouri & Bohi, "EmoNeXt", MMSP 2023, section on self-attention regularisation. Deviations from the
    published code: attention runs over the spatial tokens of one image, where that code attends over the images of
    a batch, so that a prediction would depend on its neighbours; the score is divided by sqrt(C), not by its square
    root; there is no value projection, whose output that code does not use either, and no bias of the keys, which
    would cancel. Rows of W sum to one, so its mean is 1 / (H*W), and a map of a single token has no term.

    Input and output: maps (B, H, W, C).

    Args:
        strength: Factor lambda of the loss term, at least zero.

    Raises:
        ValueError: for a negative strength, or an input that is not of rank 4.
    """

    #: Nothing of this layer acts outside training: exports leave it out.
    training_only = True

    def __init__(
        self, *, strength: float = 1.0, name: str | None = None, dtype: Any = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        if strength < 0:
            raise ValueError(f"`strength` must be at least zero. Received: strength={strength}.")
        self.strength = strength

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 4:
            raise ValueError(f"AttentionVariance expects maps of shape (B, H, W, C). Received: shape={input_shape}.")
        width = input_shape[-1]
        tokens = (None, None, width)
        policy = self.dtype_policy
        self.norm = layers.LayerNormalization(epsilon=1e-6, dtype=policy, name="norm")
        self.query = layers.Dense(width, kernel_initializer=_normal(), dtype=policy, name="query")
        # A bias of the keys would add the same to all scores of a row, which the softmax takes out again.
        self.key = layers.Dense(width, use_bias=False, kernel_initializer=_normal(), dtype=policy, name="key")
        for layer in (self.norm, self.query, self.key):
            layer.build(tokens)

    def weights_of(self, maps: Any) -> Any:
        """Attention weights W (B, H*W, H*W) float32 of maps (B, H, W, C); its rows sum to one."""
        width = maps.shape[-1]
        tokens = self.norm(ops.reshape(maps, (-1, math.prod(maps.shape[1:3]), width)))
        scores = ops.matmul(self.query(tokens), ops.transpose(self.key(tokens), (0, 2, 1)))
        return ops.softmax(ops.cast(scores, "float32") / math.sqrt(width), axis=-1)

    def call(self, maps: Any, training: bool = False) -> Any:
        if training and self.strength:
            weights = self.weights_of(maps)
            self.add_loss(self.strength * ops.mean(ops.square(weights - ops.mean(weights))))
        return maps

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"strength": self.strength}


def _normal() -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(stddev=0.02)
