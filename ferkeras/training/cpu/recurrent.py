"""An LSTM with few and large matrix products, with TensorFlow on a CPU."""

from typing import Any

import tensorflow as tf
from keras import layers


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
