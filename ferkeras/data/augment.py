"""Random changes of a training batch, in the order that `ferkeras.recipe.Augment` states.

Here stand the order, the seeds, and the first stage: mirror image, one affine warp and one change of light. Its
geometry is composed into a single inverse map per image and sampled once, so an image is interpolated once however
many of these changes apply. Draws depend on the seed alone, never on threads or on the order of calls.
"""

import math

import tensorflow as tf

from ferkeras.data.crops import ten_crops
from ferkeras.data.erasing import random_erasing
from ferkeras.data.mixing import mix
from ferkeras.data.noise import gaussian_noise
from ferkeras.data.randaugment import randaugment
from ferkeras.data.warp import to_uint8, warp
from ferkeras.recipe import Augment


def augment(
    images: tf.Tensor, labels: tf.Tensor, *, settings: Augment, classes: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Applies `settings` with fresh draws for every image.

    Args:
        images: (B, H, W, C) uint8.
        labels: (B,) int class numbers, or (B, K) float32 targets.
        settings: Which changes and how large, see `ferkeras.recipe.Augment`.
        classes: K.
        seed: (2,) int; the same seed gives the same result.

    Returns:
        Images (B, H, W, C) uint8 and labels as given, or soft targets (B, K) float32 where `settings.mixes`.
        With `settings.ten_crop` there are ten times as many of both, and the ten views of an image are neighbours.
    """
    # The first seeds of a split do not depend on how many follow: a new stage at the end leaves old runs as they are.
    seeds = tf.random.experimental.stateless_split(seed, 7)
    flip, geometry, light, operations, erased, mixed, noisy = tf.unstack(seeds)
    if settings.flip:
        mirrored = tf.random.stateless_uniform([tf.shape(images)[0], 1, 1, 1], flip) < 0.5
        images = tf.where(mirrored, images[:, :, ::-1, :], images)
    cropped = settings.crop < 1 and not settings.ten_crop
    if settings.rotation or settings.translation or settings.zoom or cropped:
        images = _move(images, settings, geometry, crop=settings.crop if cropped else 1.0)
    if settings.brightness or settings.contrast:
        images = _relight(images, settings, light)
    if settings.randaugment:
        images = randaugment(
            images, operations=settings.randaugment, strength=settings.randaugment_strength, seed=operations
        )
    if settings.ten_crop:
        images = ten_crops(images, fraction=settings.ten_crop_fraction)
        labels = tf.repeat(labels, 10, axis=0)
    if settings.erasing:
        images = random_erasing(images, probability=settings.erasing, area=settings.erasing_area, seed=erased)
    if settings.noise:
        images = gaussian_noise(images, largest=settings.noise, seed=noisy)
    if settings.mixes:
        return mix(images, labels, mixup=settings.mixup, cutmix=settings.cutmix, classes=classes, seed=mixed)
    return images, labels


def _move(images: tf.Tensor, settings: Augment, seed: tf.Tensor, *, crop: float) -> tf.Tensor:
    height, width = images.shape[1:3]
    draws = tf.random.stateless_uniform([6, tf.shape(images)[0]], seed, -1.0, 1.0)
    angle = draws[0] * settings.rotation * math.pi / 180.0
    scale = (1.0 + draws[1] * settings.zoom) * crop
    cosine, sine = tf.cos(angle) * scale, tf.sin(angle) * scale
    # The cut-out comes first: it is turned about its own centre, which lies where the cut-out fits into the image,
    # and it is shifted by a fraction of its own side.
    shift, room = settings.translation * crop, (1.0 - crop) / 2.0
    shift_x = draws[2] * shift * width + draws[4] * room * width
    shift_y = draws[3] * shift * height + draws[5] * room * height
    return warp(images, matrix=(cosine, -sine, sine, cosine), shift=(shift_x, shift_y))


def _relight(images: tf.Tensor, settings: Augment, seed: tf.Tensor) -> tf.Tensor:
    draws = tf.random.stateless_uniform([2, tf.shape(images)[0], 1, 1, 1], seed, -1.0, 1.0)
    pixels = tf.cast(images, tf.float32)
    mean = tf.reduce_mean(pixels, axis=[1, 2, 3], keepdims=True)
    pixels = (pixels - mean) * (1.0 + draws[0] * settings.contrast) + mean + 255.0 * draws[1] * settings.brightness
    return to_uint8(pixels)
