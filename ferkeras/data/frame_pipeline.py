"""Batches of the single frames of clips, for networks of still images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from ferkeras.data.clips import ClipSelection
from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.recipe_data import ClipWindows

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class FramePipeline(StillPipeline):
    """Images (B, H, W, C) uint8 and labels (B,) int64: frames that show a face, with the label of their clip.

    Every `data.frame_stride`-th frame of a clip is taken, whatever its length; the subjects are those of the clips.

    Raises:
        InputError: as `Pipeline`, and for a stride under one or another target than the label.
    """

    def __init__(self, made: "tfds.core.DatasetBuilder | Sequence[tfds.core.DatasetBuilder]", recipe: Recipe) -> None:
        super().__init__(made, recipe)
        stride = recipe.data.frame_stride or 0
        if stride < 1:
            raise InputError("data.frame_stride must be at least 1", received=stride)
        if recipe.data.target != "label":
            raise InputError("data.target must be label with data.frame_stride", received=recipe.data.target)
        self._windows = ClipWindows(frames=1, min_frames=1, stride=stride)

    def _select(self, made: "tfds.core.DatasetBuilder", name: str, *, split: str) -> ClipSelection:
        del split
        return ClipSelection(
            made,
            name,
            self.class_names,
            settings=self._windows,
            target="label",
            overlapping=False,
            group=self._recipe.data.group,
        )

    def _read(self, selection: ClipSelection, *, training: bool) -> tf.data.Dataset:
        del training
        return selection.dataset(self.preprocessing).map(lambda clip, label: (clip[0][0], label))
