"""ResNet18 and ResNet34.

Source: He et al., "Deep residual learning for image recognition", CVPR 2016, table 1 and section 3.3 (projection
shortcuts, option B); as the baseline of the third report on facial expressions, whose code leaves out the max-pooling
after the first convolution, so that 64 pixels end as 4x4 and not as 2x2 maps.
"""

from typing import Literal

import keras
from keras import layers

BLOCKS: dict[int, tuple[int, ...]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
WIDTHS: tuple[int, ...] = (64, 128, 256, 512)


def resnet(
    *,
    depth: Literal[18, 34] = 18,
    width: float = 1.0,
    stem_pool: bool = False,
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (64, 64, 3),
    classes: int = 6,
    name: str | None = None,
) -> keras.Model:
    """Builds the network.

    Args:
        depth: Weight layers, 18 or 34.
        width: Factor on all channels; 1.0 is the paper.
        stem_pool: The paper's 3x3 max-pooling of stride 2 after the first convolution.
        dropout: Rate before the logits.
        input_shape: H, W, C with sides of at least 16, or 32 with `stem_pool`.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `feature_map` (B, H/16, W/16, 512*width) and `features` (B, 512*width).

    Raises:
        ValueError: for another depth or an image that is too small.
    """
    if depth not in BLOCKS:
        raise ValueError(f"depth must be 18 or 34. Received: depth={depth}.")
    least = 32 if stem_pool else 16
    if min(input_shape[:2]) < least:
        raise ValueError(f"ResNet needs sides of {least} or more. Received: input_shape={input_shape}.")
    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    x = _convolution(x, round(64 * width), kernel=7, strides=2, name="stem")
    x = layers.ReLU(name="stem_relu")(x)
    if stem_pool:
        # Zeros at the border never win: what is pooled comes from ReLU.
        x = layers.ZeroPadding2D(1, name="stem_pool_pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="stem_pool")(x)
    for stage, (count, channels) in enumerate(zip(BLOCKS[depth], WIDTHS, strict=True), start=1):
        for block in range(1, count + 1):
            strides = 2 if stage > 1 and block == 1 else 1
            last = stage == len(WIDTHS) and block == count
            x = _block(x, round(channels * width), strides=strides, name=f"stage{stage}_block{block}", last=last)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="emotion")(x)
    return keras.Model(image, {"emotion": logits}, name=name or f"resnet{depth}")


def _block(x: keras.KerasTensor, channels: int, *, strides: int, name: str, last: bool) -> keras.KerasTensor:
    """Two 3x3 convolutions and the input, projected where its shape is another (figure 2, left)."""
    branch = _convolution(x, channels, kernel=3, strides=strides, name=f"{name}_1")
    branch = layers.ReLU(name=f"{name}_relu1")(branch)
    branch = _convolution(branch, channels, kernel=3, strides=1, name=f"{name}_2")
    if strides != 1:
        # Every second pixel, then a plain 1x1 convolution: the same as a strided one, whose gradient writes out of
        # bounds in TensorFlow 2.21 on a CPU where channels are few.
        x = layers.MaxPooling2D(1, strides=strides, name=f"{name}_shortcut_take")(x)
        x = _convolution(x, channels, kernel=1, strides=1, name=f"{name}_shortcut")
    x = layers.Add(name=f"{name}_add")([branch, x])
    return layers.ReLU(name="feature_map" if last else f"{name}_relu2")(x)


def _convolution(x: keras.KerasTensor, channels: int, *, kernel: int, strides: int, name: str) -> keras.KerasTensor:
    """Convolution without bias and its batch normalisation, padded alike on all sides whatever the stride."""
    if strides > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    x = layers.Conv2D(
        channels,
        kernel,
        strides=strides,
        padding="same" if strides == 1 else "valid",
        use_bias=False,
        kernel_initializer="he_normal",
        name=f"{name}_conv",
    )(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn")(x)
