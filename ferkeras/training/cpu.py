"""Drop-in layers that compute the same as Keras's own, faster, with TensorFlow on a CPU.

Keras 3 writes batch normalisation and Adam as many small operations where TensorFlow has one kernel, and runs an LSTM
as a loop; this costs most once the convolutions run in bfloat16. The classes below keep the weights, the config and the
meaning of the Keras layers, so weights move between the two by `set_weights`. Models never name them:
`ferkeras.training.twin` puts them in the place of the plain layers for the time of training.

`ferkeras benchmark RUN --part training` measures what they bring.
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


@tf.custom_gradient
def _convolve_depthwise(x: tf.Tensor, kernel: tf.Tensor) -> Any:
    """Depthwise convolution, stride 1, same padding; the gradient of its kernel in float32.

    x (B, H, W, C), kernel (h, w, C, M). In bfloat16 the kernel gradient is the slowest part of a large kernel.
    """
    strides = [1, 1, 1, 1]

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        dx = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=tf.shape(x), filter=kernel, out_backprop=dy, strides=strides, padding="SAME"
        )
        d_kernel = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=tf.cast(x, tf.float32),
            filter_sizes=kernel.shape,
            out_backprop=tf.cast(dy, tf.float32),
            strides=strides,
            padding="SAME",
        )
        return dx, tf.cast(d_kernel, kernel.dtype)

    return tf.nn.depthwise_conv2d(x, kernel, strides, "SAME"), gradient


class LargeKernelDepthwiseConv2D(layers.DepthwiseConv2D):
    """`DepthwiseConv2D`, stride 1, same padding, with the kernel gradient of `_convolve_depthwise`."""

    def call(self, inputs: Any) -> Any:
        outputs = _convolve_depthwise(inputs, tf.cast(self.kernel, inputs.dtype))
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, inputs.dtype))
        return self.activation(outputs)


class FusedLSTM(layers.LSTM):
    """`LSTM` with its steps laid out one after another and its gradient by hand; always float32.

    The products that do not depend on the last step (input projection, and all weight gradients) are one matrix
    product each over all steps. TensorFlow's own `BlockLSTM` kernel does none of this and is the slower one.
    With a mask or a given first state, which this form leaves out, the layer is Keras's own.
    """

    def call(self, sequences: Any, initial_state: Any = None, mask: Any = None, training: bool = False) -> Any:
        if mask is not None or initial_state is not None:
            return super().call(sequences, initial_state=initial_state, mask=mask, training=training)
        cell = self.cell
        hidden = _lstm(sequences, cell.kernel.value, cell.recurrent_kernel.value, cell.bias.value)
        return tf.transpose(hidden, [1, 0, 2]) if self.return_sequences else hidden[-1]


@tf.custom_gradient
def _lstm(x: tf.Tensor, kernel: tf.Tensor, recurrent: tf.Tensor, bias: tf.Tensor) -> Any:
    """Hochreiter & Schmidhuber, 1997, with forget gate; gates in Keras's order: input, forget, cell, output.

    x (B, T, I), kernel (I, 4D), recurrent (D, 4D), bias (4D,) -> hidden states (T, B, D) from a zero state.
    """
    steps, width = x.shape[1], recurrent.shape[0]
    parts = [2 * width, width, width]  # input and forget gate together, cell candidate, output gate
    flat_x = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, x.shape[2]])
    projected = tf.reshape(tf.matmul(flat_x, kernel) + bias, [steps, -1, 4 * width])
    zero = tf.zeros([tf.shape(x)[0], width])
    hidden, cell, tape = [zero], zero, []
    for from_input in tf.unstack(projected):
        gates, candidate, output = tf.split(from_input + tf.matmul(hidden[-1], recurrent), parts, axis=-1)
        gates, candidate, output = tf.sigmoid(gates), tf.tanh(candidate), tf.sigmoid(output)
        admit, keep = tf.split(gates, 2, axis=-1)
        previous, cell = cell, keep * cell + admit * candidate
        squashed = tf.tanh(cell)
        hidden.append(output * squashed)
        tape.append((gates, admit, keep, candidate, output, previous, squashed))

    def gradient(d_hidden: tf.Tensor) -> tuple[tf.Tensor, ...]:
        d_sums: list[tf.Tensor] = []
        d_next, d_cell = zero, zero
        for d_out, kept in zip(reversed(tf.unstack(d_hidden, steps)), reversed(tape), strict=True):
            gates, admit, keep, candidate, output, previous, squashed = kept
            d_out += d_next
            d_cell += tf.raw_ops.TanhGrad(y=squashed, dy=d_out * output)
            d_gates = tf.raw_ops.SigmoidGrad(y=gates, dy=tf.concat([d_cell * candidate, d_cell * previous], axis=-1))
            d_candidate = tf.raw_ops.TanhGrad(y=candidate, dy=d_cell * admit)
            d_output = tf.raw_ops.SigmoidGrad(y=output, dy=d_out * squashed)
            d_sums.append(tf.concat([d_gates, d_candidate, d_output], axis=-1))
            d_next = tf.matmul(d_sums[-1], recurrent, transpose_b=True)
            d_cell *= keep
        d_flat = tf.concat(d_sums[::-1], axis=0)
        d_x = tf.reshape(tf.matmul(d_flat, kernel, transpose_b=True), [steps, -1, x.shape[2]])
        return (
            tf.transpose(d_x, [1, 0, 2]),
            tf.matmul(flat_x, d_flat, transpose_a=True),
            tf.matmul(tf.concat(hidden[:-1], axis=0), d_flat, transpose_a=True),
            tf.reduce_sum(d_flat, axis=0),
        )

    return tf.stack(hidden[1:]), gradient


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
        return FusedBatchNormalization if plain and layer.input_spec.ndim == 4 else None
    if type(layer) is layers.DepthwiseConv2D:
        large = _at_every_pixel(layer) and min(layer.kernel_size) >= LEAST_LARGE_KERNEL
        return LargeKernelDepthwiseConv2D if large else None
    if type(layer) is layers.Conv2D:
        simple = _at_every_pixel(layer) and layer.kernel_size == (3, 3) and layer.groups == 1
        sides = layer.input.shape[1:3] if simple else (None,)
        return SmallMapConv2D if None not in sides and max(sides) <= LARGEST_SMALL_MAP else None
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
        if not standard or isinstance(layer.input, list):  # a list: a mask or a first state comes with the sequence
            return None
        steps = layer.input.shape[1]
        return FusedLSTM if steps is not None and steps <= MOST_STEPS else None
    return None


def _at_every_pixel(layer: layers.Conv2D | layers.DepthwiseConv2D) -> bool:
    """Whether the kernel, without holes, stands once at each pixel, so that the map keeps its size."""
    whole = layer.strides == (1, 1) and layer.dilation_rate == (1, 1)
    return whole and (layer.padding, layer.data_format) == ("same", "channels_last")


#: Longest sequence whose steps are laid out one after another: the graph grows with each.
MOST_STEPS = 128
#: Side in pixels up to which nine matrix products beat oneDNN's bfloat16 kernel gradient.
LARGEST_SMALL_MAP = 8
#: Side of a depthwise kernel from which its gradient is faster in float32.
LEAST_LARGE_KERNEL = 5


def only_cpu() -> bool:
    """True where TensorFlow sees no device but CPUs."""
    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())
