"""The SE-CNN family: four or five convolutions with optional squeeze-and-excitation, and its residual version.

Source: the third report on facial expressions (GiMeFive) and its follow-up, and their published code for what the
text leaves open: where dropout stands, and that excitation follows the activation.
"""

from typing import Literal

import keras
from keras import layers

from ferkeras.layers import SqueezeExcitation

#: Channels of the convolutions, by their number, and widths of the two dense layers.
WIDTHS: dict[int, tuple[int, ...]] = {4: (64, 128, 256, 512), 5: (64, 128, 256, 512, 1024)}
DENSE: dict[int, tuple[int, int]] = {4: (1024, 512), 5: (2048, 1024)}
#: Channels of the residual blocks after the first convolution of 64, and widths of the two dense layers.
RESIDUAL_WIDTHS, RESIDUAL_DENSE = (128, 256, 512, 1024, 2048), (4096, 2048)


def gimefive(
    *,
    convolutions: Literal[4, 5] = 5,
    excitation: Literal["none", "first", "all"] = "none",
    width: float = 1.0,
    dropout: float = 0.2,
    head_dropout: float = 0.5,
    input_shape: tuple[int, int, int] = (64, 64, 3),
    classes: int = 6,
    name: str | None = None,
) -> keras.Model:
    """Convolution 3x3, batch normalisation, ReLU, excitation, max-pooling and dropout, four or five times.

    Args:
        convolutions: 4 is the report's baseline, 5 its final network.
        excitation: Squeeze-and-excitation (reduction 16, no bias) after no convolution, the first, or every one.
        width: Factor on all channels and dense widths; 1.0 is the report.
        dropout: Rate after each pooling.
        head_dropout: Rate between the two dense layers.
        input_shape: H, W, C; sides of at least 2 to the power of `convolutions`.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `feature_map`, the last before its pooling, and `features`, its average.

    Raises:
        ValueError: for an unknown option or an image that the poolings leave nothing of.
    """
    if convolutions not in WIDTHS:
        raise ValueError(f"convolutions must be 4 or 5. Received: convolutions={convolutions}.")
    if excitation not in ("none", "first", "all"):
        raise ValueError(f"excitation must be none, first or all. Received: excitation={excitation!r}.")
    _check_sides(input_shape, at_least=2**convolutions)
    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    for index, channels in enumerate(WIDTHS[convolutions], start=1):
        last = index == convolutions
        excited = excitation == "all" or (excitation == "first" and index == 1)
        x = _convolution(x, round(channels * width), name=f"conv{index}", bn=f"bn{index}")
        x = layers.ReLU(name="feature_map" if last and not excited else f"relu{index}")(x)
        if excited:
            x = SqueezeExcitation(reduction=16, name="feature_map" if last else f"se{index}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
        x = layers.Dropout(dropout, name=f"dropout{index}")(x)
    outputs = _head(x, widths=DENSE[convolutions], width=width, dropout=head_dropout, classes=classes)
    return keras.Model(image, outputs, name=name or f"gimefive{convolutions}")


def gimefive_residual(
    *,
    width: float = 1.0,
    head_dropout: float = 0.5,
    input_shape: tuple[int, int, int] = (64, 64, 3),
    classes: int = 6,
    name: str | None = None,
) -> keras.Model:
    """The residual version: one convolution with excitation, then five residual blocks of stride 2.

    Arguments, model and errors as in `gimefive`; sides of at least 32.
    """
    _check_sides(input_shape, at_least=32)
    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    x = _convolution(x, round(64 * width), name="conv1", bn="bn1")
    x = layers.ReLU(name="relu1")(x)
    x = SqueezeExcitation(reduction=16, name="se1")(x)
    for index, channels in enumerate(RESIDUAL_WIDTHS, start=1):
        last = index == len(RESIDUAL_WIDTHS)
        x = _residual_block(x, round(channels * width), name=f"block{index}", last=last)
    outputs = _head(x, widths=RESIDUAL_DENSE, width=width, dropout=head_dropout, classes=classes)
    return keras.Model(image, outputs, name=name or "gimefive_res")


def _residual_block(x: keras.KerasTensor, channels: int, *, name: str, last: bool) -> keras.KerasTensor:
    """Two 3x3 convolutions, the first of stride 2, and a 1x1 convolution of stride 2 around them."""
    branch = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)  # "same" would pad one side only at stride 2
    branch = _convolution(branch, channels, strides=2, padding="valid", name=f"{name}_conv1", bn=f"{name}_bn1")
    branch = layers.ReLU(name=f"{name}_relu1")(branch)
    branch = _convolution(branch, channels, name=f"{name}_conv2", bn=f"{name}_bn2")
    # Every second pixel, then a plain 1x1 convolution: the same as a strided one, whose gradient writes out of bounds
    # in TensorFlow 2.21 on a CPU where channels are few.
    around = layers.MaxPooling2D(1, strides=2, name=f"{name}_shortcut_take")(x)
    around = _convolution(around, channels, kernel=1, name=f"{name}_shortcut_conv", bn=f"{name}_shortcut_bn")
    x = layers.Add(name=f"{name}_add")([branch, around])
    return layers.ReLU(name="feature_map" if last else f"{name}_relu2")(x)


def _convolution(
    x: keras.KerasTensor,
    channels: int,
    *,
    kernel: int = 3,
    strides: int = 1,
    padding: str = "same",
    name: str,
    bn: str,
) -> keras.KerasTensor:
    """Convolution with bias and its batch normalisation."""
    x = layers.Conv2D(channels, kernel, strides=strides, padding=padding, kernel_initializer="he_normal", name=name)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=bn)(x)


def _head(
    x: keras.KerasTensor, *, widths: tuple[int, int], width: float, dropout: float, classes: int
) -> dict[str, keras.KerasTensor]:
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dense(round(widths[0] * width), activation="relu", kernel_initializer="he_normal", name="dense1")(x)
    x = layers.Dropout(dropout, name="head_dropout")(x)
    x = layers.Dense(round(widths[1] * width), activation="relu", kernel_initializer="he_normal", name="dense2")(x)
    return {"emotion": layers.Dense(classes, dtype="float32", name="emotion")(x)}


def _check_sides(input_shape: tuple[int, int, int], *, at_least: int) -> None:
    if min(input_shape[:2]) < at_least:
        raise ValueError(
            f"The network halves the image until nothing is left of it: sides of {at_least} or more. "
            f"Received: input_shape={input_shape}."
        )
