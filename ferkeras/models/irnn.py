"""A convolutional network per frame and a recurrent network of rectified linear units over time.

Sources: Ebrahimi Kahou, Michalski, Konda, Memisevic & Pal, "Recurrent neural networks for emotion recognition in
video", ICMI 2015; the recurrent network is that of Le, Jaitly & Hinton, "A simple way to initialize recurrent networks
of rectified linear units", 2015: it begins with the identity for its recurrent matrix, so that a state stays as it
is until the input changes it.
"""

from typing import Literal

import keras
from keras import layers

from ferkeras.models.sequence import sequence_model, split_shape
from ferkeras.models.xception_lstm import xception_dense


def irnn(
    *,
    backbone: Literal["xception", "small_cnn"] = "small_cnn",
    width: float = 1.0,
    weights: str | None = None,
    encoder_weights: str | None = None,
    freeze_encoder: bool = False,
    hidden: int = 128,
    identity: float = 1.0,
    dropout: float = 0.4,
    input_shape: tuple[int | None, ...] = (None, 48, 48, 1),
    classes: int = 7,
    name: str | None = None,
) -> keras.Model:
    """Rectified linear recurrent units over the 512-vectors of `xception_dense`, and logits from the last state.

    As in the paper the frames' network is trained on still images first, where `encoder_weights` and `freeze_encoder`
    are given; without them it is trained with the rest.

    Deviations: that network is one of this package; state size and dropout are not the paper's; the input weights
    begin as those of Glorot & Bengio, 2010, and not with the deviation of 0.001 of Le et al., as from so little
    Adam's first steps on the biases can leave all units dead. Train with clipped gradients: nothing bounds the state.

    Args:
        backbone: Of `ferkeras.models.xception_lstm.xception_dense`, as are `width` and `weights`.
        encoder_weights: The `.keras` file of a trained `xception_dense`, which the encoder begins with.
        freeze_encoder: Train the recurrent part alone, see `ferkeras.models.sequence.sequence_model`.
        hidden: State size.
        identity: Factor on the identity at the beginning; less than one forgets sooner.
        dropout: Rate before the logits.
        input_shape: T or None, H, W, C.
        classes: K.

    Returns:
        A functional model, see `sequence_model`; output `{"emotion": (B, K)}` logits. A clip without a valid
        frame has a zero state.

    Raises:
        ValueError: as `xception_dense` and `take_encoder_weights`, and for a state size below one.
    """
    frames, shape = split_shape(input_shape)
    if hidden < 1:
        raise ValueError(f"hidden must be at least 1. Received: {hidden}.")
    still = xception_dense(backbone=backbone, width=width, weights=weights, input_shape=shape)
    temporal = _temporal(
        frames=frames,
        width=still.get_layer("features").units,
        hidden=hidden,
        identity=identity,
        dropout=dropout,
        classes=classes,
    )
    return sequence_model(
        still, temporal, encoder_weights=encoder_weights, freeze_encoder=freeze_encoder, name=name or "irnn"
    )


def _temporal(
    *, frames: int | None, width: int, hidden: int, identity: float, dropout: float, classes: int
) -> keras.Model:
    """Vectors (B, T, D) and their mask to logits (B, K); a masked frame leaves the state as it was."""
    features = keras.Input((frames, width), name="features")
    frame_mask = keras.Input((frames,), dtype="bool", name="frame_mask")
    x = layers.SimpleRNN(
        hidden,
        activation="relu",
        recurrent_initializer=keras.initializers.Identity(gain=identity),
        name="irnn1",
    )(features, mask=frame_mask)
    x = layers.Dropout(dropout, name="dropout1")(x)
    outputs = {"emotion": layers.Dense(classes, dtype="float32", name="emotion")(x)}
    return keras.Model({"features": features, "frame_mask": frame_mask}, outputs, name="temporal")
