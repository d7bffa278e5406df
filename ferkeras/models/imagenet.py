"""Backbones of keras.applications as still-image classifiers, from random or from ImageNet weights.

Sources: Chollet, "Xception", CVPR 2017; Tan & Le, "EfficientNet", ICML 2019. ConvNeXt is `ferkeras.models.emonext`
without its additions: keras.applications builds it with grouped convolutions, which are slow on a CPU.

Pixels are scaled here and not by the backbone, so that the network is the same with and without ImageNet weights;
keras.applications gives EfficientNet another preprocessing for each.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np
from keras import layers

#: Mean and standard deviation of ImageNet's pixels in [0, 1].
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class _Backbone:
    function: str
    """Of keras.applications."""
    least_side: int
    first_layer: str
    """The layer that takes scaled pixels."""
    pixels: Literal["symmetric", "standardised"]
    """[-1, 1], or less ImageNet's mean and by its deviation."""


BACKBONES: dict[str, _Backbone] = {
    "xception": _Backbone("Xception", 71, "block1_conv1", "symmetric"),
    "efficientnet_b0": _Backbone("EfficientNetB0", 32, "stem_conv_pad", "standardised"),
    "efficientnet_b2": _Backbone("EfficientNetB2", 32, "stem_conv_pad", "standardised"),
}


def imagenet_classifier(
    *,
    backbone: str,
    weights: str | None = None,
    freeze: bool = False,
    dropout: float = 0.0,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 7,
    name: str | None = None,
) -> keras.Model:
    """A backbone without its classifier, global average pooling, and one dense layer.

    Args:
        backbone: A key of `BACKBONES`.
        weights: `imagenet`, fetched by keras.applications, or the file without top (`*_notop.h5`) that it fetches.
        freeze: Train the classifier alone; the backbone's normalisation keeps its moving statistics then.
        dropout: Rate before the logits.
        input_shape: H, W, C with one channel, which is repeated, or three.
        classes: K.

    Returns:
        A functional model. Input `image` (B, H, W, C) with pixels in [0, 255]; output `{"emotion": (B, K)}` logits.
        Layers `backbone`, a model itself, `feature_map` (B, H/32, W/32, D) and `features` (B, D).

    Raises:
        ValueError: for an unknown backbone, a shape that does not fit, or weights that cannot be had.
    """
    image = keras.Input(input_shape, name="image")
    x = imagenet_map(image, backbone=backbone, weights=weights, freeze=freeze)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    if dropout:
        x = layers.Dropout(dropout, name="head_dropout")(x)
    logits = layers.Dense(classes, dtype="float32", name="emotion")(x)
    return keras.Model(image, {"emotion": logits}, name=name or backbone)


def imagenet_map(
    image: keras.KerasTensor, *, backbone: str, weights: str | None = None, freeze: bool = False
) -> keras.KerasTensor:
    """Pixels (B, H, W, C) in [0, 255] to the last map of a backbone, layer `feature_map` (B, H/32, W/32, D).

    Arguments and errors as in `imagenet_classifier`.
    """
    if backbone not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}. Received: backbone={backbone!r}.")
    kind, (height, width, channels) = BACKBONES[backbone], image.shape[1:]
    if min(height, width) < kind.least_side or channels not in (1, 3):
        raise ValueError(
            f"{backbone} takes sides of at least {kind.least_side} and 1 or 3 channels. Received: {image.shape[1:]}."
        )
    symmetric = kind.pixels == "symmetric"
    x = layers.Rescaling(1 / 127.5 if symmetric else 1 / 255, offset=-1.0 if symmetric else 0.0, name="scale")(image)
    if channels == 1:
        x = layers.Concatenate(name="grey_to_rgb")([x, x, x])
    if not symmetric:
        variance = np.square(IMAGENET_DEVIATION).tolist()
        x = layers.Normalization(mean=list(IMAGENET_MEAN), variance=variance, name="imagenet_pixels")(x)
    body = _body(kind, weights, side=(height, width))
    body.trainable = not freeze
    return layers.Activation("linear", name="feature_map")(body(x))


def _body(kind: _Backbone, weights: str | None, *, side: tuple[int, int]) -> keras.Model:
    """The backbone from scaled pixels (B, H, W, 3) to its last map."""
    if weights is not None and weights != "imagenet" and not Path(weights).is_file():
        raise ValueError(f"weights must be imagenet or a file. Received: {weights}, which is not there.")
    create = getattr(keras.applications, kind.function)
    try:
        whole = create(weights=weights, include_top=False, input_shape=(*side, 3))
    except Exception as error:  # whatever the download or the file reader raises
        if weights is None:
            raise
        raise ValueError(
            f"The weights {weights} of keras.applications' {kind.function} cannot be had: {error} "
            "Give weights the path of its *_notop.h5 file, fetched elsewhere, or leave them out."
        ) from error
    return keras.Model(whole.get_layer(kind.first_layer).input, whole.output, name="backbone")
