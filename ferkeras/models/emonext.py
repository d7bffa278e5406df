"""EmoNeXt: a spatial transformer, ConvNeXt with squeeze-and-excitation, and a self-attention regularisation.

Source: El Boudouri & Bohi, "EmoNeXt: an adapted ConvNeXt for facial emotion recognition", MMSP 2023, and the sizes of
its published code. What differs from that code: self-attention runs over the spatial tokens of one image
(`ferkeras.layers.AttentionVariance` says how and why), and any input side of at least 32 works.
"""

from typing import Literal

import keras
import numpy as np
from keras import layers

from ferkeras.layers import AffineSampler, AttentionVariance
from ferkeras.models.convnext import BLOCKS, EPSILON, WIDTHS, Size, convnext_stages, normal
from ferkeras.models.convnext_weights import load_convnext
from ferkeras.models.imagenet import IMAGENET_DEVIATION, IMAGENET_MEAN


def emonext(
    *,
    size: Size = "tiny",
    width: float = 1.0,
    transformer: bool = True,
    excitation: bool = True,
    attention: float = 1.0,
    stochastic_depth: float = 0.1,
    layer_scale: float = 1e-6,
    dropout: float = 0.0,
    pixels: Literal["unit", "imagenet"] = "unit",
    weights: str | None = None,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 7,
    name: str | None = None,
) -> keras.Model:
    """Builds the network.

    Args:
        size: Channels and blocks as ConvNeXt of this size.
        width: Factor on the channels of all stages; 1.0 is ConvNeXt.
        transformer: The spatial transformer in front.
        excitation: Squeeze-and-excitation after each down-sampling.
        attention: Strength lambda of the self-attention regularisation; zero leaves the branch out. With
            `transformer` and `excitation` off too, the network is ConvNeXt.
        stochastic_depth: Rate of the last block, rising linearly from zero at the first.
        layer_scale: First value of the layer scale.
        dropout: Rate before the logits.
        pixels: What the stages see. `unit`: [0, 1], as EmoNeXt's published code. `imagenet`: less the mean and by
            the deviation of ImageNet, as ConvNeXt's weights were trained.
        weights: First weights of the stages: `imagenet` (fetched by keras.applications), a `.h5`, `.weights.h5` or
            `.keras` file of keras.applications' ConvNeXt of this size, or a `.keras` file of an EmoNeXt. What was taken
            is said on standard error.
        input_shape: H, W, C with sides of at least 32 and one channel, which is repeated, or three.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `spatial_transformer` (B, H, W, 3) in [0, 1], `feature_map` (B, H/32, W/32, D), `features` (B, D).

    Raises:
        ValueError: for an unknown size, a shape that does not fit, or weights that cannot be had or do not fit.
    """
    if size not in WIDTHS:
        raise ValueError(f"size must be one of {', '.join(WIDTHS)}. Received: size={size!r}.")
    if pixels not in ("unit", "imagenet"):
        raise ValueError(f"pixels must be unit or imagenet. Received: pixels={pixels!r}.")
    if min(input_shape[:2]) < 32 or input_shape[2] not in (1, 3):
        raise ValueError(f"EmoNeXt takes sides of at least 32 and 1 or 3 channels. Received: {input_shape}.")

    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    if input_shape[2] == 1:
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    if transformer:
        x = AffineSampler(name="spatial_transformer")([x, _localization(x)])
    if pixels == "imagenet":
        variance = np.square(IMAGENET_DEVIATION).tolist()
        x = layers.Normalization(mean=list(IMAGENET_MEAN), variance=variance, name="imagenet_pixels")(x)
    widths = [max(1, round(channels * width)) for channels in WIDTHS[size]]
    x = convnext_stages(
        x,
        widths=widths,
        blocks=BLOCKS[size],
        excitation=excitation,
        layer_scale=layer_scale,
        stochastic_depth=stochastic_depth,
    )
    if attention:
        x = AttentionVariance(strength=attention, name="self_attention")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.LayerNormalization(epsilon=EPSILON, name="features")(x)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    logits = layers.Dense(classes, kernel_initializer=normal(), dtype="float32", name="emotion")(x)
    model = keras.Model(image, {"emotion": logits}, name=name or f"emonext_{size}")
    if weights is not None:
        load_convnext(model, weights, size=size)
    return model


def _localization(x: keras.KerasTensor) -> keras.KerasTensor:
    """Image (B, H, W, 3) -> affine map (B, 6), the identity before training (Jaderberg et al., 2015)."""
    for index, (filters, kernel) in enumerate(((8, 7), (10, 5)), start=1):
        x = layers.Conv2D(filters, kernel, kernel_initializer=normal(), name=f"stn_conv{index}")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"stn_bn{index}")(x)
        x = layers.MaxPooling2D(2, name=f"stn_pool{index}")(x)
        x = layers.ReLU(name=f"stn_relu{index}")(x)
    x = layers.Flatten(name="stn_flatten")(x)
    x = layers.Dense(32, activation="relu", kernel_initializer=normal(), name="stn_dense")(x)
    identity = keras.initializers.Constant([1, 0, 0, 0, 1, 0])
    return layers.Dense(6, kernel_initializer="zeros", bias_initializer=identity, name="stn_theta")(x)
