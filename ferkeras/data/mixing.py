"""MixUp and CutMix: each image takes in a part of another one of its batch, and its label that part of the other's.

Keras's `MixUp` and `CutMix` draw from a generator whose state counts the calls, so what an image gets would depend on
the order in which parallel calls happen to run; here it depends on the seed alone.
"""

import tensorflow as tf

from ferkeras.data.warp import to_uint8


def mix(
    images: tf.Tensor, labels: tf.Tensor, *, mixup: float, cutmix: float, classes: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mixes every image with a partner, by one of the two ways or, with both switched on, by either with even chance.

    The partners are the same batch in a random order. Each image draws its own share lambda from Beta(alpha, alpha);
    the programs of both papers draw one for a whole batch.

    Args:
        images: (B, H, W, C) uint8.
        labels: (B,) int class numbers, or (B, K) float32 targets.
        mixup: alpha of MixUp; 0 switches it off. Not both may be off.
        cutmix: alpha of CutMix; 0 switches it off.
        classes: K.
        seed: (2,) int; the same seed gives the same result.

    Returns:
        Images (B, H, W, C) uint8 and targets (B, K) float32 that sum to one.
    """
    which, order, share, place = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    partner = tf.random.experimental.stateless_shuffle(tf.range(tf.shape(images)[0]), order)
    others = tf.gather(images, partner)

    def mixed() -> tuple[tf.Tensor, tf.Tensor]:
        return _mixup(images, others, alpha=mixup, seed=share)

    def cut() -> tuple[tf.Tensor, tf.Tensor]:
        return _cutmix(images, others, alpha=cutmix, share_seed=share, place_seed=place)

    if mixup and cutmix:
        images, kept = tf.cond(tf.random.stateless_uniform([], which) < 0.5, mixed, cut)
    else:
        images, kept = mixed() if mixup else cut()
    targets = tf.one_hot(labels, classes) if labels.shape.rank == 1 else labels
    return images, kept[:, None] * targets + (1.0 - kept[:, None]) * tf.gather(targets, partner)


def _mixup(images: tf.Tensor, others: tf.Tensor, *, alpha: float, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """lambda x_i + (1 - lambda) x_j (Zhang et al., "mixup", ICLR 2018, section 2)."""
    kept = _beta(alpha, tf.shape(images)[0], seed)
    weight = kept[:, None, None, None]
    return to_uint8(weight * tf.cast(images, tf.float32) + (1.0 - weight) * tf.cast(others, tf.float32)), kept


def _cutmix(
    images: tf.Tensor, others: tf.Tensor, *, alpha: float, share_seed: tf.Tensor, place_seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """A box of the partner, its centre anywhere in the image (Yun et al., "CutMix", ICCV 2019, equations 1 and 2).

    The box has the area 1 - lambda before it is clipped at the border; the target goes by the pixels that are left.
    """
    batch = tf.shape(images)[0]
    height, width = images.shape[1:3]
    side = tf.sqrt(1.0 - _beta(alpha, batch, share_seed))[:, None]
    centre = tf.random.stateless_uniform([2, batch, 1], place_seed)
    rows = _clipped_span(height, side, centre[0])
    columns = _clipped_span(width, side, centre[1])
    box = rows[:, :, None] & columns[:, None, :]
    kept = 1.0 - tf.reduce_mean(tf.cast(box, tf.float32), axis=[1, 2])
    return tf.where(box[..., None], others, images), kept


def _clipped_span(side: int, length: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
    """(B, side) bool: the pixels within `length` about `centre` (B, 1), both as fractions of the side."""
    pixel = (tf.range(side, dtype=tf.float32) + 0.5) / side
    return tf.abs(pixel - centre) < length / 2.0


def _beta(alpha: float, batch: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """(B,) float32 from Beta(alpha, alpha): the share of one of two gamma variates in their sum."""
    # By their logarithms, since with a small alpha both are often below the least float: a variate of shape alpha is
    # one of shape alpha + 1 times U ** (1 / alpha), with U uniform (Marsaglia & Tsang, 2000).
    shape, power = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    larger = tf.random.stateless_gamma([2, batch], shape, alpha + 1.0)
    uniform = 1.0 - tf.random.stateless_uniform([2, batch], power)  # in (0, 1]
    one, other = tf.unstack(tf.math.log(larger) + tf.math.log(uniform) / alpha)
    return tf.sigmoid(one - other)
