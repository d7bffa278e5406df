"""The sampling half of a spatial transformer: an image seen through an affine map."""

from typing import Any

import keras
import numpy as np
from keras import layers, ops


@keras.saving.register_keras_serializable(package="ferkeras")
class AffineSampler(layers.Layer):
    """Samples each image on its own affine grid, bilinearly, with zeros outside.

    Coordinates run from -1 at the centre of the first pixel to 1 at the centre of the last (aligned corners). The
    output pixel at (x, y) shows the input at theta (x, y, 1)^T.

    Source: Jaderberg et al., "Spatial transformer networks", NIPS 2015, equations 1 and 5. Equal to PyTorch's
    `affine_grid` and `grid_sample` with `align_corners=True` and zero padding.

    Inputs: a list of images (B, H, W, C) and maps (B, 6), the two rows of theta one after the other.
    Output: images (B, H, W, C). Coordinates and sums are float32 whatever the dtype policy: half precision would
    move samples by whole pixels.

    Raises:
        ValueError: for inputs of another form, or images of a side that is not known.
    """

    def __init__(self, *, name: str | None = None, dtype: Any = None, trainable: bool = True) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable, autocast=False)

    def build(self, input_shape: list[tuple[int | None, ...]]) -> None:
        images, theta = input_shape
        if len(images) != 4 or None in images[1:] or tuple(theta[1:]) != (6,):
            raise ValueError(
                f"AffineSampler expects images (B, H, W, C) and maps (B, 6). Received: {images} and {theta}."
            )

    def call(self, inputs: Any) -> Any:
        images, theta = (ops.cast(tensor, "float32") for tensor in inputs)
        height, width, channels = images.shape[1:]
        # One gather on flattened pixels: LiteRT has it as a builtin operator, unlike Keras's own warps.
        batch = ops.shape(images)[0]
        pixels = ops.reshape(images, (-1, channels))
        start = ops.expand_dims(ops.arange(batch, dtype="int32"), 1) * (height * width)
        x, y = _coordinates(theta, height, width)
        left, top = ops.floor(x), ops.floor(y)
        total: Any = 0.0
        for column, across in ((left, left + 1.0 - x), (left + 1.0, x - left)):
            for row, down in ((top, top + 1.0 - y), (top + 1.0, y - top)):
                inside = (column >= 0.0) & (column <= width - 1.0) & (row >= 0.0) & (row <= height - 1.0)
                weight = ops.where(inside, across * down, 0.0)
                # Clipped before the cast: an integer has no room for what a wild map may ask for.
                index = ops.cast(ops.clip(row, 0.0, height - 1.0) * width + ops.clip(column, 0.0, width - 1.0), "int32")
                total += ops.take(pixels, start + index, axis=0) * ops.expand_dims(weight, -1)
        return ops.cast(ops.reshape(total, (-1, height, width, channels)), self.compute_dtype)

    def compute_output_shape(self, input_shape: list[tuple[int | None, ...]]) -> tuple[int | None, ...]:
        return tuple(input_shape[0])


def _coordinates(theta: Any, height: int, width: int) -> tuple[Any, Any]:
    """Columns and rows (B, H*W), counted in pixels, at which the maps (B, 6) sample.

    Offsets from the image's centre are whole or half pixels, so that the identity gives whole numbers exactly. Not a
    matrix product, which GPUs compute with mantissas of ten bits (TF32) unless told otherwise.
    """
    right, down = (width - 1) / 2, (height - 1) / 2
    y, x = (axis.reshape(1, -1).astype("float32") for axis in np.indices((height, width)))
    x, y = x - right, y - down
    a, b, c, d, e, f = ops.split(theta, 6, axis=-1)
    return (
        a * x + right * (b * (y / max(down, 0.5)) + c) + right,
        e * y + down * (d * (x / max(right, 0.5)) + f) + down,
    )
