"""Random erasing: a rectangle of noise in an image (Zhong et al., "Random Erasing Data Augmentation", AAAI 2020).

Keras's `RandomErasing` draws from a generator whose state counts the calls, so what an image gets would depend on the
order in which parallel calls happen to run; here it depends on the seed alone.
"""

import math

import tensorflow as tf

#: Largest ratio of the rectangle's sides, either way (the paper's r1 is 0.3).
LARGEST_ASPECT = 1 / 0.3


def random_erasing(images: tf.Tensor, *, probability: float, area: tuple[float, float], seed: tf.Tensor) -> tf.Tensor:
    """Overwrites a rectangle of each image with random pixels, with `probability`.

    Algorithm 1 of the paper with random values (RE-R). Deviations: height to width is drawn evenly on a logarithmic
    scale, so that upright and flat rectangles are equally likely; a rectangle that is longer than the image is made as
    long as the image, with its area kept, where the paper draws again.

    Args:
        images: (B, H, W, C) uint8.
        probability: In [0, 1].
        area: Least and largest fraction of the image's area that is erased, in (0, 1].
        seed: (2,) int; the same seed gives the same result.

    Returns:
        (B, H, W, C) uint8.
    """
    batch = tf.shape(images)[0]
    height, width, channels = images.shape[1:]
    place, noise = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    chance, share, aspect, top, left = tf.unstack(tf.random.stateless_uniform([5, batch, 1], place))
    share = area[0] + share * (area[1] - area[0])
    aspect = tf.exp((2.0 * aspect - 1.0) * math.log(LARGEST_ASPECT))
    aspect = tf.clip_by_value(aspect, share * height / width, height / (share * width))
    rows = _span(height, tf.sqrt(share * height * width * aspect), top)
    columns = _span(width, tf.sqrt(share * height * width / aspect), left)
    erased = (chance < probability)[..., None] & rows[:, :, None] & columns[:, None, :]
    return tf.where(erased[..., None], _noise(batch, height, width, channels, noise), images)


def _span(side: int, length: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """(B, side) bool: which of `side` pixels lie in a piece of about `length` (B, 1), anywhere by `place` in [0, 1)."""
    length = tf.clip_by_value(tf.round(length), 1.0, side)
    start = tf.floor(place * (side - length + 1.0))
    pixel = tf.range(side, dtype=tf.float32)
    return (pixel >= start) & (pixel < start + length)


def _noise(batch: tf.Tensor, height: int, width: int, channels: int, seed: tf.Tensor) -> tf.Tensor:
    """(B, H, W, C) uint8, each value equally likely; four pixels from one drawn number, which is four times as fast."""
    pixels = height * width * channels
    drawn = tf.random.stateless_uniform([batch, -(-pixels // 4)], seed, minval=None, maxval=None, dtype=tf.int32)
    noise = tf.reshape(tf.bitcast(drawn, tf.uint8), [batch, -1])[:, :pixels]
    return tf.reshape(noise, [batch, height, width, channels])
