"""Batches of clips: windows of T frames with a mask, and what is said of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import tensorflow as tf

from ferkeras.data.augment import augment
from ferkeras.data.clips import ClipSelection
from ferkeras.data.pipeline import CACHE_BYTES, Pipeline
from ferkeras.data.prepared import class_names
from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.recipe_data import ClipWindows

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class ClipPipeline(Pipeline):
    """Inputs {"frames": (B, T, H, W, C) uint8, "frame_mask": (B, T) bool}, and labels.

    Labels are (B,) int64 classes, or with the targets of valence and arousal {"valence", "arousal"} of (B,) or
    (B, T) int32 in [-10, 10], -99 where there is none. All frames of a clip are augmented alike, but for those that
    the mask leaves out: padding stays black.

    Raises:
        InputError: as `Pipeline`, and for an overlap of a class that no data set has.
    """

    #: Cuts a split into windows.
    _selection: ClassVar[type[ClipSelection]] = ClipSelection

    def __init__(self, made: "tfds.core.DatasetBuilder | Sequence[tfds.core.DatasetBuilder]", recipe: Recipe) -> None:
        super().__init__(made, recipe)
        known = [*dict.fromkeys(name for made in self.builders for name in class_names(made)), "default"]
        for name in self.windows.overlap:
            if name not in known:
                raise InputError(
                    "data.clips.overlap names a class that there is not",
                    received=name,
                    action=f"Known: {', '.join(known)}.",
                )

    @property
    def windows(self) -> ClipWindows:
        """How the recipe cuts clips."""
        return self._recipe.data.clips or ClipWindows()

    def _select(self, made: "tfds.core.DatasetBuilder", name: str, *, split: str) -> ClipSelection:
        data = self._recipe.data
        return self._selection(
            made,
            name,
            self.class_names,
            settings=self.windows,
            target=data.target,
            overlapping=split in (data.train, data.validation) and split != data.test,
            group=data.group,
        )

    def _read(self, selection: ClipSelection, *, training: bool) -> tf.data.Dataset:
        del training
        return selection.dataset(self.preprocessing)

    @property
    def _example_bytes(self) -> int:
        return super()._example_bytes * self.windows.frames

    @property
    def _shuffled_examples(self) -> int:
        # Clips are large: the buffer is held to what a cached split may take.
        return min(super()._shuffled_examples, max(1, CACHE_BYTES // self._example_bytes))

    def _augmented(self, batch: Any, labels: tf.Tensor, seed: tf.Tensor) -> tuple[Any, tf.Tensor]:
        frames, mask = batch
        size, (count, height, width, channels) = tf.shape(frames)[0], frames.shape[1:]
        shown = mask[:, :, None, None, None]
        # Contrast changes about the mean of a clip, in which black frames must not count.
        filled = tf.where(shown, frames, _mean_of_shown(frames, shown))
        # As one image of T * C channels a clip: what is drawn for it holds for all of its frames.
        side_by_side = tf.reshape(tf.transpose(filled, (0, 2, 3, 1, 4)), (size, height, width, count * channels))
        changed, _ = augment(
            side_by_side, tf.zeros([size], tf.int64), settings=self._recipe.augment, classes=1, seed=seed
        )
        apart = tf.transpose(tf.reshape(changed, (size, height, width, count, channels)), (0, 3, 1, 2, 4))
        return self._named((tf.where(shown, apart, frames), mask), labels)

    def evaluation(self, split: str, *, batch_size: int | None = None) -> tf.data.Dataset:
        """Batches (inputs, labels) of every window of `split`, in reading order, unchanged."""
        return super().evaluation(split, batch_size=batch_size).map(self._named)

    def _named(self, batch: tuple[tf.Tensor, tf.Tensor], labels: tf.Tensor) -> tuple[Any, Any]:
        frames, mask = batch
        if self._recipe.data.target != "label":
            valence, arousal = tf.unstack(labels, axis=-1)
            labels = {"valence": valence, "arousal": arousal}
        return {"frames": frames, "frame_mask": mask}, labels

    def first(self, split: str, *, count: int) -> dict[str, np.ndarray]:
        """The first `count` inputs of `split`, or all where there are fewer."""
        inputs, _ = next(iter(self.evaluation(split, batch_size=count)))
        return {name: value.numpy() for name, value in inputs.items()}


def _mean_of_shown(frames: tf.Tensor, shown: tf.Tensor) -> tf.Tensor:
    """(B, 1, 1, 1, 1) uint8: mean pixel of the frames (B, T, H, W, C) that `shown` (B, T, 1, 1, 1) does not mask."""
    by_frame = tf.reduce_mean(tf.cast(frames, tf.float32), axis=(2, 3, 4), keepdims=True)
    weight = tf.cast(shown, tf.float32)
    mean = tf.reduce_sum(by_frame * weight, axis=1, keepdims=True) / tf.reduce_sum(weight, axis=1, keepdims=True)
    return tf.cast(tf.round(mean), tf.uint8)
