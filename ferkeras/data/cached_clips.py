"""Batches of clips whose frames are vectors out of a cache: what trains the temporal part of a model alone."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.clips import ClipSelection
from ferkeras.data.columns import without_tuning
from ferkeras.data.feature_cache import FeatureCache, read_vectors
from ferkeras.data.pipeline import CACHE_BYTES, SHUFFLE_EXAMPLES
from ferkeras.recipe import Recipe

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


class _CachedSelection(ClipSelection):
    """The windows of a `ClipSelection`, filled with vectors."""

    def vectors(self, caches: dict[str, FeatureCache]) -> tf.data.Dataset:
        """((vectors (T, D) float32, mask (T,) bool), label) of each window, in the order of `dataset`."""
        count = len(self)  # first, since it tells what is wrong with a split
        cache = caches[self._made.info.full_name]
        shards = cache.encode(self._name.base)
        total = self._settings.frames
        by_clip: dict[int, list[np.ndarray]] = {}
        for clip, window in self._rows:
            by_clip.setdefault(clip, []).append(window)

        def generate() -> Iterator[Any]:
            for clip, vectors in enumerate(read_vectors(shards, width=cache.width)):
                for window in by_clip.get(clip, ()):
                    rest = total - len(window)
                    mask = np.pad(self._visible(clip, window), (0, rest))
                    yield (np.pad(vectors[window], ((0, rest), (0, 0))), mask), self._label(clip, window)

        label = self._label(*self._rows[0])
        inputs = (tf.TensorSpec((total, cache.width), tf.float32), tf.TensorSpec((total,), tf.bool))
        examples = tf.data.Dataset.from_generator(
            generate, output_signature=(inputs, tf.TensorSpec(label.shape, label.dtype))
        )
        return examples.apply(tf.data.experimental.assert_cardinality(count)).with_options(without_tuning())


class CachedClips(ClipPipeline):
    """Inputs {"features": (B, T, D) float32, "frame_mask": (B, T) bool}, and the labels of `ClipPipeline`.

    Windows, their order in an epoch and what is drawn follow from the recipe as they do there, so that a temporal part
    learns from the cache what it would learn behind the frozen encoder. Nothing is augmented. Where the mask is False
    stands the vector of a frame without a face, or zeros for padding: neither counts.

    The training and the validation split are encoded when the pipeline is made, other ones when they are read. Stale
    caches are removed, see `FeatureCache.remove_stale`.

    Args:
        made: As for `ClipPipeline`.
        recipe: With `cache_features`.
        encoder: Images (B, H, W, C) with pixels in [0, 255] -> vectors (B, D); runs as at inference, in float32.

    Raises:
        InputError: as `ClipPipeline`, and for a split that a data set does not have.
    """

    _selection = _CachedSelection

    def __init__(
        self,
        made: "tfds.core.DatasetBuilder | Sequence[tfds.core.DatasetBuilder]",
        recipe: Recipe,
        *,
        encoder: keras.Model,
    ) -> None:
        super().__init__(made, recipe)
        self._width = int(encoder.output.shape[-1])
        self._caches = {one.info.full_name: FeatureCache(one, self.preprocessing, encoder) for one in self.builders}
        for cache in self._caches.values():
            cache.remove_stale()
        for split in (recipe.data.train, recipe.data.validation):
            self._examples(split)

    def _read(self, selection: Any, *, training: bool) -> tf.data.Dataset:
        del training
        return selection.vectors(self._caches)

    @property
    def _example_bytes(self) -> int:
        return 4 * self._width * self.windows.frames

    @property
    def _shuffled_examples(self) -> int:
        # As many as of clips of pixels, on which the order of an epoch depends.
        return min(SHUFFLE_EXAMPLES, max(1, CACHE_BYTES // super()._example_bytes))

    def _augmented(self, batch: Any, labels: tf.Tensor, seed: tf.Tensor) -> tuple[Any, Any]:
        del seed
        return self._named(batch, labels)

    def _named(self, batch: tuple[tf.Tensor, tf.Tensor], labels: tf.Tensor) -> tuple[Any, Any]:
        inputs, named = super()._named(batch, labels)
        return {"features": inputs["frames"], "frame_mask": inputs["frame_mask"]}, named
