"""Xception over the frames of a clip and a recurrent network over time, and its classifier of single frames.

Sources: the report on Xception-LSTM for neutral, happy and pensive segments of video, for the frame classifier, the
512-vector as the encoding of a frame, the LSTM, deep LSTM and bidirectional LSTM, and the grid from which it took
hidden size 128 and dropout 0.4; Chollet, "Xception", CVPR 2017, through keras.applications.

Additions: the GRU, and `small_cnn` in the place of Xception, which needs sides of 71 and much arithmetic.
"""

from typing import Literal

import keras
from keras import layers

from ferkeras.models.sequence import frame_map, sequence_model, split_shape
from ferkeras.models.temporal import recurrent_temporal

#: Widths of the dense layers after the pooling; the second one is the encoding of a frame.
DENSE: tuple[int, int, int] = (1024, 512, 256)


def xception_dense(
    *,
    backbone: Literal["xception", "small_cnn"] = "xception",
    width: float = 1.0,
    weights: str | None = None,
    freeze: bool = False,
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 3,
    name: str | None = None,
) -> keras.Model:
    """The classifier of single frames: backbone, global average pooling, dense 1024, 512 and 256 with ReLU, logits.

    Args:
        backbone: `xception` is the report's.
        width: Factor on the dense widths and on the channels of `small_cnn`; 1.0 is the report.
        weights: `imagenet`, or a file, for Xception: see `ferkeras.models.imagenet.imagenet_classifier`.
        freeze: Train the dense layers alone.
        dropout: Rate before the logits.
        input_shape: H, W, C with one channel or three; at 224 the last map is the report's 7x7x2048.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `feature_map` and `features` (B, 512*width), the encoding of a frame.

    Raises:
        ValueError: for an unknown backbone, a shape that does not fit, or weights that cannot be had.
    """
    image = keras.Input(input_shape, name="image")
    x = frame_map(image, backbone=backbone, width=width, weights=weights, freeze=freeze)
    x = layers.GlobalAveragePooling2D(name="pooled")(x)
    for units, dense in zip(DENSE, ("dense1", "features", "dense3"), strict=True):
        x = layers.Dense(round(units * width), activation="relu", kernel_initializer="he_normal", name=dense)(x)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="emotion")(x)
    return keras.Model(image, {"emotion": logits}, name=name or "xception_dense")


def xception_lstm(
    *,
    backbone: Literal["xception", "small_cnn"] = "xception",
    width: float = 1.0,
    weights: str | None = None,
    encoder_weights: str | None = None,
    freeze_encoder: bool = False,
    cell: Literal["lstm", "gru"] = "lstm",
    bidirectional: bool = False,
    hidden: int = 128,
    depth: int = 1,
    dropout: float = 0.4,
    input_shape: tuple[int | None, ...] = (None, 224, 224, 3),
    classes: int = 3,
    name: str | None = None,
) -> keras.Model:
    """Recurrent layers over the 512-vectors of `xception_dense`, and logits from the last state.

    Args:
        backbone: Of `xception_dense`, as are `width` and `weights`.
        encoder_weights: The `.keras` file of a trained `xception_dense`, which the encoder begins with.
        freeze_encoder: Train the recurrent part alone, see `ferkeras.models.sequence.sequence_model`.
        cell: Kind of the recurrent layers.
        bidirectional: Read the clip both ways.
        hidden: State size; the report tried 64, 128 and 256.
        depth: Recurrent layers; 2 is the report's deep LSTM.
        dropout: Rate after each recurrent layer; the report tried 0.4 to 0.8.
        input_shape: T or None, H, W, C.
        classes: K.

    Returns:
        A functional model, see `sequence_model`; output `{"emotion": (B, K)}` logits.

    Raises:
        ValueError: as `xception_dense`, `recurrent_temporal` and `take_encoder_weights`.
    """
    frames, shape = split_shape(input_shape)
    still = xception_dense(backbone=backbone, width=width, weights=weights, input_shape=shape)
    temporal = recurrent_temporal(
        frames=frames,
        width=still.get_layer("features").units,
        heads={"emotion": classes},
        cell=cell,
        bidirectional=bidirectional,
        hidden=hidden,
        depth=depth,
        dropout=dropout,
    )
    return sequence_model(
        still, temporal, encoder_weights=encoder_weights, freeze_encoder=freeze_encoder, name=name or "xception_lstm"
    )
