"""Folding the frames of clips into the batch and back, so that a network of single images can read them all at once.

`keras.layers.TimeDistributed` serves the same end by T copies of the network in the graph; one reshape needs one.
"""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="ferkeras")
class FoldFrames(keras.layers.Layer):
    """Clips (B, T, H, W, C) -> images (B*T, H, W, C), black where the mask (B, T) is False.

    Masked frames are made black, and not only left out later, so that no value in them can reach anything: not
    another frame, and not a gradient, by way of an infinity that is multiplied by zero.
    """

    def call(self, frames: Any, frame_mask: Any) -> Any:
        kept = ops.cast(frame_mask, "bool")[:, :, None, None, None]
        frames = ops.where(kept, frames, ops.zeros((), dtype=frames.dtype))
        return ops.reshape(frames, (-1, *frames.shape[2:]))

    def compute_output_shape(
        self, frames_shape: tuple[int | None, ...], frame_mask_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        clips, steps = frames_shape[:2]
        return (None if clips is None or steps is None else clips * steps, *frames_shape[2:])


@keras.saving.register_keras_serializable(package="ferkeras")
class UnfoldFrames(keras.layers.Layer):
    """Vectors (B*T, D) of the frames of clips -> (B, T, D), with T from the mask (B, T), whose values do not matter."""

    def call(self, vectors: Any, frame_mask: Any) -> Any:
        # With T from the mask and B left open the result has a static T wherever there is one.
        return ops.reshape(vectors, (-1, ops.shape(frame_mask)[1], vectors.shape[-1]))

    def compute_output_shape(
        self, vectors_shape: tuple[int | None, ...], frame_mask_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return (*frame_mask_shape, vectors_shape[-1])
