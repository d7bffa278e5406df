"""Drop-in layers that compute the same as Keras's own, faster, with TensorFlow on a CPU.

Keras 3 writes batch normalisation, LSTM and Adam as many small operations. TensorFlow has one fused kernel for each;
they pay several times over once the convolutions run in bfloat16. The classes below keep the weights, the config
and the meaning of the Keras layers, so weights move between the two by `set_weights`. Models never name them:
`ferkeras.training.twin` puts them in the place of the plain layers for the time of training.

The measured gain of each is the table that `ferkeras benchmark training` prints.
"""

from typing import Any

import keras
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


class FusedLSTM(layers.LSTM):
    """`LSTM` through `BlockLSTM`, one kernel for all steps; always float32, as the kernel has no bfloat16.

    The kernel wants the gates as input, cell, forget, output; Keras keeps input, forget, cell, output.
    (`BlockLSTMV2` has Keras's order, but TensorFlow 2.21 gives it the gradient of the other one.)
    With a mask or a given first state, which this form leaves out, the layer is Keras's own.
    """

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if mask is not None or initial_state is not None:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        cell = self.cell
        batch = tf.shape(sequences)[0]
        zero = tf.zeros([batch, self.units])
        no_peephole = tf.zeros([self.units])
        weights = tf.concat([cell.kernel.value, cell.recurrent_kernel.value], axis=0)
        steps = tf.raw_ops.BlockLSTM(
            seq_len_max=tf.cast(tf.shape(sequences)[1], tf.int64),
            x=tf.transpose(sequences, [1, 0, 2]),
            cs_prev=zero,
            h_prev=zero,
            w=_input_cell_forget_output(weights),
            wci=no_peephole,
            wcf=no_peephole,
            wco=no_peephole,
            b=_input_cell_forget_output(cell.bias.value),
            forget_bias=0.0,
            cell_clip=-1.0,
            use_peephole=False,
        )
        return tf.transpose(steps.h, [1, 0, 2]) if self.return_sequences else steps.h[-1]


def _input_cell_forget_output(weights: tf.Tensor) -> tf.Tensor:
    i, f, c, o = tf.split(weights, 4, axis=-1)
    return tf.concat([i, c, f, o], axis=-1)


class FusedAdam(keras.optimizers.Adam):
    """`Adam` with the update of a variable in one kernel (`ResourceApplyAdam`); same slots, same formula.

    AMSGrad, which the kernel does not know, is Keras's own.
    """

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = tf.cast(self.iterations.value + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[index]),
            v=_handle(self._velocities[index]),
            beta1_power=tf.pow(self.beta_1, step),
            beta2_power=tf.pow(self.beta_2, step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: Any) -> tf.Tensor:
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle


def fused_layer(layer: layers.Layer) -> type[layers.Layer] | None:
    """The drop-in class for `layer` as it is configured, or None where there is no faster one."""
    if type(layer) is layers.BatchNormalization:
        plain = layer.center and layer.scale and layer.axis in (-1, 3)
        plain = plain and not (layer.synchronized or layer.renorm)
        return FusedBatchNormalization if plain and len(layer.input.shape) == 4 else None
    if type(layer) is layers.Conv2D:
        simple = (
            layer.kernel_size == (3, 3)
            and layer.strides == (1, 1)
            and layer.dilation_rate == (1, 1)
            and layer.groups == 1
            and layer.padding == "same"
            and layer.data_format == "channels_last"
        )
        sides = layer.input.shape[1:3]
        return SmallMapConv2D if simple and None not in sides and max(sides) <= LARGEST_SMALL_MAP else None
    if type(layer) is layers.LSTM:
        cell = layer.cell
        standard = (
            (
                keras.activations.serialize(layer.activation),
                keras.activations.serialize(layer.recurrent_activation),
            )
            == ("tanh", "sigmoid")
            and layer.use_bias
            and not (layer.go_backwards or layer.stateful or layer.return_state or layer.unroll)
            and cell.dropout == cell.recurrent_dropout == 0
        )
        return FusedLSTM if standard else None
    return None


#: Side in pixels up to which nine matrix products beat oneDNN's bfloat16 kernel gradient.
LARGEST_SMALL_MAP = 8


def only_cpu() -> bool:
    """True where TensorFlow sees no device but CPUs."""
    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())
