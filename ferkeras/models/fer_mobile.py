"""A small residual network for small faces, made for CPUs, phones and 8-bit integers; to be trained by distillation.

Not after a paper: the basic blocks of ResNet (He et al., CVPR 2016, figure 2) with few channels. A max-pooling stands
before each stage, so that every 3x3 convolution has stride 1; ReLU is the only activation. At 48x48x1: 58.6 million
multiply-adds.

Why no depthwise convolutions: they save arithmetic that a CPU does fastest. Measured beside a mini-Xception of 58
thousand parameters (Arriaga et al., 2017) at 64x64x1, in turns, on two busy cores of an AMD EPYC (Zen 4): inference is
the share of its images per second in float32, training the images per second of batches of 128 in bfloat16.

| blocks | million multiply-adds | inference | training |
|---|---|---|---|
| plain, 48-96-192 channels, one block each: this network | 58.6 | 0.66 | 220 |
| the same with a second block at 12x12 or at 6x6 | 82.5 | 0.50 | |
| plain, 64-128-192 channels, one block each | 87.5 | 0.47 | 154 |
| inverted residual blocks, as of MobileNetV2 | 64.7 | 0.28 | 38 |
| depthwise-separable, as of Xception | 123.0 | 0.16 | 48 |
"""

from collections.abc import Sequence

import keras
from keras import layers

STEM = 32
WIDTHS: tuple[int, ...] = (48, 96, 192)


def fer_mobile(
    *,
    blocks: Sequence[int] = (1, 1, 1),
    width: float = 1.0,
    dropout: float = 0.2,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    classes: int = 7,
    name: str | None = None,
) -> keras.Model:
    """Builds the network.

    Args:
        blocks: Residual blocks in each of the three stages.
        width: Factor on the channels of every convolution.
        dropout: Rate before the logits.
        input_shape: H, W, C; sides of at least 8.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `feature_map` (B, H/8, W/8, 192*width) and `features` (B, 192*width).

    Raises:
        ValueError: for other than three positive numbers of blocks, or an image too small for three poolings.
    """
    if len(blocks) != len(WIDTHS) or min(blocks) < 1:
        raise ValueError(f"blocks must be three numbers of at least 1. Received: blocks={blocks}.")
    if min(input_shape[:2]) < 2 ** len(WIDTHS):
        raise ValueError(f"Three poolings need sides of 8 or more. Received: input_shape={input_shape}.")
    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    x = layers.ReLU(name="stem_relu")(_normalised(x, round(STEM * width), kernel=3, name="stem"))
    for stage, (channels, count) in enumerate(zip(WIDTHS, blocks, strict=True), start=1):
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
        for index in range(1, count + 1):
            last = stage == len(WIDTHS) and index == count
            output = "feature_map" if last else f"stage{stage}_block{index}_output"
            x = _block(x, round(channels * width), name=f"stage{stage}_block{index}", output=output)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dropout(dropout, name="head_dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="emotion")(x)
    return keras.Model(image, {"emotion": logits}, name=name or "fer_mobile")


def _block(x: keras.KerasTensor, channels: int, *, name: str, output: str) -> keras.KerasTensor:
    """Two 3x3 convolutions and a way past them, which is a 1x1 convolution where the channels change."""
    past = x if x.shape[-1] == channels else _normalised(x, channels, kernel=1, name=f"{name}_past")
    x = layers.ReLU(name=f"{name}_relu")(_normalised(x, channels, kernel=3, name=f"{name}_1"))
    x = _normalised(x, channels, kernel=3, name=f"{name}_2")
    return layers.ReLU(name=output)(layers.Add(name=f"{name}_sum")([past, x]))


def _normalised(x: keras.KerasTensor, channels: int, *, kernel: int, name: str) -> keras.KerasTensor:
    """Convolution and batch normalisation: one operation once the network is exported."""
    x = layers.Conv2D(
        channels, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
