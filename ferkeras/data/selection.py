"""The examples of one data set that a recipe means: a split or some folds of it, and the classes it knows."""

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from ferkeras.data.columns import ordered, read_column, split_size
from ferkeras.data.folds import in_folds, parse_split
from ferkeras.errors import InputError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class Selection:
    """Examples of `split` (see `ferkeras.data.folds`) whose class is one of `classes`, in reading order.

    Args:
        made: Builder of the prepared data set.
        split: Name of the split, with folds or without.
        classes: K names; labels are positions in it, whatever the order of the data set is.
        group: The feature whose values folds keep whole.

    Raises:
        InputError: by the methods, if the data set has no such split or feature, or nothing is left.
    """

    def __init__(
        self, made: "tfds.core.DatasetBuilder", split: str, classes: Sequence[str], *, group: str = "subject"
    ) -> None:
        self._made = made
        self._name = parse_split(split)
        self._group = group
        names = list(made.info.features["label"].names)
        #: Class of the data set -> class of the recipe, -1 for one that it does not have.
        self._classes = np.array([classes.index(name) if name in classes else -1 for name in names], np.int64)
        self._columns = [names.index(name) if name in names else -1 for name in classes]
        self._whole = not self._name.folds and tuple(classes[: len(names)]) == tuple(names)

    def __len__(self) -> int:
        size = split_size(self._made, self._name.base) if self._whole else int(self._inside.sum())
        if not size:
            raise InputError("The split is empty", received=self._name.base, action="Name a larger part of it.")
        return size

    @functools.cached_property
    def _inside(self) -> np.ndarray:
        """(N,) bool over the examples of the base split."""
        inside = self._classes[read_column(self._made, self._name.base, "label").astype(np.int64)] >= 0
        if self._name.folds:
            inside &= in_folds(self._name, read_column(self._made, self._name.base, self._group))
        return inside

    @functools.cached_property
    def labels(self) -> np.ndarray:
        """(N,) int64 class numbers of the recipe."""
        return self._classes[self._column("label").astype(np.int64)]

    @property
    def subjects(self) -> np.ndarray | None:
        """(N,) subject ids, None where the data set names none."""
        return self._column("subject") if "subject" in self._made.info.features else None

    def _column(self, name: str) -> np.ndarray:
        values = read_column(self._made, self._name.base, name)
        return values if self._whole else values[self._inside]

    def dataset(self, prepare: Callable[[tf.Tensor], tf.Tensor], *, targets: bool = False) -> tf.data.Dataset:
        """(image as `prepare` gives it, label), or with `targets` (image, label, target (K,) float32), in order.

        Raises:
            InputError: if the data set has no feature `target` and `targets` are asked for.
        """
        import tensorflow_datasets as tfds

        if targets and "target" not in self._made.info.features:
            raise InputError(f"{self._made.info.full_name} has no soft targets", action="Set data.target=label.")
        # A picture that is not chosen is not decoded.
        dataset = self._made.as_dataset(
            split=self._name.base,
            shuffle_files=False,
            read_config=ordered(),
            decoders=None if self._whole else {"image": tfds.decode.SkipDecoding()},
        )
        if not self._whole:
            inside = tf.data.Dataset.from_tensor_slices(self._inside)
            dataset = tf.data.Dataset.zip(dataset, inside).filter(lambda _, keep: keep).map(lambda example, _: example)
            dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(self)))
        decode = self._made.info.features["image"].decode_example
        classes = tf.constant(self._classes)

        def load(example: dict[str, Any]) -> tuple[tf.Tensor, ...]:
            image = example["image"] if self._whole else decode(example["image"])
            pair = prepare(image), tf.gather(classes, example["label"])
            return (*pair, self._target(example["target"])) if targets else pair

        return dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _target(self, target: tf.Tensor) -> tf.Tensor:
        """The shares of the recipe's classes, which sum to one again."""
        known = tf.gather(target, [max(column, 0) for column in self._columns])
        known = known * tf.constant([float(column >= 0) for column in self._columns])
        return known / tf.maximum(tf.reduce_sum(known), 1e-9)
