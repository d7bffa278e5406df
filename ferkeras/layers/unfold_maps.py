"""Maps of folded frames back in their clips, for layers that join frames."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="ferkeras")
class UnfoldMaps(keras.layers.Layer):
    """Maps (B*T, H, W, C) of the frames of clips -> (B, T, H, W, C), zero where the mask (B, T) is False.

    Zero is what a convolution finds beyond the ends of a clip: with it a masked frame at the end is the same as none.
    The inverse of `FoldFrames`.
    """

    def call(self, maps: Any, frame_mask: Any) -> Any:
        kept = ops.cast(frame_mask, "bool")[:, :, None, None, None]
        maps = ops.reshape(maps, (-1, ops.shape(frame_mask)[1], *maps.shape[1:]))
        return ops.where(kept, maps, ops.zeros((), dtype=maps.dtype))

    def compute_output_shape(
        self, maps_shape: tuple[int | None, ...], frame_mask_shape: tuple[int | None, ...]
    ) -> tuple[int | None, ...]:
        return (*frame_mask_shape, *maps_shape[1:])
