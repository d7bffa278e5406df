"""Smooth activations as one loop over the values, with TensorFlow on a CPU."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers

_SQRT_HALF, _PEAK = 0.5**0.5, 0.3989422804014327  # 1/sqrt(2), and the density of the normal distribution at zero


class FusedActivation(layers.Activation):
    """`Activation` of one of `FUSED`, forward and backward each one loop that XLA compiles; inside it float32.

    TensorFlow alone writes every term of such a formula to memory and, in bfloat16, rounds each.
    """

    def call(self, inputs: Any) -> Any:
        return FUSED[self.activation](inputs)


def _one_loop(
    function: Callable[[tf.Tensor], tf.Tensor], slope: Callable[[tf.Tensor], tf.Tensor]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The elementwise `function`, whose derivative is `slope`, on a tensor of any shape and float type."""

    # Flat vectors of whatever length: one trace serves all layers, and XLA compiles it for each length that occurs.
    @tf.function(jit_compile=True, reduce_retracing=True)
    def forward(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(function(tf.cast(x, tf.float32)), x.dtype)

    @tf.function(jit_compile=True, reduce_retracing=True)
    def backward(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(dy, tf.float32) * slope(tf.cast(x, tf.float32)), x.dtype)

    @tf.custom_gradient
    def activation(x: tf.Tensor) -> Any:
        flat = tf.reshape(x, [-1])

        def gradient(dy: tf.Tensor) -> tf.Tensor:
            return tf.reshape(backward(flat, tf.reshape(dy, [-1])), tf.shape(x))

        return tf.ensure_shape(tf.reshape(forward(flat), tf.shape(x)), x.shape), gradient

    return activation


def _normal_distribution(x: tf.Tensor) -> tf.Tensor:
    return 0.5 * (1.0 + tf.math.erf(x * _SQRT_HALF))


#: Activations with a form in one loop: GELU (Hendrycks & Gimpel, 2016, the exact one) and SiLU, also called swish.
FUSED: dict[Callable[[Any], Any], Callable[[tf.Tensor], tf.Tensor]] = {
    keras.activations.gelu: _one_loop(
        lambda x: x * _normal_distribution(x),
        lambda x: _normal_distribution(x) + x * _PEAK * tf.exp(-0.5 * x * x),
    ),
    keras.activations.silu: _one_loop(
        lambda x: x * tf.sigmoid(x),
        lambda x: tf.sigmoid(x) * (1.0 + x * (1.0 - tf.sigmoid(x))),
    ),
}
