"""EfficientNet over the frames of a clip and an LSTM over time, for valence and arousal in 21 classes each.

Sources: the report on valence and arousal from AFEW-VA, for the pooled 1280-vector of EfficientNet-B0, the two LSTM
layers of 256, the last step, and two parallel dense layers of 21 classes, which stand for -10 to 10; Tan & Le,
"EfficientNet", ICML 2019, through keras.applications.

`efficientnet_va` is the still network of Savchenko, "Video-based frame-level facial analysis of affective behavior on
mobile devices using EfficientNets", CVPR Workshops 2022 (`enet_b0_8_va_mtl`): one linear layer of ten values on the
pooled vector, eight logits of emotions, and valence and arousal as numbers.
"""

from typing import Literal

import keras
from keras import layers

from ferkeras.models.sequence import frame_map, sequence_model, split_shape
from ferkeras.models.temporal import recurrent_temporal

Backbone = Literal["efficientnet_b0", "efficientnet_b2", "small_cnn"]


def efficientnet_va(
    *,
    backbone: Backbone = "efficientnet_b0",
    width: float = 1.0,
    weights: str | None = None,
    freeze: bool = False,
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 8,
    name: str | None = None,
) -> keras.Model:
    """Emotion, valence and arousal of a single image.

    Args:
        backbone: The network under the pooling.
        width: Factor on the channels of `small_cnn`.
        weights: `imagenet`, or a file, for EfficientNet: see `ferkeras.models.imagenet.imagenet_classifier`.
        freeze: Train the outputs alone.
        dropout: Rate before the outputs.
        input_shape: H, W, C with one channel or three.
        classes: K, the emotions.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; outputs `emotion`, logits (B, K), and
        `valence` and `arousal` (B, 1), numbers on the scale of [-1, 1] that nothing keeps inside it. They are no
        logits of 21 classes: the last axis tells the two forms apart. Layers `feature_map` and `features` (B, D).
        The published linear layer holds the three in the order emotions, valence, arousal.

    Raises:
        ValueError: for an unknown backbone, a shape that does not fit, or weights that cannot be had.
    """
    image, x = _pooled(backbone=backbone, width=width, weights=weights, freeze=freeze, input_shape=input_shape)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    sizes = {"emotion": classes, "valence": 1, "arousal": 1}
    outputs = {head: layers.Dense(size, dtype="float32", name=head)(x) for head, size in sizes.items()}
    return keras.Model(image, outputs, name=name or "efficientnet_va")


def efficientnet_lstm(
    *,
    backbone: Backbone = "efficientnet_b0",
    width: float = 1.0,
    weights: str | None = None,
    encoder_weights: str | None = None,
    freeze_encoder: bool = False,
    hidden: int = 256,
    depth: int = 2,
    dropout: float = 0.0,
    per_frame: bool = False,
    input_shape: tuple[int | None, ...] = (None, 224, 224, 3),
    classes: int = 21,
    name: str | None = None,
) -> keras.Model:
    """LSTM layers over the frames' pooled vectors, and two dense layers of classes: valence and arousal.

    Args:
        backbone: `efficientnet_b0` is the report's, with vectors of 1280; those of `efficientnet_b2` have 1408.
        width: Factor on the channels of `small_cnn`.
        weights: `imagenet`, or a file, for EfficientNet: see `ferkeras.models.imagenet.imagenet_classifier`.
        encoder_weights: The `.keras` file of a trained still model of this backbone, such as `efficientnet_va`.
        freeze_encoder: Train the recurrent part alone, see `ferkeras.models.sequence.sequence_model`.
        hidden: State size of an LSTM layer.
        depth: LSTM layers.
        dropout: Rate after each LSTM layer.
        per_frame: Logits for every frame (sequence to sequence) rather than from the last valid one.
        input_shape: T or None, H, W, C.
        classes: Of valence and of arousal; class k of 21 stands for k - 10.

    Returns:
        A functional model, see `sequence_model`; outputs `valence` and `arousal`, logits (B, 21), or (B, T, 21)
        `per_frame`.

    Raises:
        ValueError: as `efficientnet_va`, `recurrent_temporal` and `take_encoder_weights`.
    """
    frames, shape = split_shape(input_shape)
    image, features = _pooled(backbone=backbone, width=width, weights=weights, freeze=False, input_shape=shape)
    temporal = recurrent_temporal(
        frames=frames,
        width=features.shape[-1],
        heads={"valence": classes, "arousal": classes},
        hidden=hidden,
        depth=depth,
        dropout=dropout,
        per_frame=per_frame,
    )
    return sequence_model(
        keras.Model(image, features),
        temporal,
        encoder_weights=encoder_weights,
        freeze_encoder=freeze_encoder,
        name=name or "efficientnet_lstm",
    )


def _pooled(
    *, backbone: Backbone, width: float, weights: str | None, freeze: bool, input_shape: tuple[int, int, int]
) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The input `image` and the pooled vector, layer `features`."""
    image = keras.Input(input_shape, name="image")
    x = frame_map(image, backbone=backbone, width=width, weights=weights, freeze=freeze)
    return image, layers.GlobalAveragePooling2D(name="features")(x)
