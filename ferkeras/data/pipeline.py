"""From a prepared still data set to batches: read, cache, sample, shuffle, batch, augment, prefetch.

Pixels stay uint8 until the model. The order of an epoch depends on the seed and the number of the epoch alone, so a
run that is resumed at epoch 7 sees what it would have seen without the interruption.
"""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import numpy as np
import tensorflow as tf

from ferkeras.data.augment import augment
from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.recipe import Augment, Recipe

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

#: A split is kept decoded in memory up to this many bytes; larger ones are decoded anew each epoch.
CACHE_BYTES = 2 * 1024**3
#: Largest shuffle buffer in examples.
SHUFFLE_EXAMPLES = 50_000


class StillPipeline:
    """Batches of one still data set as a recipe wants them.

    Args:
        made: Builder of the prepared data set.
        recipe: Names the splits, the size, the augmentation, the batch size and the seed.

    Raises:
        InputError: by the methods, if the data set has no such split or nothing is in it.
    """

    def __init__(self, made: "tfds.core.DatasetBuilder", recipe: Recipe) -> None:
        self._made = made
        self._recipe = recipe
        height, width = recipe.data.image_size
        self.preprocessing = Preprocessing(height, width, recipe.data.channels)
        self.class_names: tuple[str, ...] = tuple(made.info.features["label"].names)
        self._cached: dict[str, tf.data.Dataset] = {}

    def size(self, split: str) -> int:
        """Number of examples in `split`, a name or a TFDS slice such as `train[:90%]`."""
        try:
            size = int(self._made.info.splits[split].num_examples)
        except (KeyError, ValueError) as error:
            known = ", ".join(self._made.info.splits)
            raise InputError(
                f"{self._made.info.full_name} has no split of this name",
                received=split,
                action=f"Known: {known}.",
            ) from error
        if not size:
            raise InputError("The split is empty", received=split, action="Name a larger part of it.")
        return size

    @property
    def dataset(self) -> str:
        """`name/config` of the data set."""
        return "/".join(self._made.info.full_name.split("/")[:-1])

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch of the training split, a smaller last one included."""
        return math.ceil(self.size(self._recipe.data.train) / self._recipe.batch_size)

    @property
    def ten_crop_fraction(self) -> float:
        """Side of the ten crops of test-time augmentation as a fraction of the image's side: that of the recipe."""
        return self._recipe.augment.ten_crop_fraction

    def class_counts(self, split: str) -> list[int]:
        """Examples of each of the K classes in `split`."""
        return np.bincount(self._column(split, "label"), minlength=len(self.class_names)).tolist()

    @functools.cached_property
    def _train_labels(self) -> np.ndarray:
        return self._column(self._recipe.data.train, "label")

    def subjects(self, split: str) -> np.ndarray | None:
        """(N,) subject ids of `split` in reading order, None where the data set names no subjects."""
        return self._column(split, "subject") if "subject" in self._made.info.features else None

    def _column(self, split: str, name: str) -> np.ndarray:
        """One scalar feature of all examples, without decoding the images."""
        import tensorflow_datasets as tfds

        only = tfds.decode.PartialDecoding({name: True})
        dataset = self._made.as_dataset(split=split, decoders=only, read_config=_ordered())
        return np.concatenate([batch[name] for batch in dataset.batch(8192).as_numpy_iterator()])

    def training(self, epoch: int) -> tf.data.Dataset:
        """Batches (images (B, H, W, C) uint8, labels) of `epoch`: sampled, shuffled and augmented.

        Labels are (B,) int64, or soft targets (B, K) float32 where the recipe mixes images. With ten crops B is ten
        times the recipe's batch size.
        """
        recipe = self._recipe
        seed = epoch_seed(recipe.seed, epoch)
        size = self.size(recipe.data.train)
        examples = self._examples(recipe.data.train)
        if recipe.data.sampling != "natural":
            counts = sample_counts(self._train_labels, rule=recipe.data.sampling, seed=seed)
            examples = _repeat(examples, counts)
        return (
            examples.shuffle(min(size, SHUFFLE_EXAMPLES), seed=seed, reshuffle_each_iteration=False)
            .batch(recipe.batch_size)
            .enumerate()
            .map(
                _augmenter(recipe.augment, len(self.class_names), seed),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            .prefetch(tf.data.AUTOTUNE)
        )

    def evaluation(self, split: str, *, batch_size: int | None = None) -> tf.data.Dataset:
        """Batches (images, labels) of every example of `split`, in reading order, unchanged."""
        return self._examples(split).batch(batch_size or self._recipe.batch_size).prefetch(tf.data.AUTOTUNE)

    def first(self, split: str, *, count: int) -> np.ndarray:
        """The first `count` images (N, H, W, C) uint8 of `split`, or all where there are fewer."""
        images, _ = next(iter(self._examples(split).take(count).batch(count)))
        return images.numpy()

    def _examples(self, split: str) -> tf.data.Dataset:
        if split not in self._cached:
            height, width = self._recipe.data.image_size
            total = self.size(split) * height * width * self._recipe.data.channels
            dataset = self._made.as_dataset(split=split, shuffle_files=False, read_config=_ordered())
            dataset = dataset.map(
                lambda example: (self.preprocessing(example["image"]), example["label"]),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )
            self._cached[split] = dataset.cache() if total <= CACHE_BYTES else dataset
        return self._cached[split]


def epoch_seed(seed: int, epoch: int) -> int:
    """A 31-bit seed that depends on both; neighbouring seeds and epochs do not repeat each other's order."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] >> 1)


def sample_counts(labels: np.ndarray, *, rule: Literal["balanced", "sqrt"], seed: int) -> np.ndarray:
    """How often each example is drawn in an epoch of as many draws with replacement as there are examples.

    Args:
        labels: (N,) class numbers.
        rule: `balanced` draws every class that has examples equally often, `sqrt` in proportion to the square root
            of its size; the examples of a class are equally likely.
        seed: The same seed gives the same counts.

    Returns:
        (N,) int64 that sums to N.
    """
    sizes = np.bincount(labels)[labels]
    weights = 1.0 / (sizes if rule == "balanced" else np.sqrt(sizes))
    return np.random.default_rng(seed).multinomial(len(labels), weights / weights.sum())


def _repeat(examples: tf.data.Dataset, counts: np.ndarray) -> tf.data.Dataset:
    """Each example as often as its count says, in reading order."""

    def repeat(block: tuple[tf.Tensor, tf.Tensor], times: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return tuple(tf.repeat(values, times, axis=0) for values in block)

    # In blocks: a small data set for every example, by `flat_map`, takes several times as long.
    counted = tf.data.Dataset.zip(examples, tf.data.Dataset.from_tensor_slices(counts))
    repeated = counted.batch(256).map(repeat).unbatch()
    return repeated.apply(tf.data.experimental.assert_cardinality(int(counts.sum())))


def _augmenter(settings: Augment, classes: int, seed: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    def apply(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        batch_seed = tf.stack([tf.cast(seed, tf.int64), step])
        return augment(images, labels, settings=settings, classes=classes, seed=batch_seed)

    return apply


def _ordered() -> "tfds.ReadConfig":
    import tensorflow_datasets as tfds

    # Our own cache and prefetch follow; the example order must not depend on the number of threads.
    return tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1, skip_prefetch=True)
