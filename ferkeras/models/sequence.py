"""What all sequence models share: an encoder that turns each frame into a vector, and a temporal part over the vectors.

The two are models of their own inside the model, `encoder` and `temporal`, so that each can be trained, cached,
exported and streamed apart.
"""

import re
from collections import Counter
from pathlib import Path

import keras
from keras import layers

from ferkeras.layers import FoldFrames, UnfoldFrames
from ferkeras.models.imagenet import BACKBONES, imagenet_map
from ferkeras.models.small_cnn import small_cnn_map

#: Names that keras.applications leaves to Keras, which counts them up from model to model.
_COUNTED = re.compile(r"\b(conv2d|batch_normalization)_\d+(?=/)")


def frame_map(
    image: keras.KerasTensor, *, backbone: str, width: float = 1.0, weights: str | None = None, freeze: bool = False
) -> keras.KerasTensor:
    """Pixels (B, H, W, C) in [0, 255] to the last map, layer `feature_map`, of the backbone of a frame's encoder.

    Args:
        backbone: `small_cnn`, or a key of `ferkeras.models.imagenet.BACKBONES`.
        width: Factor on the channels of `small_cnn`; keras.applications' have none.
        weights: First weights of keras.applications' backbones, see `imagenet_classifier`.
        freeze: Train what comes after the backbone alone.

    Raises:
        ValueError: for an unknown backbone, options that it does not have, or an image that does not fit.
    """
    if backbone not in (known := ("small_cnn", *BACKBONES)):
        raise ValueError(f"backbone must be one of {', '.join(known)}. Received: backbone={backbone!r}.")
    if backbone != "small_cnn":
        return imagenet_map(image, backbone=backbone, weights=weights, freeze=freeze)
    if weights is not None or freeze:
        raise ValueError(f"small_cnn has no first weights and is not frozen. Received: {weights=}, {freeze=}.")
    return small_cnn_map(image, width=width)


def sequence_model(
    still: keras.Model,
    temporal: keras.Model,
    *,
    encoder_weights: str | None = None,
    freeze_encoder: bool = False,
    name: str,
) -> keras.Model:
    """A still model up to its layer `features` as the encoder of every frame, and `temporal` over the vectors.

    Padding, and any frame that is to count for nothing, is False in the mask and changes no output, whatever it
    holds. In training, batch normalisation in an encoder that is not frozen takes its mean and variance over
    all B*T frames; masked ones are black there.

    Args:
        still: Input `image` (B, H, W, C); a layer `features` (B, D).
        temporal: Of `ferkeras.models.temporal`, for vectors of D.
        encoder_weights: A `.keras` file of a still model with the same layers up to `features`, whose weights the
            encoder takes.
        freeze_encoder: Train `temporal` alone. The encoder then runs as at inference, dropout and normalisation
            included, and gives the vectors that a cache of them holds.

    Returns:
        A functional model. Inputs `frames` (B, T, H, W, C) with pixels in [0, 255] and `frame_mask` (B, T), bool;
        outputs those of `temporal`. Layers `encoder`, image (B, H, W, C) to vector (B, D), and `temporal`.

    Raises:
        ValueError: for encoder weights that cannot be read or do not fit, tensor by tensor.
    """
    encoder = keras.Model(still.input, still.get_layer("features").output, name="encoder")
    if encoder_weights is not None:
        take_encoder_weights(encoder, encoder_weights)
    if freeze_encoder:
        encoder = _frozen(encoder)
    steps = temporal.input["frame_mask"].shape[1]
    frames = keras.Input((steps, *encoder.input.shape[1:]), name="frames")
    frame_mask = keras.Input((steps,), dtype="bool", name="frame_mask")
    images = FoldFrames(name="fold")(frames, frame_mask)
    features = UnfoldFrames(name="unfold")(encoder(images), frame_mask)
    logits = temporal({"features": features, "frame_mask": frame_mask})
    # Keras names an output after the layer that gives it, which would be `temporal` for each.
    outputs = {head: layers.Activation("linear", dtype="float32", name=head)(logits[head]) for head in logits}
    return keras.Model({"frames": frames, "frame_mask": frame_mask}, outputs, name=name)


def _frozen(encoder: keras.Model) -> keras.Model:
    """`encoder` with fixed weights and statistics and without dropout.

    A model inside another is called with the `training` of the other, whatever it was given when they were joined.
    """

    def without_dropout(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, layers.Dropout):
            config["rate"] = 0.0
        return type(layer).from_config(config)

    frozen = keras.models.clone_model(encoder, clone_function=without_dropout, recursive=True)
    frozen.set_weights(encoder.get_weights())
    frozen.trainable = False
    return frozen


def split_shape(input_shape: tuple[int | None, ...]) -> tuple[int | None, tuple[int, int, int]]:
    """(T or None, H, W, C) -> T and (H, W, C).

    Raises:
        ValueError: for any other shape.
    """
    match input_shape:
        case (frames, int(height), int(width), int(channels)) if frames is None or frames >= 1:
            return frames, (height, width, channels)
    raise ValueError(f"A sequence model takes frames of shape (T, H, W, C), T possibly None. Received: {input_shape}.")


def take_encoder_weights(encoder: keras.Model, path: str | Path) -> None:
    """Gives `encoder` the weights of the still model in `path` up to its layer `features`.

    Every tensor of the one must have its counterpart, of the same name and shape, in the other.

    Raises:
        ValueError: for a file that is no model with such a layer, or one tensor too few, too many or of another shape.
    """
    if not Path(path).is_file():
        raise ValueError(f"encoder_weights must be a .keras file of a still model. Received: {path}, no file.")
    try:
        still = keras.models.load_model(path, compile=False, safe_mode=True)
        source = keras.Model(still.input, still.get_layer("features").output)
    except Exception as error:  # whatever the reader raises on a file that is none
        raise ValueError(f"No still model with a layer `features` in {path}: {error}") from error
    wanted, given = _signature(encoder), _signature(source)
    if wanted != given:
        missing, extra = (sorted((Counter(a) - Counter(b)).elements()) for a, b in ((wanted, given), (given, wanted)))
        raise ValueError(
            f"The weights in {path} are not those of the encoder: {len(missing)} that it needs are missing "
            f"({', '.join(missing[:3])}), {len(extra)} are too many ({', '.join(extra[:3])}). "
            "Take a still model of the same backbone, width and head."
        )
    for target, value in zip(encoder.weights, source.weights, strict=True):
        target.assign(value)


def _signature(model: keras.Model) -> list[str]:
    """Path and shape of every weight, in the order of `model.weights`, which is that of the layers."""
    paths = (_COUNTED.sub(r"\1", weight.path) for weight in model.weights)
    return [f"{path} {tuple(weight.shape)}" for path, weight in zip(paths, model.weights, strict=True)]
