"""The network that the third report calls VGG16 with batch normalisation.

Source: the third report on facial expressions and its published code. It is not VGG16: it has six convolutions, two
in each of three stages; the two of a stage share one batch normalisation, scales and moving statistics alike; and most
of its parameters are in the classifier on the flattened maps. It is built as published, since its result is published.
For VGG16 itself take `vgg16`.
"""

import keras
from keras import layers

WIDTHS: tuple[int, ...] = (64, 128, 256)
DENSE: tuple[int, ...] = (4096, 1024)


def vgg_shared(
    *,
    width: float = 1.0,
    dropout: float = 0.2,
    head_dropout: float = 0.5,
    input_shape: tuple[int, int, int] = (64, 64, 3),
    classes: int = 6,
    name: str | None = None,
) -> keras.Model:
    """Builds the network.

    Args:
        width: Factor on all channels and dense widths; 1.0 is the report.
        dropout: Rate between the two convolutions of a stage.
        head_dropout: Rate after each of the two dense layers.
        input_shape: H, W, C with sides of at least 8; the first dense layer grows with H*W.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `feature_map` (B, H/4, W/4, 256*width), before the last pooling, and `features`, the flattened maps.

    Raises:
        ValueError: for an image too small for three poolings.
    """
    if min(input_shape[:2]) < 8:
        raise ValueError(f"Three poolings need sides of 8 or more. Received: input_shape={input_shape}.")
    image = keras.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    for stage, channels in enumerate(WIDTHS, start=1):
        normalise = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"stage{stage}_bn")
        last = stage == len(WIDTHS)
        for index in (1, 2):
            convolution = layers.Conv2D(
                round(channels * width),
                3,
                padding="same",
                kernel_initializer="he_normal",
                name=f"stage{stage}_conv{index}",
            )
            x = normalise(convolution(x))
            x = layers.ReLU(name="feature_map" if last and index == 2 else f"stage{stage}_relu{index}")(x)
            if index == 1:
                x = layers.Dropout(dropout, name=f"stage{stage}_dropout")(x)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    x = layers.Flatten(name="features")(x)
    for index, units in enumerate(DENSE, start=1):
        dense = layers.Dense(
            round(units * width), activation="relu", kernel_initializer="he_normal", name=f"head_dense{index}"
        )
        x = layers.Dropout(head_dropout, name=f"head_dropout{index}")(dense(x))
    logits = layers.Dense(classes, dtype="float32", name="emotion")(x)
    return keras.Model(image, {"emotion": logits}, name=name or "vgg16_bn")
