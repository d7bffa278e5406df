"""The base of all builders: each example is made from its own source, here, in several processes or on a cluster."""

import abc
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core.writer import ExampleWriter

from ferkeras.files import write_atomically
from tfds_builders.base import cluster, work
from tfds_builders.base.manual import manual_dir_of
from tfds_builders.base.processes import Workers
from tfds_builders.base.skips import SkipList
from tfds_builders.base.source import Skip

Examples = Iterator[tuple[str, dict[str, Any]]]


class SharingBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A builder that says what its examples are made of, how one of them is made, and how it is stored.

    Whoever makes them, the records are the same bytes in the same order, that of their hashed keys. A cluster may cut
    them into files at other places.

    Attributes:
        TITLE: What messages call the data set; empty where there are no official files.
        workers: Processes that make examples; None, like 1, makes them in this one.
        beside: Name -> text of files that lie beside the records from the moment that the data set has its name.
    """

    TITLE: ClassVar[str] = ""
    workers: int | None = None
    beside: Mapping[str, str] = {}

    @abc.abstractmethod
    def sources(self, manual_dir: Path, skips: SkipList) -> Mapping[str, Sequence[Any]]:
        """Split -> what its examples are made of, always in the same order; what is left out is added to `skips`.

        Args:
            manual_dir: The official files; an empty path where there are none.
            skips: Is added to.

        Raises:
            InputError: for files that cannot be used. No record is written then.
        """

    @abc.abstractmethod
    def make(self) -> work.Make:
        """A function of a module, or a partial of one, that turns a source into its results."""

    @abc.abstractmethod
    def stored(self, source: Any, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Key and example of one result, whose pictures may be PNG files already."""

    def done(self, sources: Sequence[Any]) -> work.Done:
        """Where the results of all sources come from."""
        del sources
        return work.MadeNow(self.make())

    def close_split(self, split: str, *, kept: int, skips: SkipList) -> None:
        """Is called when all results of a split are there, before it gets its name."""

    def remove_work(self) -> None:
        """Removes what was kept for the case of an interruption."""

    @property
    def at_a_time(self) -> int:
        """Sources that are given to a process at once: many pictures, but only one recording."""
        return 1 if "frames" in self.info.features else 32

    def _download_and_prepare(
        self, dl_manager: tfds.download.DownloadManager, download_config: tfds.download.DownloadConfig
    ) -> None:
        self._on_cluster = download_config.beam_runner is not None
        try:
            with Workers(self.workers or 1) as self._pool:
                super()._download_and_prepare(dl_manager, download_config)
        except Exception:
            self._close_splits_of_cluster()  # that nothing is left of a split says more than what TFDS raised
            raise
        self._close_splits_of_cluster()
        for name, text in self.beside.items():
            write_atomically(Path(self.data_dir) / name, text)

    def _example_writer(self) -> ExampleWriter:
        return SameBytesWriter(self.info.file_format)

    def _close_splits_of_cluster(self) -> None:
        if self._on_cluster:
            for split, (kept, skips) in cluster.told(Path(self.data_dir)).items():
                self._skips.rows += skips
                self.close_split(split, kept=kept, skips=self._skips)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        manual_dir = manual_dir_of(dl_manager, title=self.TITLE) if self.TITLE else Path()
        self._skips = SkipList()
        # All labels are read and checked here, so that bad input ends before the first record is written.
        splits = self.sources(manual_dir, self._skips)
        if self._on_cluster:
            return {
                split: cluster.examples_of(self, split, list(splits).index(split), len(found), manual_dir)
                for split, found in splits.items()
            }
        done = self.done([source for found in splits.values() for source in found])
        return {split: self._generate_examples(split, found, done, self._skips) for split, found in splits.items()}

    def _generate_examples(self, split: str, sources: Sequence[Any], done: work.Done, skips: SkipList) -> Examples:
        kept = 0
        for source, result in self._results(sources, done):
            if isinstance(result, Skip):
                skips.add(result)
            else:
                kept += 1
                yield self.stored(source, result)
        self.close_split(split, kept=kept, skips=skips)

    def _results(self, sources: Sequence[Any], done: work.Done) -> Iterator[tuple[Any, work.Result]]:
        if self._pool.count == 1:
            yield from ((source, result) for source in sources for result in done(source))
            return
        # PNG files are made where the pictures are: compressing takes longer than all that is left to do here.
        parts = ((source, part) for source in sources for part in done.parts(source))
        asked, given = itertools.tee(parts)
        encode = functools.partial(encoded, shapes=picture_shapes(self.info.features))
        total = len(sources) if isinstance(done, work.MadeNow) else None  # others may have several parts a source
        made = self._pool.map(encode, (part for _, part in given), size=self.at_a_time, total=total)
        for (source, _), results in zip(asked, made, strict=True):
            yield from ((source, result) for result in results)


class SameBytesWriter(ExampleWriter):
    """Writes the features of a record in the order of their names. Protobuf orders them by chance in every process."""

    def write(self, path: Any, examples: Iterable[tuple[Any, bytes]]) -> Any:
        return super().write(path, ((key, _in_order(record)) for key, record in examples))


def _in_order(record: bytes) -> bytes:
    return tf.train.Example.FromString(record).SerializeToString(deterministic=True)


def picture_shapes(features: tfds.features.FeaturesDict) -> dict[str, tuple[int | None, ...]]:
    """Name -> (H, W, C) of each feature that TFDS stores as PNG files: pictures, and the frames of videos."""
    shapes = {}
    for name, feature in features.items():
        image = feature.feature if isinstance(feature, tfds.features.Video) else feature
        if isinstance(image, tfds.features.Image) and image.encoding_format == "png" and image.np_dtype == np.uint8:
            shapes[name] = image.shape
    return shapes


def encoded(part: work.Part, *, shapes: Mapping[str, tuple[int | None, ...]]) -> list[work.Result]:
    """The results with PNG files in the place of pixels, byte for byte those that TFDS would make of them."""
    return [_with_files(result, shapes) for result in part()]


def _with_files(result: work.Result, shapes: Mapping[str, tuple[int | None, ...]]) -> work.Result:
    if isinstance(result, Skip):
        return result
    return result | {name: _png(result[name], shape) for name, shape in shapes.items()}


def _png(pixels: np.ndarray, shape: tuple[int | None, ...]) -> bytes | list[bytes]:
    """(H, W, C) -> one file, (T, H, W, C) -> T files."""
    encode = _image(shape).encode_example
    return encode(pixels) if pixels.ndim == len(shape) else [encode(frame) for frame in pixels]


@functools.lru_cache(maxsize=4)
def _image(shape: tuple[int | None, ...]) -> tfds.features.Image:
    """The feature, which holds compiled graphs."""
    return tfds.features.Image(shape=shape, dtype=np.uint8, encoding_format="png")
