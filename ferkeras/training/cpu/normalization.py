"""Batch normalisation in one kernel, with TensorFlow on a CPU."""

from typing import Any

import tensorflow as tf
from keras import layers


class FusedBatchNormalization(layers.BatchNormalization):
    """`BatchNormalization` through `FusedBatchNormV3`: statistics in float32, activations in their own dtype.

    Same as Keras in output, gradients and moving statistics. The kernel returns the unbiased variance for the
    moving average; Keras averages the biased one, so Bessel's correction is taken back out.
    Maps (B, H, W, C) only; the twin leaves every other use of batch normalisation as it is. With a mask, which the
    kernel does not know, the layer is Keras's own.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if mask is not None:
            return super().call(inputs, training=training, mask=mask)
        if training and self.trainable:
            outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
                x=inputs,
                scale=self.gamma.value,
                offset=self.beta.value,
                mean=tf.zeros([0]),
                variance=tf.zeros([0]),
                epsilon=self.epsilon,
                is_training=True,
            )
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], tf.float32)
            variance *= (count - 1.0) / count
            keep = self.momentum
            self.moving_mean.assign(self.moving_mean * keep + mean * (1.0 - keep))
            self.moving_variance.assign(self.moving_variance * keep + variance * (1.0 - keep))
            return outputs
        return tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=self.moving_mean.value,
            variance=self.moving_variance.value,
            epsilon=self.epsilon,
            is_training=False,
        )[0]
