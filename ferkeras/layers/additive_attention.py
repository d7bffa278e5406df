"""Additive attention that pools a sequence into one context vector."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="ferkeras")
class AdditiveAttention(keras.layers.Layer):
    """Weighs the steps of a sequence by a learned score and sums them.

    e_t = tanh(w . h_t + b),  alpha = softmax over t of e,  context = sum over t of alpha_t h_t.

    Source: the single-score form of additive attention (Bahdanau et al., 2015) used by the
    VGG-LSTM-attention report on FER2013. Deviation from Bahdanau: there is no query and no second
    projection; the score itself passes through tanh, so the weights differ by a factor of e^2 at most.

    Input: hidden states (B, T, D). Optional mask (B, T), False where a step is padding.
    Output: tuple of the context (B, D) and the weights alpha (B, T), which sum to one over T.

    Raises:
        ValueError: if the input is not of rank 3.
    """

    def __init__(self, *, name: str | None = None, dtype: Any = None, trainable: bool = True) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        if len(input_shape) != 3:
            raise ValueError(
                f"AdditiveAttention expects hidden states of shape (B, T, D). Received: shape={input_shape}. "
                "Give it a recurrent layer's output with return_sequences=True."
            )
        self.kernel = self.add_weight(name="kernel", shape=(input_shape[-1], 1), initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(1,), initializer="zeros")

    def call(self, hidden: Any, mask: Any = None) -> tuple[Any, Any]:
        scores = ops.squeeze(ops.tanh(ops.matmul(hidden, self.kernel) + self.bias), axis=-1)
        # Softmax in float32: with bfloat16 the weights of 48 steps would not sum to one.
        scores = ops.cast(scores, "float32")
        if mask is not None:
            scores = ops.where(mask, scores, -1e9)
        weights = ops.cast(ops.softmax(scores, axis=-1), hidden.dtype)
        context = ops.squeeze(ops.matmul(ops.expand_dims(weights, 1), hidden), axis=1)
        return context, weights

    def compute_mask(self, hidden: Any, mask: Any = None) -> None:
        return None  # the time axis is gone

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[tuple[int | None, ...], ...]:
        return (input_shape[0], input_shape[2]), (input_shape[0], input_shape[1])
