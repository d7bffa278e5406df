"""Convolution on small maps whose kernel gradient is fast in bfloat16, with TensorFlow on a CPU."""

from typing import Any

import tensorflow as tf
from keras import layers


@tf.custom_gradient
def _convolve_small(x: tf.Tensor, kernel: tf.Tensor) -> Any:
    """3x3 convolution, stride 1, same padding; the gradient of its kernel as nine matrix products.

    x (B, H, W, C), kernel (3, 3, C, K). oneDNN's own bfloat16 kernel gradient is slow when H and W are small.
    """

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        dx = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(x), filter=kernel, out_backprop=dy, strides=[1, 1, 1, 1], padding="SAME"
        )
        height, width, channels = x.shape[1:]
        padded = tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]])
        flat_dy = tf.reshape(dy, [-1, kernel.shape[-1]])
        products = [
            tf.matmul(
                tf.reshape(padded[:, row : row + height, column : column + width, :], [-1, channels]),
                flat_dy,
                transpose_a=True,
            )
            for row in range(3)
            for column in range(3)
        ]
        return dx, tf.reshape(tf.stack(products), kernel.shape)

    return tf.nn.conv2d(x, kernel, strides=1, padding="SAME"), gradient


class SmallMapConv2D(layers.Conv2D):
    """`Conv2D` 3x3, stride 1, same padding, with the kernel gradient of `_convolve_small`."""

    def call(self, inputs: Any) -> Any:
        outputs = _convolve_small(inputs, tf.cast(self.kernel, inputs.dtype))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, inputs.dtype))
        return self.activation(outputs)
