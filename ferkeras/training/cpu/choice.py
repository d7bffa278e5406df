"""Which layer has a faster form on a CPU, and which form."""

import keras
import tensorflow as tf
from keras import layers

from ferkeras.training.cpu.activation import FUSED, FusedActivation
from ferkeras.training.cpu.convolution import SmallMapConv2D
from ferkeras.training.cpu.depthwise import TILE, TiledDepthwiseConv2D
from ferkeras.training.cpu.normalization import FusedBatchNormalization
from ferkeras.training.cpu.recurrent import FusedLSTM

#: Longest sequence whose steps are laid out one after another: the graph grows with each.
MOST_STEPS = 128
#: Side in pixels up to which nine matrix products beat oneDNN's bfloat16 kernel gradient.
LARGEST_SMALL_MAP = 8


def fused_layer(layer: layers.Layer) -> type[layers.Layer] | None:
    """The drop-in class for `layer` as it is configured, or None where there is no faster one."""
    if type(layer) is layers.BatchNormalization:
        plain = layer.center and layer.scale and layer.axis in (-1, 3)
        plain = plain and not (layer.synchronized or layer.renorm)
        return FusedBatchNormalization if plain and layer.input_spec.ndim == 4 else None
    if type(layer) is layers.DepthwiseConv2D:
        return TiledDepthwiseConv2D if _has_slow_gradient(layer) else None
    if type(layer) is layers.Conv2D:
        simple = _at_every_pixel(layer) and layer.kernel_size == (3, 3) and layer.groups == 1
        sides = layer.input.shape[1:3] if simple else (None,)
        return SmallMapConv2D if None not in sides and max(sides) <= LARGEST_SMALL_MAP else None
    if type(layer) is layers.Activation:
        return FusedActivation if layer.activation in FUSED else None
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


def _at_every_pixel(layer: layers.Conv2D) -> bool:
    """Whether the kernel, without holes, stands once at each pixel, so that the map keeps its size."""
    whole = layer.strides == (1, 1) and layer.dilation_rate == (1, 1)
    return whole and (layer.padding, layer.data_format) == ("same", "channels_last")


def _has_slow_gradient(layer: layers.DepthwiseConv2D) -> bool:
    """Whether the depthwise convolution has a stride or a large kernel, and is one that the tiled form knows."""
    large, strided = max(layer.kernel_size) > TILE, layer.strides != (1, 1)
    known = layer.dilation_rate == (1, 1) and layer.data_format == "channels_last" and min(layer.kernel_size) >= TILE
    return known and (large or strided) and (layer.padding == "valid" or not strided)


def only_cpu() -> bool:
    """True where TensorFlow sees no device but CPUs."""
    return all(device.device_type == "CPU" for device in tf.config.list_physical_devices())
