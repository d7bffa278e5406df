"""Depthwise convolution with faster gradients, with TensorFlow on a CPU."""

from typing import Any

import tensorflow as tf
from keras import layers

#: Side of the kernels whose gradient oneDNN computes fast, in bfloat16 too.
TILE = 3


class TiledDepthwiseConv2D(layers.DepthwiseConv2D):
    """`DepthwiseConv2D` with a kernel of 3x3 and more, valid padding or stride 1; with the gradients of `_convolve`."""

    def call(self, inputs: Any) -> Any:
        kernel = tf.cast(self.kernel, inputs.dtype)
        outputs = _convolve(inputs, kernel, stride=self.strides[0], padding=self.padding.upper())
        if self.use_bias:
            outputs = tf.nn.bias_add(outputs, tf.cast(self.bias, inputs.dtype))
        return self.activation(outputs)


def _convolve(x: tf.Tensor, kernel: tf.Tensor, *, stride: int, padding: str) -> tf.Tensor:
    """Depthwise convolution of x (B, H, W, C) with kernel (h, w, C, M).

    The gradient of the kernel is put together from tiles of 3x3, whose cost is a fraction of a large kernel's. With a
    stride, that of the input is computed in float32, which takes a tenth of the time of bfloat16.
    """
    strides = [1, stride, stride, 1]

    @tf.custom_gradient
    def convolve(x: tf.Tensor, kernel: tf.Tensor) -> Any:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            fast = x.dtype if stride == 1 else tf.float32
            dx = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
                input_sizes=tf.shape(x),
                filter=tf.cast(kernel, fast),
                out_backprop=tf.cast(dy, fast),
                strides=strides,
                padding=padding,
            )
            return tf.cast(dx, x.dtype), _kernel_gradient(x, dy, kernel.shape, stride=stride, padding=padding)

        return tf.nn.depthwise_conv2d(x, kernel, strides, padding), gradient

    return convolve(x, kernel)


def _kernel_gradient(x: tf.Tensor, dy: tf.Tensor, shape: tf.TensorShape, *, stride: int, padding: str) -> tf.Tensor:
    height, width, channels, multiplier = shape
    if padding == "SAME":
        x = tf.pad(x, [[0, 0], [(height - 1) // 2, height // 2], [(width - 1) // 2, width // 2], [0, 0]])
    rows, columns = ((tf.shape(dy)[axis] - 1) * stride + TILE for axis in (1, 2))

    def tile(top: int, left: int) -> tf.Tensor:
        """Gradient of the part of the kernel that begins at (top, left)."""
        return tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
            input=x[:, top : top + rows, left : left + columns],
            filter_sizes=[TILE, TILE, channels, multiplier],
            out_backprop=dy,
            strides=[1, stride, stride, 1],
            padding="VALID",
        )

    return _join(
        {top: _join({left: tile(top, left) for left in _starts(width)}, axis=1) for top in _starts(height)}, axis=0
    )


def _starts(side: int) -> list[int]:
    """Where tiles begin that cover `side`; the last one may overlap its neighbour."""
    return [*range(0, side - TILE, TILE), side - TILE]


def _join(tiles: dict[int, tf.Tensor], *, axis: int) -> tf.Tensor:
    """Tiles by where they begin, one after another along `axis`, without what the tile before has."""
    parts, end = [], 0
    for start, tile in tiles.items():
        skip = end - start
        parts.append(tile[skip:] if axis == 0 else tile[:, skip:])
        end = start + TILE
    return tf.concat(parts, axis)
