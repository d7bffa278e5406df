"""The one way an image becomes what a model sees: colour, size, and nothing else.

Training, evaluation, prediction and the exported graphs all go through `Preprocessing`; it works on eager tensors,
inside `tf.data` and inside an exported function alike. Scaling of the values belongs to the model.
"""

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from ferkeras.errors import InputError


@dataclass(frozen=True)
class Preprocessing:
    """Size and colour of a model's input; pixels are uint8 in [0, 255].

    Attributes:
        height: H in pixels.
        width: W in pixels.
        channels: 1 (luma, ITU-R BT.601) or 3 (RGB).
    """

    height: int
    width: int
    channels: int

    def __call__(self, image: tf.Tensor) -> tf.Tensor:
        """One image (h, w, 1 or 3) uint8 -> (H, W, C) uint8; bilinear with antialiasing, aspect not kept."""
        image = tf.convert_to_tensor(image)
        if image.dtype != tf.uint8 or image.shape.rank != 3 or image.shape[-1] not in (1, 3):
            received = f"{image.dtype.name}, shape {image.shape}"
            raise InputError("An image is uint8 of (height, width, 1 or 3)", received=received)
        image = _to_grey(image) if self.channels == 1 else _to_rgb(image)
        if tuple(image.shape[:2]) != (self.height, self.width):
            image = tf.image.resize(image, (self.height, self.width), antialias=True)
            image = tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)
        return tf.ensure_shape(image, (self.height, self.width, self.channels))

    def decode(self, data: tf.Tensor) -> tf.Tensor:
        """Bytes of a JPEG, PNG, GIF (first frame) or BMP file -> (H, W, C) uint8."""
        image = tf.io.decode_image(data, channels=3, expand_animations=False)
        return self(tf.ensure_shape(image, (None, None, 3)))

    def to_json(self) -> str:
        return json.dumps({**dataclasses.asdict(self), "range": [0, 255], "crop": "none"}, indent=2)

    @staticmethod
    def from_json(text: str) -> "Preprocessing":
        values: dict[str, Any] = json.loads(text)
        return Preprocessing(values["height"], values["width"], values["channels"])


def _to_grey(image: tf.Tensor) -> tf.Tensor:
    if image.shape[-1] == 1:
        return image
    # Integer weights that sum to 2^16, as OpenCV and Pillow do: a grey picture stays exactly what it was.
    weights = tf.constant([19595, 38470, 7471], tf.int32)
    luma = (tf.reduce_sum(tf.cast(image, tf.int32) * weights, axis=-1, keepdims=True) + 32768) // 65536
    return tf.cast(luma, tf.uint8)


def _to_rgb(image: tf.Tensor) -> tf.Tensor:
    return tf.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
