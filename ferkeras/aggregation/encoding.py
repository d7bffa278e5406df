"""Frames through a trained network, once: their vectors and, from a network of stills, their probabilities."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.errors import InputError
from ferkeras.inference import evaluation_batch, softmax


@dataclass(frozen=True)
class EncodedClips:
    """Clips as bags of frames.

    Attributes:
        vectors: (N, T, D) float32.
        probabilities: (N, T, K) float64 of emotions, None from the encoder of a sequence model.
        mask: (N, T) bool, False for frames without a face and for padding.
    """

    vectors: np.ndarray
    probabilities: np.ndarray | None
    mask: np.ndarray


@dataclass(frozen=True)
class EncodedSplit:
    """All windows of a split in reading order: the clips, their labels (N,) int64, and subjects (N,) or None."""

    clips: EncodedClips
    labels: np.ndarray
    subjects: np.ndarray | None


def frame_network(model: keras.Model) -> keras.Model:
    """The part of a trained model that sees one frame: image (B, H, W, C) to `features` (B, D) and, of a still model
    of emotions, logits `emotion` (B, K).

    Raises:
        InputError: for a still model without a layer `features`.
    """
    names = [layer.name for layer in model.layers]
    if "encoder" in names:
        encoder = model.get_layer("encoder")
        return keras.Model(encoder.inputs[0], {"features": encoder.outputs[0]}, name="frame_network")
    if "features" not in names:
        raise InputError("The model has no layer `features` to take vectors from", received=model.name)
    outputs = {"features": model.get_layer("features").output}
    if "emotion" in model.output:
        outputs["emotion"] = model.output["emotion"]
    return keras.Model(model.inputs[0], outputs, name="frame_network")


def encode(network: keras.Model, inputs: dict[str, Any]) -> EncodedClips:
    """{"frames": (B, T, H, W, C), "frame_mask": (B, T)} through `network`, see `frame_network`."""
    frames, mask = np.asarray(inputs["frames"]), np.asarray(inputs["frame_mask"], bool)
    outputs = network.predict_on_batch(frames.reshape(-1, *frames.shape[2:]))
    apart = {name: np.asarray(value).reshape(*mask.shape, -1) for name, value in outputs.items()}
    return EncodedClips(apart["features"], softmax(apart["emotion"]) if "emotion" in apart else None, mask)


def encode_split(network: keras.Model, data: ClipPipeline, split: str) -> EncodedSplit:
    """Every window of `split`."""
    parts, labels = [], []
    for inputs, batch_labels in data.evaluation(split, batch_size=evaluation_batch(data)).as_numpy_iterator():
        parts.append(encode(network, inputs))
        labels.append(batch_labels)
    probabilities = [part.probabilities for part in parts if part.probabilities is not None]
    clips = EncodedClips(
        np.concatenate([part.vectors for part in parts]),
        np.concatenate(probabilities) if probabilities else None,
        np.concatenate([part.mask for part in parts]),
    )
    return EncodedSplit(clips, np.concatenate(labels).astype(np.int64), data.subjects(split))
