"""From a prepared still data set to batches: read, cache, sample, shuffle, batch, augment, prefetch.

Pixels stay uint8 until the model. The order of an epoch depends on the seed and the number of the epoch alone, so a
run that is resumed at epoch 7 sees what it would have seen without the interruption.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from ferkeras.data.augment import augment
from ferkeras.data.preprocess import Preprocessing
from ferkeras.data.sampling import repeat_examples, replace_labels, sample_counts, weighted_counts
from ferkeras.data.selection import Selection
from ferkeras.errors import InputError
from ferkeras.recipe import Augment, Recipe

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

#: A split is kept decoded in memory up to this many bytes; larger ones are decoded anew each epoch.
CACHE_BYTES = 2 * 1024**3
#: Largest shuffle buffer in examples.
SHUFFLE_EXAMPLES = 50_000


class StillPipeline:
    """Batches of one or several still data sets as a recipe wants them.

    Args:
        made: Builder of the prepared data set, or builders of the recipe's data set and of its parts, in their order.
        recipe: Names the splits, the size, the augmentation, the batch size and the seed.

    Raises:
        InputError: if the recipe wants classes that no data set has; by the methods, if a data set has no such split
            or nothing is in it.
    """

    def __init__(self, made: "tfds.core.DatasetBuilder | Sequence[tfds.core.DatasetBuilder]", recipe: Recipe) -> None:
        self.builders = list(made) if isinstance(made, Sequence) else [made]
        self._recipe = recipe
        height, width = recipe.data.image_size
        self.preprocessing = Preprocessing(height, width, recipe.data.channels)
        known = [made.info.features["label"].names for made in self.builders]
        self.class_names: tuple[str, ...] = recipe.data.classes or tuple(known[0])
        unknown = [name for name in self.class_names if not any(name in names for names in known)]
        if unknown:
            raise InputError(
                "No data set of the recipe has these classes",
                received=", ".join(unknown),
                action=f"Known: {', '.join(dict.fromkeys(name for names in known for name in names))}.",
            )
        self._chosen: dict[str, list[Selection]] = {}
        self._cached: dict[tuple[str, bool], tf.data.Dataset] = {}

    def size(self, split: str) -> int:
        """Number of examples in `split`: a name, a TFDS slice such as `train[:90%]`, or folds of either."""
        return sum(len(selection) for selection in self._selections(split))

    @property
    def dataset(self) -> str:
        """`name/config` of the data set, or of several with plus signs between them."""
        return " + ".join("/".join(made.info.full_name.split("/")[:-1]) for made in self.builders)

    @property
    def epoch_size(self) -> int:
        """Examples that are drawn in an epoch of training."""
        train = self._recipe.data.train
        return sum(round(w * len(s)) for w, s in zip(self._weights, self._selections(train), strict=True))

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch of training, a smaller last one included."""
        return math.ceil(self.epoch_size / self._recipe.batch_size)

    @property
    def ten_crop_fraction(self) -> float:
        """Side of the ten crops of test-time augmentation as a fraction of the image's side: that of the recipe."""
        return self._recipe.augment.ten_crop_fraction

    def class_counts(self, split: str) -> list[int]:
        """Examples of each of the K classes in `split`."""
        return np.bincount(self._labels(split), minlength=len(self.class_names)).tolist()

    def subjects(self, split: str) -> np.ndarray | None:
        """(N,) subject ids of `split` in reading order, None where a data set names no subjects.

        With several data sets the name of the set stands before each: equal ids of two sets are two people.
        """
        found: list[np.ndarray] = []
        for made, selection in zip(self._used(split), self._selections(split), strict=True):
            own = selection.subjects
            if own is None:
                return None
            several = len(self.builders) > 1
            found.append(np.array([made.name.encode() + b"/" + subject for subject in own]) if several else own)
        return np.concatenate(found)

    def training(self, epoch: int) -> tf.data.Dataset:
        """Batches (images (B, H, W, C) uint8, labels) of `epoch`: sampled, shuffled and augmented.

        Labels are (B,) int64, or soft targets (B, K) float32 where the recipe mixes images or trains on
        distributions. With ten crops B is ten times the recipe's batch size.
        """
        recipe = self._recipe
        seed = epoch_seed(recipe.seed, epoch)
        examples = self._examples(recipe.data.train, targets=recipe.data.target != "label")
        if recipe.data.target != "label":
            examples = replace_labels(examples, drawn=recipe.data.target == "drawn", seed=seed)
        if recipe.data.sampling != "natural":
            weights = np.repeat(self._weights, [len(s) for s in self._selections(recipe.data.train)])
            labels = self._train_labels
            counts = sample_counts(labels, rule=recipe.data.sampling, seed=seed, weights=weights, draws=self.epoch_size)
            examples = repeat_examples(examples, counts)
        elif set(self._weights) != {1.0}:
            sizes = [len(selection) for selection in self._selections(recipe.data.train)]
            examples = repeat_examples(examples, weighted_counts(sizes, self._weights, seed=seed))
        return (
            examples.shuffle(min(self.epoch_size, SHUFFLE_EXAMPLES), seed=seed, reshuffle_each_iteration=False)
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

    @functools.cached_property
    def _train_labels(self) -> np.ndarray:
        return self._labels(self._recipe.data.train)

    def _labels(self, split: str) -> np.ndarray:
        return np.concatenate([selection.labels for selection in self._selections(split)])

    @property
    def _weights(self) -> list[float]:
        """How much of each data set that has training examples an epoch draws."""
        weights = [1.0, *(part.weight for part in self._recipe.data.parts)]
        return [weight for weight, name in zip(weights, self._names(self._recipe.data.train), strict=False) if name]

    def _names(self, split: str) -> list[str]:
        """What each data set calls `split`, "" for one without; one of no role in the recipe is meant for all."""
        data = self._recipe.data
        for role in ("train", "validation", "test"):
            if split == getattr(data, role):
                return [split, *(getattr(part, role) for part in data.parts)][: len(self.builders)]
        return [split] * len(self.builders)

    def _used(self, split: str) -> "list[tfds.core.DatasetBuilder]":
        names = self._names(split)
        return [made for index, made in enumerate(self.builders) if names[index] or index == 0]

    def _selections(self, split: str) -> list[Selection]:
        if split not in self._chosen:
            names = [name for index, name in enumerate(self._names(split)) if name or index == 0]
            pairs = zip(self._used(split), names, strict=True)
            self._chosen[split] = [Selection(made, name, self.class_names) for made, name in pairs]
        return self._chosen[split]

    def _examples(self, split: str, *, targets: bool = False) -> tf.data.Dataset:
        key = (split, targets)
        if key not in self._cached:
            height, width = self._recipe.data.image_size
            total = self.size(split) * height * width * self._recipe.data.channels
            parts = [s.dataset(self.preprocessing, targets=targets) for s in self._selections(split)]
            dataset = functools.reduce(tf.data.Dataset.concatenate, parts)
            self._cached[key] = dataset.cache() if total <= CACHE_BYTES else dataset
        return self._cached[key]


def epoch_seed(seed: int, epoch: int) -> int:
    """A 31-bit seed that depends on both; neighbouring seeds and epochs do not repeat each other's order."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] >> 1)


def _augmenter(settings: Augment, classes: int, seed: int) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    def apply(step: tf.Tensor, batch: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        batch_seed = tf.stack([tf.cast(seed, tf.int64), step])
        return augment(images, labels, settings=settings, classes=classes, seed=batch_seed)

    return apply
