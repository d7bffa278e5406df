"""Convolutions over space and time, an LSTM over time at each of their levels, and an LSTM over the levels.

Source: Yu, Liu, Liu & Deng, "Spatio-temporal convolutional features with nested LSTM for facial expression
recognition", Neurocomputing 317, 2018, the network STC-NLSTM.
"""

import keras
from keras import layers

from ferkeras.layers import FoldFrames, UnfoldFrames, UnfoldMaps
from ferkeras.models.sequence import split_shape

WIDTHS: tuple[int, ...] = (16, 32, 64, 128)
LEAST_SIDE = 2 ** len(WIDTHS)
#: About how many cells along each side of the grid to which a level's maps are averaged: what a face expresses is
#: told by where it moves.
GRID = 3


def stc_nlstm(
    *,
    width: float = 1.0,
    hidden: int = 128,
    dropout: float = 0.4,
    input_shape: tuple[int | None, ...] = (None, 48, 48, 1),
    classes: int = 7,
    name: str | None = None,
) -> keras.Model:
    """The two nested LSTMs: T-LSTM reads the frames of a level, C-LSTM the last states of all levels in their order.

    A level is a 3x3x3 convolution that keeps T, batch normalisation, ReLU and a 2x2 max-pooling of each frame.

    Deviations: of the paper this keeps the scheme and not the sizes. There are four levels of 16 to 128 channels with
    batch normalisation; a level's maps become vectors by averaging them over the cells of a grid, 3x3 of them where
    the sides are multiples of three; the T-LSTMs share the state size, and no weights; C-LSTM runs once, over the
    states at the last valid frame.

    Masked frames are zero ahead of every convolution, as is what lies beyond the ends of a clip, and the T-LSTMs pass
    them over: padding changes nothing, whatever it holds. A gap inside a clip is a gap: its neighbours see zeros
    there. The convolutions join frames, so there is no encoder of single ones: nothing of this model can be
    cached or fed frame by frame. In training, batch normalisation takes its mean and variance over all B*T frames.

    Args:
        width: Factor on the channels.
        hidden: State size of every LSTM.
        dropout: Rate before the logits.
        input_shape: T or None, H, W, C; sides of at least 16.
        classes: K.

    Returns:
        A functional model. Inputs `frames` (B, T, H, W, C) with pixels in [0, 255] and `frame_mask` (B, T), bool;
        output `{"emotion": (B, K)}` logits. Layers `t_lstm1` to `t_lstm4` and `c_lstm`.

    Raises:
        ValueError: for a picture that is too small, or a state size below one.
    """
    frames, shape = split_shape(input_shape)
    if min(shape[:2]) < LEAST_SIDE:
        raise ValueError(f"stc_nlstm takes sides of at least {LEAST_SIDE}. Received: {input_shape}.")
    if hidden < 1:
        raise ValueError(f"hidden must be at least 1. Received: {hidden}.")
    clip = keras.Input((frames, *shape), name="frames")
    frame_mask = keras.Input((frames,), dtype="bool", name="frame_mask")
    x = FoldFrames(name="fold0")(clip, frame_mask)
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(x)
    states = []
    for index, channels in enumerate(WIDTHS, start=1):
        x = UnfoldMaps(name=f"unfold{index}")(x, frame_mask)
        channels = max(1, round(channels * width))
        x = layers.Conv3D(
            channels, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"conv{index}"
        )(x)
        x = FoldFrames(name=f"fold{index}")(x, frame_mask)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"bn{index}")(x)
        x = layers.ReLU(name=f"relu{index}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{index}")(x)
        cell = [max(1, side // GRID) for side in x.shape[1:3]]
        vectors = layers.Flatten(name=f"flat{index}")(layers.AveragePooling2D(cell, name=f"grid{index}")(x))
        vectors = UnfoldFrames(name=f"vectors{index}")(vectors, frame_mask)
        # cuDNN's kernels refuse a mask with a gap, and clips in which nothing is valid.
        states.append(layers.LSTM(hidden, use_cudnn=False, name=f"t_lstm{index}")(vectors, mask=frame_mask))
    levels = layers.Reshape((len(WIDTHS), hidden), name="levels")(layers.Concatenate(name="states")(states))
    x = layers.LSTM(hidden, name="c_lstm")(levels)
    x = layers.Dropout(dropout, name="dropout1")(x)
    logits = layers.Dense(classes, dtype="float32", name="emotion")(x)
    inputs = {"frames": clip, "frame_mask": frame_mask}
    return keras.Model(inputs, {"emotion": logits}, name=name or "stc_nlstm")
