"""RandAugment: a few operations per image, drawn from fourteen, all with one strength.

Cubuk et al., "RandAugment", CVPR workshops 2020; the operations and their largest magnitudes are those of Cubuk et
al., "AutoAugment", CVPR 2019, table 6. Keras's `RandAugment` draws one set of operations for a whole batch, computes
all of them for every image, and counts its calls, so a resumed run would see other images; here each image draws its
own from the seed alone, and each operation sees only the images that drew it.
"""

import math
from collections.abc import Callable

import tensorflow as tf

from ferkeras.data.warp import to_uint8, warp

#: An operation changes images (n, H, W, C) uint8 by amounts (n,) in [-1, 1]; n may be 0.
Operation = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

#: Largest shift as a fraction of the side: 150 of the 331 pixels of the images that AutoAugment was found on.
_TRANSLATION = 150 / 331


def randaugment(images: tf.Tensor, *, operations: int, strength: float, seed: tf.Tensor) -> tf.Tensor:
    """Applies `operations` operations to each image, one after the other, drawn with replacement.

    Deviations: the direction of an operation that has two is drawn anew each time; posterize keeps whole bits; what
    comes into view is mirrored instead of grey; shear is about the centre; equalize is the textbook's (see `equalize`).

    Args:
        images: (B, H, W, C) uint8.
        operations: N of the paper.
        strength: M of the paper as a fraction in [0, 1] of the largest magnitudes. At 0 only autocontrast and
            equalize, which have no magnitude, change anything.
        seed: (2,) int; the same seed gives the same result.

    Returns:
        (B, H, W, C) uint8.
    """
    shape = images.shape
    table = [operation for operation in OPERATIONS if operation is not color or shape[-1] == 3]
    batch = tf.shape(images)[0]
    for step_seed in tf.unstack(tf.random.experimental.stateless_split(seed, operations)):
        choice, direction = tf.unstack(tf.random.experimental.stateless_split(step_seed, 2))
        drawn = tf.random.stateless_uniform([batch], choice, 0, len(table), tf.int32)
        amounts = tf.where(tf.random.stateless_uniform([batch], direction) < 0.5, -strength, strength)
        parts = [tf.dynamic_partition(values, drawn, len(table)) for values in (tf.range(batch), images, amounts)]
        changed = [operation(some, amount) for operation, some, amount in zip(table, *parts[1:], strict=True)]
        images = tf.ensure_shape(tf.dynamic_stitch(parts[0], changed), shape)
    return images


# The operations: light first, then what mixes an image with a poorer form of itself, then geometry.


