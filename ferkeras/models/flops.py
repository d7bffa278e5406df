"""How much arithmetic a network does for one image or clip, from its layers and shapes alone; nothing is run."""

import math

import keras
from keras import layers

from ferkeras.layers import AdditiveAttention, FoldFrames, SqueezeExcitation

#: Each product of weights with a position of the output map, which has the channels last.
_CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv2D, layers.SeparableConv2D)
_PER_OUTPUT = (*_CONVOLUTIONS, layers.Dense)
#: Each product of weights with a step of the input (B, T, D).
_PER_STEP = (layers.SimpleRNN, layers.LSTM, layers.GRU, layers.Bidirectional, AdditiveAttention)
#: Weights without products of matrices, whatever their shape.
_ELEMENTWISE = (layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization, layers.Normalization)


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of the weight matrices and kernels of `model` for one image, or one clip of T frames.

    A matrix of n entries that is applied at p positions counts n*p: kernels at every position of the output map,
    padding included, recurrent weights at every step. As in the tables of papers, what has no matrix is left out:
    normalisation, activations, biases, pooling, resampling, and products of activations with each other; so are
    layers that act in training alone.

    One multiply-add is two floating-point operations (FLOPs). Papers often print multiply-adds under that name:
    ResNet18's "1.8 GFLOPs" at 224x224 are 1.8 billion multiply-adds, 3.6 billion FLOPs. The encoder of a sequence model
    counts T times.

    Args:
        model: Functional, with an input of known shape but for B; models inside it are counted too.

    Raises:
        ValueError: for a layer with matrices whose use is not known here, or a shape that is not known.
    """
    # A node is one use of a layer: a layer that is used twice has two. Keras has no public name for them.
    nodes = [node for depth in model._nodes_by_depth.values() for node in depth]
    return sum(_of_layer(node.operation, node.input_tensors, node.outputs) for node in nodes)


def _of_layer(layer: object, inputs: list[keras.KerasTensor], outputs: list[keras.KerasTensor]) -> int:
    if isinstance(layer, keras.Model):
        return multiply_adds(layer) * _frames(inputs[0])
    if not isinstance(layer, layers.Layer) or isinstance(layer, _ELEMENTWISE) or getattr(layer, "training_only", False):
        return 0
    entries = sum(math.prod(w.shape) for w in layer.weights if len(w.shape) > 1 and w.name != "bias")
    return entries * _positions(layer, inputs[0].shape, outputs[0].shape) if entries else 0


def _frames(images: keras.KerasTensor) -> int:
    """T where the images are the folded frames of a clip, else one."""
    folding = images._keras_history.operation
    if not isinstance(folding, FoldFrames):
        return 1
    frames = folding.input[0].shape[1]
    if frames is None:
        raise ValueError(f"Clips of any length have no number of multiply-adds. Received: {folding.input[0].shape}.")
    return frames


def _positions(layer: layers.Layer, taken: tuple[int | None, ...], given: tuple[int | None, ...]) -> int:
    """How often each weight of `layer` is used for one example."""
    if isinstance(layer, SqueezeExcitation):
        return 1
    if isinstance(layer, _PER_OUTPUT):
        positions = given[1:-1]
    elif isinstance(layer, _PER_STEP):
        positions = taken[1:2]
    else:
        raise ValueError(
            f"The multiply-adds of a {type(layer).__name__} are not known. Received: layer {layer.name}. "
            "Say in ferkeras/models/flops.py how often its weights are used."
        )
    if None in positions:
        raise ValueError(f"A layer of unknown size has no number of multiply-adds. Received: {layer.name}, {given}.")
    return math.prod(size for size in positions if size is not None)
