"""From a prepared still data set to batches: read, cache, sample, shuffle, batch, augment, prefetch.

Pixels stay uint8 until the model. The order of an epoch depends on the seed and the number of the epoch alone, so a
run that is resumed at epoch 7 sees what it would have seen without the interruption.
"""

import abc
import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from ferkeras.data.augment import augment
from ferkeras.data.prepared import class_names
from ferkeras.data.preprocess import Preprocessing
from ferkeras.data.sampling import repeat_examples, replace_labels, sample_counts, weighted_counts
from ferkeras.data.selection import Selection
from ferkeras.errors import InputError
from ferkeras.faces.framing import margin_of
from ferkeras.recipe import Recipe

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

#: A split is kept decoded in memory up to this many bytes; larger ones are decoded anew each epoch.
CACHE_BYTES = 2 * 1024**3
#: Largest shuffle buffer in examples.
SHUFFLE_EXAMPLES = 50_000


class Selected(Protocol):
    """The examples of one data set that a recipe means."""

    def __len__(self) -> int: ...

    @property
    def labels(self) -> np.ndarray: ...

    @property
    def subjects(self) -> np.ndarray | None: ...


class Pipeline(abc.ABC):
    """Batches of one or several data sets as a recipe wants them; subclasses know stills and clips.

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
        known = [class_names(made) for made in self.builders]
        affect = recipe.data.target.startswith("valence_arousal")
        #: K names; none where valence and arousal are trained on.
        self.class_names: tuple[str, ...] = () if affect else recipe.data.classes or tuple(known[0])
        if not (affect or all(known)):
            unlabelled = next(m.info.full_name for m, names in zip(self.builders, known, strict=True) if not names)
            raise InputError(f"{unlabelled} has no classes", action="Set another data.target, or leave it out.")
        unknown = [name for name in self.class_names if not any(name in names for names in known)]
        if unknown:
            raise InputError(
                "No data set of the recipe has these classes",
                received=", ".join(unknown),
                action=f"Known: {', '.join(dict.fromkeys(name for names in known for name in names))}.",
            )
        self._chosen: dict[str, list[Any]] = {}
        self._cached: dict[tuple[str, bool], tf.data.Dataset] = {}

    def size(self, split: str) -> int:
        """Number of examples in `split`: a name, a TFDS slice such as `train[:90%]`, or folds of either."""
        return sum(len(selection) for selection in self._selections(split))

    @property
    def dataset(self) -> str:
        """`name/config` of the data set, or of several with plus signs between them."""
        return " + ".join("/".join(made.info.full_name.split("/")[:-1]) for made in self.builders)

    @property
    def margin(self) -> float:
        """How large the pictures of the first data set show a face, see `ferkeras.faces.framing`."""
        return margin_of(self.builders[0].name, self.builders[0].builder_config)

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
        if not self.class_names:
            return []
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

    @abc.abstractmethod
    def _select(self, made: "tfds.core.DatasetBuilder", name: str, *, split: str) -> Selected:
        """The examples of one data set: those of its split `name`, which the recipe calls `split`."""

    @abc.abstractmethod
    def _read(self, selection: Any, *, training: bool) -> tf.data.Dataset:
        """Examples (input, label) of a selection in reading order."""

    @abc.abstractmethod
    def _augmented(self, batch: Any, labels: tf.Tensor, seed: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """A training batch with the changes of the recipe."""

    def _relabelled(self, examples: tf.data.Dataset, *, seed: int) -> tf.data.Dataset:
        """Training examples as `_read` gives them, with what is trained on as labels."""
        del seed
        return examples

    def training(self, epoch: int) -> tf.data.Dataset:
        """Batches (inputs, labels) of `epoch`: sampled, shuffled and augmented."""
        recipe = self._recipe
        seed = epoch_seed(recipe.seed, epoch)
        examples = self._examples(recipe.data.train, training=True)
        if recipe.data.sampling != "natural":
            weights = np.repeat(self._weights, [len(s) for s in self._selections(recipe.data.train)])
            labels = self._train_labels
            counts = sample_counts(labels, rule=recipe.data.sampling, seed=seed, weights=weights, draws=self.epoch_size)
            examples = repeat_examples(examples, counts)
        elif set(self._weights) != {1.0}:
            sizes = [len(selection) for selection in self._selections(recipe.data.train)]
            examples = repeat_examples(examples, weighted_counts(sizes, self._weights, seed=seed))
        return (
            self._relabelled(examples, seed=seed)
            .shuffle(min(self.epoch_size, self._shuffled_examples), seed=seed, reshuffle_each_iteration=False)
            .batch(recipe.batch_size)
            .enumerate()
            .map(self._augmenter(seed), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .prefetch(tf.data.AUTOTUNE)
        )

    def evaluation(self, split: str, *, batch_size: int | None = None) -> tf.data.Dataset:
        """Batches (inputs, labels) of every example of `split`, in reading order, unchanged."""
        return self._examples(split).batch(batch_size or self._recipe.batch_size).prefetch(tf.data.AUTOTUNE)

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

    def _selections(self, split: str) -> list[Any]:
        if split not in self._chosen:
            names = [name for index, name in enumerate(self._names(split)) if name or index == 0]
            pairs = zip(self._used(split), names, strict=True)
            self._chosen[split] = [self._select(made, name, split=split) for made, name in pairs]
        return self._chosen[split]

    def _examples(self, split: str, *, training: bool = False) -> tf.data.Dataset:
        key = (split, training and self._recipe.data.target in ("distribution", "drawn"))
        if key not in self._cached:
            total = self.size(split) * self._example_bytes  # first, since it tells what is wrong with a split
            parts = [self._read(selection, training=key[1]) for selection in self._selections(split)]
            dataset = functools.reduce(tf.data.Dataset.concatenate, parts)
            self._cached[key] = dataset.cache() if total <= CACHE_BYTES else dataset
        return self._cached[key]

    @property
    def _shuffled_examples(self) -> int:
        """Largest shuffle buffer in examples."""
        return SHUFFLE_EXAMPLES

    @property
    def _example_bytes(self) -> int:
        height, width = self._recipe.data.image_size
        return height * width * self._recipe.data.channels

    def _augmenter(self, seed: int) -> Callable[..., tuple[Any, tf.Tensor]]:
        def apply(step: tf.Tensor, batch: tuple[Any, tf.Tensor]) -> tuple[Any, tf.Tensor]:
            inputs, labels = batch
            return self._augmented(inputs, labels, tf.stack([tf.cast(seed, tf.int64), step]))

        return apply


class StillPipeline(Pipeline):
    """Images (B, H, W, C) uint8 and labels (B,) int64.

    In training labels are soft targets (B, K) float32 where the recipe mixes images or trains on distributions, and
    with ten crops B is ten times the recipe's batch size.
    """

    def first(self, split: str, *, count: int) -> np.ndarray:
        """The first `count` images (N, H, W, C) uint8 of `split`, or all where there are fewer."""
        images, _ = next(iter(self._examples(split).take(count).batch(count)))
        return images.numpy()

    def _select(self, made: "tfds.core.DatasetBuilder", name: str, *, split: str) -> Selected:
        del split
        return Selection(made, name, self.class_names, group=self._recipe.data.group)

    def _read(self, selection: Any, *, training: bool) -> tf.data.Dataset:
        return selection.dataset(self.preprocessing, targets=training)

    def _relabelled(self, examples: tf.data.Dataset, *, seed: int) -> tf.data.Dataset:
        target = self._recipe.data.target
        return examples if target == "label" else replace_labels(examples, drawn=target == "drawn", seed=seed)

    def _augmented(self, batch: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        settings = self._recipe.augment
        return augment(batch, labels, settings=settings, classes=len(self.class_names), seed=seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """A 31-bit seed that depends on both; neighbouring seeds and epochs do not repeat each other's order."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] >> 1)
