"""VGG with batch normalisation, alone or beside an LSTM that reads the image row by row.

Sources: Simonyan & Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015,
table 1, columns A, B, D and E; batch normalisation after every convolution (Ioffe & Szegedy, ICML 2015); the
VGG-LSTM-attention report on FER2013 for the second branch.

Deviations from VGG: one channel and 48x48 pixels, so the maps end at 1x1 and the two dense layers of 4096 are
replaced by one of 128; global average pooling before it, the identity at 48x48, admits other sizes.
Deviation from the report's published code: that code flattens the image to a single step of 2304 values; the
report's text says rows, and rows are what is built.
"""

from typing import Literal

import keras
from keras import layers

from ferkeras.layers import AdditiveAttention
from ferkeras.models.heads import emotion_head

#: Convolutions per block, by depth; the widths of the five blocks are the same for all.
BLOCKS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
WIDTHS: tuple[int, ...] = (64, 128, 256, 512, 512)


def vgg(
    *,
    depth: Literal[11, 13, 16, 19] = 11,
    width: float = 1.0,
    rows: Literal["none", "last", "attention"] = "none",
    lstm_units: int = 128,
    lstm_layers: int = 2,
    lstm_dropout: float = 0.0,
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (48, 48, 1),
    classes: int = 7,
    name: str | None = None,
) -> keras.Model:
    """Builds the network.

    Args:
        depth: Weight layers of the VGG original.
        width: Factor on the channels of every convolution; 1.0 is VGG.
        rows: The second branch. `none`: VGG alone. `last`: LSTM layers over the H rows of W*C values, last
            hidden state. `attention`: the same with additive attention over the H hidden states.
        lstm_units: Hidden size of each LSTM layer.
        lstm_dropout: Dropout between and after the LSTM layers.
        dropout: Dropout before the logits.
        input_shape: H, W, C; sides of at least 32.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `feature_map` (B, H/16, W/16, 512*width), `features` (B, 512*width [+ lstm_units]) and, with
        attention, `attention` whose second output holds the weights over rows (B, H).

    Raises:
        ValueError: for an unknown depth or `rows`, or an image too small for five poolings.
    """
    if depth not in BLOCKS:
        raise ValueError(f"depth must be one of {sorted(BLOCKS)}. Received: depth={depth}.")
    if rows not in ("none", "last", "attention"):
        raise ValueError(f"rows must be none, last or attention. Received: rows={rows!r}.")
    if min(input_shape[:2]) < 32:
        raise ValueError(f"VGG halves the image five times: sides of 32 or more. Received: input_shape={input_shape}.")

    image = keras.Input(input_shape, name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)  # mean 0.5, standard deviation 0.5
    features = _convolutions(scaled, depth=depth, width=width, name="features" if rows == "none" else "vgg_features")
    if rows != "none":
        context = _row_lstm(scaled, units=lstm_units, depth=lstm_layers, dropout=lstm_dropout, pooling=rows)
        features = layers.Concatenate(name="features")([features, context])
    outputs = emotion_head(features, classes=classes, dropout=dropout)
    return keras.Model(image, outputs, name=name or f"vgg{depth}")


def _convolutions(x: keras.KerasTensor, *, depth: int, width: float, name: str) -> keras.KerasTensor:
    """Scaled image (B, H, W, C) -> vector (B, 512*width)."""
    blocks = BLOCKS[depth]
    for block, (count, channels) in enumerate(zip(blocks, WIDTHS, strict=True), start=1):
        for index in range(1, count + 1):
            last = block == len(blocks) and index == count
            x = layers.Conv2D(
                int(channels * width),
                3,
                padding="same",
                kernel_initializer="he_normal",
                name=f"block{block}_conv{index}",
            )(x)
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"block{block}_bn{index}")(x)
            x = layers.ReLU(name="feature_map" if last else f"block{block}_relu{index}")(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return layers.GlobalAveragePooling2D(name=name)(x)


def _row_lstm(
    x: keras.KerasTensor, *, units: int, depth: int, dropout: float, pooling: Literal["last", "attention"]
) -> keras.KerasTensor:
    """Scaled image (B, H, W, C) as H steps of W*C values -> context (B, units)."""
    height, width, channels = x.shape[1:]
    x = layers.Reshape((height, width * channels), name="rows")(x)
    for index in range(1, depth + 1):
        keep_steps = pooling == "attention" or index < depth
        x = layers.LSTM(units, return_sequences=keep_steps, name=f"rows_lstm{index}")(x)
        if dropout:
            x = layers.Dropout(dropout, name=f"rows_dropout{index}")(x)
    if pooling == "attention":
        x, _ = AdditiveAttention(name="attention")(x)
    return x
