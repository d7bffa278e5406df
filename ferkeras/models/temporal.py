"""The temporal part of a sequence model: recurrent layers over the frames' vectors, and dense layers of logits.

Sources: Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 1997, with the forget gate of Gers et
al., 2000; Cho et al., EMNLP 2014, for the GRU; Schuster & Paliwal, "Bidirectional recurrent neural networks", IEEE
Transactions on Signal Processing 1997.
"""

from collections.abc import Mapping
from typing import Literal

import keras
from keras import layers

CELLS = {"lstm": layers.LSTM, "gru": layers.GRU}


def recurrent_temporal(
    *,
    frames: int | None,
    width: int,
    heads: Mapping[str, int],
    cell: Literal["lstm", "gru"] = "lstm",
    bidirectional: bool = False,
    hidden: int = 128,
    depth: int = 1,
    dropout: float = 0.0,
    per_frame: bool = False,
) -> keras.Model:
    """Builds the part that a sequence model has under the name `temporal`.

    A masked frame is passed over: the states stay as they were, so padding of any length, and a gap anywhere, changes
    nothing, and the last state is that of the last valid frame (of both ends of the clip, if bidirectional). A clip
    without a valid frame has a zero state.

    Args:
        frames: T, or None for any.
        width: D of the vectors.
        heads: Name and number of classes K of each dense layer of logits.
        cell: Kind of the recurrent layers.
        bidirectional: Each layer reads the clip both ways and joins the two states.
        hidden: State size of a layer and direction.
        depth: Number of recurrent layers.
        dropout: Rate after each recurrent layer, so between them and before the logits; zero leaves it out.
        per_frame: Logits for every frame rather than for the clip; at a masked frame they mean nothing, but they do
            not depend on what the frame holds.

    Returns:
        A functional model `temporal`. Inputs `features` (B, T, D) and `frame_mask` (B, T), bool; output
        `{head: logits (B, K)}`, or (B, T, K) `per_frame`, float32.

    Raises:
        ValueError: for an unknown cell, or sizes below one.
    """
    if cell not in CELLS:
        raise ValueError(f"cell must be one of {', '.join(CELLS)}. Received: cell={cell!r}.")
    if min(hidden, depth) < 1:
        raise ValueError(f"hidden and the number of layers must be at least 1. Received: {hidden} and {depth}.")
    features = keras.Input((frames, width), name="features")
    frame_mask = keras.Input((frames,), dtype="bool", name="frame_mask")
    x = features
    for index in range(1, depth + 1):
        # cuDNN's kernels refuse a mask with a gap, and clips in which nothing is valid.
        name = f"{cell}{index}"
        layer = CELLS[cell](hidden, return_sequences=per_frame or index < depth, use_cudnn=False, name=name)
        if bidirectional:
            layer = layers.Bidirectional(layer, name=f"bi{name}")
        x = layer(x, mask=frame_mask)
        if dropout:
            x = layers.Dropout(dropout, name=f"dropout{index}")(x)
    outputs = {head: layers.Dense(classes, dtype="float32", name=head)(x) for head, classes in heads.items()}
    return keras.Model({"features": features, "frame_mask": frame_mask}, outputs, name="temporal")
