"""One convolution over space and time and two dense layers, for micro-expressions.

Source: Reddy, Karri, Dubey & Mukherjee, "Spontaneous facial micro-expression recognition using 3D spatiotemporal
convolutional neural networks", IJCNN 2019, the network MicroExpSTCNN: 32 kernels of 3x3 pixels and 15 frames, 3x3x3
max-pooling, dropout, dense 128, dropout, softmax, on 96 grey frames of 64x64.
"""

import keras
from keras import layers

from ferkeras.layers import FoldFrames, UnfoldMaps
from ferkeras.models.sequence import split_shape

KERNELS = 32
POOL = 3
LEAST_SIDE = 5


def microexp_stcnn(
    *,
    width: float = 1.0,
    kernel_frames: int = 15,
    hidden: int = 128,
    dropout: float = 0.5,
    input_shape: tuple[int | None, ...] = (96, 64, 64, 1),
    classes: int = 3,
    name: str | None = None,
) -> keras.Model:
    """The network of the paper, for clips of T frames.

    Deviations: where T is below 15 the kernel has T frames, and where it leaves fewer than three, the pooling has
    as many; pixels are scaled to [-1, 1] and not by the mean and largest value of the data set.

    A masked frame is zero after the scaling, a mid grey, and takes part as such: what it holds changes nothing, but T
    is fixed, and the dense layer has weights for each moment of it. There is no encoder of single frames: nothing of
    this model can be cached or fed frame by frame.

    Args:
        width: Factor on the number of kernels.
        kernel_frames: Length of a kernel in time.
        hidden: Width of the dense layer.
        dropout: Rate before the dense layer and before the logits.
        input_shape: T, H, W, C, all given; sides of at least 5.
        classes: K.

    Returns:
        A functional model. Inputs `frames` (B, T, H, W, C) with pixels in [0, 255] and `frame_mask` (B, T), bool;
        output `{"emotion": (B, K)}` logits.

    Raises:
        ValueError: for a T that is not given, a picture that is too small, or sizes below one.
    """
    frames, shape = split_shape(input_shape)
    if frames is None or min(shape[:2]) < LEAST_SIDE:
        raise ValueError(
            f"microexp_stcnn takes clips of a fixed number of frames with sides of at least {LEAST_SIDE}. "
            f"Received: {input_shape}."
        )
    if min(kernel_frames, hidden) < 1:
        raise ValueError(f"kernel_frames and hidden must be at least 1. Received: {kernel_frames} and {hidden}.")
    clip = keras.Input((frames, *shape), name="frames")
    frame_mask = keras.Input((frames,), dtype="bool", name="frame_mask")
    x = FoldFrames(name="fold")(clip, frame_mask)
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(x)
    x = UnfoldMaps(name="unfold")(x, frame_mask)
    kernel = (min(kernel_frames, frames), 3, 3)
    kernels = max(1, round(KERNELS * width))
    x = layers.Conv3D(kernels, kernel, activation="relu", kernel_initializer="he_normal", name="conv")(x)
    x = _max_pool(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dropout(dropout, name="dropout1")(x)
    x = layers.Dense(hidden, activation="relu", kernel_initializer="he_normal", name="features")(x)
    x = layers.Dropout(dropout, name="dropout2")(x)
    logits = layers.Dense(classes, dtype="float32", name="emotion")(x)
    inputs = {"frames": clip, "frame_mask": frame_mask}
    return keras.Model(inputs, {"emotion": logits}, name=name or "microexp_stcnn")


def _max_pool(x: keras.KerasTensor) -> keras.KerasTensor:
    """3x3x3 max-pooling of maps (B, T, H, W, C), what is left over at the ends cut off; (B, T/3*H/3, W/3, C).

    LiteRT has none over three axes: it is done first in time and then in space.
    """
    _, frames, height, width, channels = x.shape
    steps = min(POOL, frames)
    x = layers.Cropping3D(((0, frames % steps), (0, height % POOL), (0, width % POOL)), name="crop")(x)
    frames, height, width = x.shape[1:4]
    x = layers.Reshape((frames, height * width, channels), name="by_frame")(x)
    x = layers.MaxPooling2D((steps, 1), name="pool_frames")(x)
    x = layers.Reshape((frames // steps * height, width, channels), name="by_row")(x)
    return layers.MaxPooling2D(POOL, name="pool")(x)
