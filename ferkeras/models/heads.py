"""The ends of the networks: what turns a feature vector into the outputs that the contracts name."""

import keras


def emotion_head(
    features: keras.KerasTensor, *, classes: int, width: int = 128, dropout: float = 0.0
) -> dict[str, keras.KerasTensor]:
    """Dense `width` with ReLU, dropout, and one dense layer of logits.

    Args:
        features: (B, D).
        classes: K.
        dropout: Rate before the logits; zero leaves the layer out.

    Returns:
        `{"emotion": logits (B, K)}`, float32 and without softmax.
    """
    x = keras.layers.Dense(width, activation="relu", name="head_dense")(features)
    if dropout:
        x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    return {"emotion": keras.layers.Dense(classes, dtype="float32", name="emotion")(x)}
