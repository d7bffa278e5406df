"""Gaussian noise of a strength of its own in each image, as of a camera in poor light."""

import tensorflow as tf

from ferkeras.data.warp import to_uint8


def gaussian_noise(images: tf.Tensor, *, largest: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds independent normal noise to every value.

    Args:
        images: (B, H, W, C) uint8.
        largest: The standard deviation of an image's noise is drawn evenly from 0 to this, as a fraction of 255.
        seed: (2,) int; the same seed gives the same result.

    Returns:
        (B, H, W, C) uint8, rounded and clipped.
    """
    strength, values = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    deviation = 255.0 * largest * tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], strength)
    return to_uint8(tf.cast(images, tf.float32) + deviation * tf.random.stateless_normal(tf.shape(images), values))
