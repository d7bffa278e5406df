"""From a prepared still data set to batches: read, cache, shuffle, batch, augment, prefetch.

Pixels stay uint8 until the model. The order of an epoch depends on the seed and the number of the epoch alone, so a
run that is resumed at epoch 7 sees what it would have seen without the interruption.
"""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

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

    def class_counts(self, split: str) -> list[int]:
        """Examples of each of the K classes in `split`."""
        return np.bincount(self._column(split, "label"), minlength=len(self.class_names)).tolist()

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
        """Batches (images (B, H, W, C) uint8, labels (B,) int64) of `epoch`, shuffled and augmented."""
        recipe = self._recipe
        seed = epoch_seed(recipe.seed, epoch)
        size = self.size(recipe.data.train)
        settings = recipe.augment
        return (
            self._examples(recipe.data.train)
            .shuffle(min(size, SHUFFLE_EXAMPLES), seed=seed, reshuffle_each_iteration=False)
            .batch(recipe.batch_size)
            .enumerate()
            .map(_augmenter(settings, seed), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    def evaluation(self, split: str, *, batch_size: int | None = None) -> tf.data.Dataset:
        """Batches (images, labels) of every example of `split`, in reading order, unchanged."""
        return self._examples(split).batch(batch_size or self._recipe.batch_size).prefetch(tf.data.AUTOTUNE)

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


def _augmenter(settings: Augment, seed: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    def apply(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        return augment(images, settings=settings, seed=tf.stack([tf.cast(seed, tf.int64), step])), labels

    return apply


def _ordered() -> "tfds.ReadConfig":
    import tensorflow_datasets as tfds

    # Our own cache and prefetch follow; the example order must not depend on the number of threads.
    return tfds.ReadConfig(try_autocache=False, interleave_cycle_length=1, skip_prefetch=True)