def identity(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """The images as they are."""
    del amounts
    return images


def autocontrast(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Stretches each channel to [0, 255]; a channel of one value stays."""
    del amounts
    pixels = tf.cast(images, tf.float32)
    low = tf.reduce_min(pixels, axis=[1, 2], keepdims=True)
    high = tf.reduce_max(pixels, axis=[1, 2], keepdims=True)
    return tf.where(high > low, to_uint8(255.0 * tf.math.divide_no_nan(pixels - low, high - low)), images)


def equalize(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Maps each channel so that all values are about equally frequent; a channel of one value stays.

    The textbook rule, 255 (cdf(v) - cdf(v0)) / (H W - cdf(v0)) with v0 the least value. Pillow, which AutoAugment
    used, divides in whole numbers: it is coarse and saturates in images as small as 48 x 48.
    """
    del amounts
    height, width, channels = images.shape[1:]
    planes = tf.shape(images)[0] * channels
    plane = tf.reshape(tf.range(planes), [-1, 1, 1, channels])
    bins = tf.cast(images, tf.int32) + 256 * plane
    histogram = tf.reshape(tf.math.bincount(tf.reshape(bins, [-1]), minlength=256 * planes), [planes, 256])
    below = tf.cast(tf.cumsum(histogram, axis=1), tf.float32)
    first = tf.reduce_min(tf.where(histogram > 0, below, math.inf), axis=1, keepdims=True)
    table = to_uint8(255.0 * tf.math.divide_no_nan(below - first, height * width - first))
    table = tf.where(first < height * width, table, tf.cast(tf.range(256), tf.uint8))
    return tf.gather(tf.reshape(table, [-1]), bins)


def solarize(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Inverts the values from 256 (1 - |amount|) upward."""
    threshold = 256.0 * (1.0 - tf.abs(amounts))[:, None, None, None]
    return tf.where(tf.cast(images, tf.float32) >= threshold, 255 - images, images)


def posterize(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Sets the lowest bits of each value to zero, 4 |amount| of them, rounded."""
    lost = tf.cast(tf.round(4.0 * tf.abs(amounts)), tf.uint8)
    mask = tf.bitwise.left_shift(tf.fill(tf.shape(lost), tf.constant(255, tf.uint8)), lost)
    return tf.bitwise.bitwise_and(images, mask[:, None, None, None])


def color(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """More colour, or less towards grey; for C=3."""
    return _enhance(images, _grey(images), amounts)


def contrast(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """More contrast, or less towards the mean grey of the image."""
    return _enhance(images, tf.reduce_mean(_grey(images), axis=[1, 2, 3], keepdims=True), amounts)


def brightness(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Brighter, or darker towards black."""
    return _enhance(images, 0.0, amounts)


def sharpness(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Sharper, or softer towards a mean of 3 x 3 pixels in which the middle one counts five times."""
    pixels = tf.cast(images, tf.float32)
    # With the padding SAME a mean at the border is over the pixels that there are.
    smooth = (9.0 * tf.nn.avg_pool2d(pixels, 3, 1, "SAME") + 4.0 * pixels) / 13.0
    return _enhance(images, smooth, amounts)


def rotate(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Turns by 30 degrees times the amount about the centre."""
    angle = amounts * math.pi / 6.0
    cosine, sine, zero = tf.cos(angle), tf.sin(angle), tf.zeros_like(angle)
    return warp(images, matrix=(cosine, -sine, sine, cosine), shift=(zero, zero))


def shear_x(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Moves each row by 0.3 times the amount times its distance from the centre."""
    one, zero = tf.ones_like(amounts), tf.zeros_like(amounts)
    return warp(images, matrix=(one, 0.3 * amounts, zero, one), shift=(zero, zero))


def shear_y(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Moves each column by 0.3 times the amount times its distance from the centre."""
    one, zero = tf.ones_like(amounts), tf.zeros_like(amounts)
    return warp(images, matrix=(one, zero, 0.3 * amounts, one), shift=(zero, zero))


def translate_x(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Moves along the rows, by 150/331 of the width times the amount."""
    one, zero = tf.ones_like(amounts), tf.zeros_like(amounts)
    return warp(images, matrix=(one, zero, zero, one), shift=(_TRANSLATION * images.shape[2] * amounts, zero))


def translate_y(images: tf.Tensor, amounts: tf.Tensor) -> tf.Tensor:
    """Moves along the columns, by 150/331 of the height times the amount."""
    one, zero = tf.ones_like(amounts), tf.zeros_like(amounts)
    return warp(images, matrix=(one, zero, zero, one), shift=(zero, _TRANSLATION * images.shape[1] * amounts))


def _enhance(images: tf.Tensor, poorer: tf.Tensor | float, amounts: tf.Tensor) -> tf.Tensor:
    """From `poorer` through the image, as far as 1 + 0.9 amount: 0.1 is nearly `poorer`, 1 the image, 1.9 beyond it."""
    factor = 1.0 + 0.9 * amounts[:, None, None, None]
    return to_uint8(poorer + factor * (tf.cast(images, tf.float32) - poorer))


def _grey(images: tf.Tensor) -> tf.Tensor:
    """(n, H, W, 1) float32."""
    pixels = tf.cast(images, tf.float32)
    return tf.image.rgb_to_grayscale(pixels) if images.shape[-1] == 3 else pixels


OPERATIONS: tuple[Operation, ...] = (
    *(identity, autocontrast, equalize, solarize, posterize, color, contrast, brightness, sharpness),
    *(rotate, shear_x, shear_y, translate_x, translate_y),
)
