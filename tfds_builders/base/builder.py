"""The base of all builders of official files: reading, skipping, checks, work. Stills and clips add their features."""

import abc
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from tfds_builders.base import work
from tfds_builders.base.faces import FaceConfig
from tfds_builders.base.leaks import check_groups
from tfds_builders.base.manual import manual_dir_of
from tfds_builders.base.skips import SkipList
from tfds_builders.base.source import ClipSource, Skip, StillSource

Examples = Iterator[tuple[str, dict[str, Any]]]


class OfficialBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A data set that users ask its owners for and keep in a manual directory.

    Attributes:
        CLASSES: Names of `label`, from `ferkeras.labels`; empty where there is no class.
        SUBJECTS: Whether every source names its subject.
        TITLE: What messages call the data set.
        HOMEPAGE: Where it is asked for.
        workers: Processes that find faces; None finds them in this one and keeps nothing of an interrupted run.
    """

    CLASSES: ClassVar[tuple[str, ...]] = ()
    SUBJECTS: ClassVar[bool] = False
    TITLE: ClassVar[str]
    HOMEPAGE: ClassVar[str | None] = None
    UNIT: ClassVar[str]
    builder_config: FaceConfig
    workers: int | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of `label`; a builder whose configurations differ in them says so here."""
        return self.CLASSES

    @property
    def names_subjects(self) -> bool:
        """Whether every source names its subject; the same for configurations that differ in it."""
        return self.SUBJECTS

    @abc.abstractmethod
    def read(self, manual_dir: Path) -> Iterator[Any]:
        """Every source of the official files and a `Skip` for what is left out, in a fixed order, nothing decoded.

        Raises:
            InputError: if the layout is not known or a label cannot be understood: never guess.
        """

    @abc.abstractmethod
    def make(self) -> work.Make:
        """A function, or a partial of one, that turns a source into its results."""

    @abc.abstractmethod
    def stored(self, source: Any, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Key and example of one result."""

    def more_features(self) -> dict[str, Any]:
        """Features beside those that all builders of this kind have."""
        return {}

    def look(self, manual_dir: Path) -> dict[str, int]:
        """Examples of each split in the official files, and of `left out`; raises `InputError` like `read`."""
        counts: Counter[str] = Counter()
        for source in self.read(manual_dir):
            counts["left out" if isinstance(source, Skip) else source.split] += 1
        return dict(counts)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Examples]:
        if self.builder_config.faces is not None:
            self.builder_config.faces.check()
        # All labels are read and checked here, so that bad input ends before the first record is written.
        skips = SkipList()
        splits: dict[str, list[Any]] = {}
        for source in self.read(manual_dir_of(dl_manager, title=self.TITLE)):
            if isinstance(source, Skip):
                skips.add(source)
            else:
                splits.setdefault(source.split, []).append(source)
        if not splits:
            reasons = "; ".join(sorted({skip.reason for skip in skips.rows}))
            raise InputError(f"There is no usable example of {self.TITLE}", received=reasons or "nothing")
        sources = [source for split in splits.values() for source in split]
        self._check(sources)
        done = self._work(sources)
        return {split: self._generate_examples(split, found, done, skips) for split, found in splits.items()}

    def _check(self, sources: list[StillSource] | list[ClipSource]) -> None:
        ids: set[str] = set()
        for source in sources:
            if source.id in ids:
                raise InputError(f"{self.TITLE}: two examples have the same id", received=source.id)
            ids.add(source.id)
            if self.classes and source.label not in self.classes:
                raise InputError(f"{self.TITLE}: {source.id} has an unknown class", received=source.label)
        check_groups(((s.split, s.subject) for s in sources if s.subject is not None), what="subject")
        check_groups(((s.split, s.recording) for s in sources if isinstance(s, ClipSource)), what="recording")

    def _work(self, sources: list[Any]) -> work.Done:
        if self.workers is None or self.builder_config.faces is None:
            return self.make()
        return work.run(sources, self.make(), folder=self._work_folder, workers=self.workers, unit=self.UNIT)

    @property
    def _work_folder(self) -> Path:
        return work.folder_of(Path(self.data_dir_root), self.info.full_name)

    def remove_work(self) -> None:
        """Removes what was kept for the case of an interruption."""
        work.remove(self._work_folder)

    def _generate_examples(self, split: str, sources: Iterable[Any], done: work.Done, skips: SkipList) -> Examples:
        kept = 0
        for source in sources:
            for result in done(source):
                if isinstance(result, Skip):
                    skips.add(result)
                else:
                    kept += 1
                    yield self.stored(source, result)
        skips.check(split, kept=kept)
        skips.write(Path(self.data_dir))
