"""Which examples an epoch draws and how often, and what it takes for their labels; all of it from a seed."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import tensorflow as tf


def sample_counts(
    labels: np.ndarray,
    *,
    rule: Literal["balanced", "sqrt"],
    seed: int,
    weights: np.ndarray | None = None,
    draws: int | None = None,
) -> np.ndarray:
    """How often each example is drawn in an epoch with replacement.

    Args:
        labels: (N,) class numbers.
        rule: `balanced` draws every class that has examples equally often, `sqrt` in proportion to the square root
            of its size; the examples of a class are equally likely.
        seed: The same seed gives the same counts.
        weights: (N,) factors on the chances of the examples within their class; None makes them equal.
        draws: How many; None makes them N.

    Returns:
        (N,) int64 that sums to the number of draws.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    sizes = np.bincount(labels, weights)[labels]
    chances = weights / (sizes if rule == "balanced" else np.sqrt(sizes))
    return np.random.default_rng(seed).multinomial(len(labels) if draws is None else draws, chances / chances.sum())


def weighted_counts(sizes: Sequence[int], weights: Sequence[float], *, seed: int) -> np.ndarray:
    """How often each example of data sets of these sizes is drawn: whole repeats, and a subset without replacement.

    Args:
        sizes: Number of examples of each data set.
        weights: Draws from each, as a factor on its size.
        seed: The same seed gives the same counts.

    Returns:
        (N,) int64; each part sums to its weight times its size, rounded.
    """
    rng = np.random.default_rng(seed)
    counts = []
    for size, weight in zip(sizes, weights, strict=True):
        whole, rest = divmod(round(weight * size), size)
        own = np.full(size, whole, np.int64)
        own[rng.choice(size, rest, replace=False)] += 1
        counts.append(own)
    return np.concatenate(counts)


def replace_labels(examples: tf.data.Dataset, *, drawn: bool, seed: int) -> tf.data.Dataset:
    """(image, label, target) -> (image, target), or with `drawn` (image, a class drawn from the target)."""
    if not drawn:
        return examples.map(lambda image, label, target: (image, target))

    def draw(index: tf.Tensor, example: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor]:
        image, label, target = example
        at = tf.random.stateless_uniform([], tf.stack([tf.cast(seed, tf.int64), index]))
        chosen = tf.reduce_sum(tf.cast(tf.cumsum(target) <= at, label.dtype))
        return image, tf.minimum(chosen, tf.cast(tf.size(target) - 1, label.dtype))

    return examples.enumerate().map(draw, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def repeat_examples(examples: tf.data.Dataset, counts: np.ndarray) -> tf.data.Dataset:
    """Each example as often as its count says, in reading order."""

    def repeat(block: tuple[tf.Tensor, ...], times: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tf.nest.map_structure(lambda values: tf.repeat(values, times, axis=0), block)

    # In blocks: a small data set for every example, by `flat_map`, takes several times as long.
    counted = tf.data.Dataset.zip(examples, tf.data.Dataset.from_tensor_slices(counts))
    repeated = counted.batch(256).map(repeat).unbatch()
    return repeated.apply(tf.data.experimental.assert_cardinality(int(counts.sum())))
