"""Random changes of a training batch: one affine warp and one change of light, seeded and vectorised.

All geometry is composed into a single inverse map per image and sampled once, so an image is interpolated
once however many changes apply. Draws depend on the seed alone, never on threads or on the order of calls.
"""

import math

import tensorflow as tf

from ferkeras.recipe import Augment


def augment(images: tf.Tensor, *, settings: Augment, seed: tf.Tensor) -> tf.Tensor:
    """Applies `settings` with fresh draws for every image.

    Args:
        images: (B, H, W, C) uint8.
        settings: Ranges, see `ferkeras.recipe.Augment`.
        seed: (2,) int; the same seed gives the same result.

    Returns:
        (B, H, W, C) uint8. What turns into view from outside the image is its mirror image: black corners
        would tell the network how far it was turned.
    """
    flip, geometry, light = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    batch = tf.shape(images)[0]
    if settings.flip:
        mirrored = tf.random.stateless_uniform([batch, 1, 1, 1], flip) < 0.5
        images = tf.where(mirrored, images[:, :, ::-1, :], images)
    if settings.rotation or settings.translation or settings.zoom:
        images = _warp(images, settings, geometry)
    if settings.brightness or settings.contrast:
        images = _relight(images, settings, light)
    return images


def _warp(images: tf.Tensor, settings: Augment, seed: tf.Tensor) -> tf.Tensor:
    batch = tf.shape(images)[0]
    height, width = images.shape[1:3]
    draws = tf.random.stateless_uniform([4, batch], seed, -1.0, 1.0)
    angle = draws[0] * settings.rotation * math.pi / 180.0
    scale = 1.0 + draws[1] * settings.zoom
    cosine, sine = tf.cos(angle) * scale, tf.sin(angle) * scale
    centre_x, centre_y = (width - 1) / 2.0, (height - 1) / 2.0
    # An output pixel p shows the input at R(angle) * scale * (p - centre) + centre + shift.
    shift_x = centre_x - cosine * centre_x + sine * centre_y + draws[2] * settings.translation * width
    shift_y = centre_y - sine * centre_x - cosine * centre_y + draws[3] * settings.translation * height
    zero = tf.zeros_like(angle)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=tf.cast(images, tf.float32),
        transforms=tf.stack([cosine, -sine, shift_x, sine, cosine, shift_y, zero, zero], axis=1),
        output_shape=[height, width],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return _to_uint8(warped)


def _relight(images: tf.Tensor, settings: Augment, seed: tf.Tensor) -> tf.Tensor:
    draws = tf.random.stateless_uniform([2, tf.shape(images)[0], 1, 1, 1], seed, -1.0, 1.0)
    pixels = tf.cast(images, tf.float32)
    mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
    pixels = (pixels - mean) * (1.0 + draws[0] * settings.contrast) + mean + 255.0 * draws[1] * settings.brightness
    return _to_uint8(pixels)


def _to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)
