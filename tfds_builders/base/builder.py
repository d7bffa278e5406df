"""The base of all builders of official files: reading, skipping, checks, work. Stills and clips add their features."""

import abc
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from ferkeras.errors import InputError
from tfds_builders.base import work
from tfds_builders.base.faces import FaceConfig
from tfds_builders.base.leaks import check_groups
from tfds_builders.base.shared import SharingBuilder
from tfds_builders.base.skips import SkipList
from tfds_builders.base.source import ClipSource, Skip, StillSource


class OfficialBuilder(SharingBuilder, skip_registration=True):  # type: ignore[call-arg]
    """A data set that users ask its owners for and keep in a manual directory.

    Attributes:
        CLASSES: Names of `label`, from `ferkeras.labels`; empty where there is no class.
        SUBJECTS: Whether every source names its subject.
        HOMEPAGE: Where it is asked for.
        workers: As in `SharingBuilder`; None keeps nothing of an interrupted run, 1 keeps the faces that were found.
    """

    CLASSES: ClassVar[tuple[str, ...]] = ()
    SUBJECTS: ClassVar[bool] = False
    HOMEPAGE: ClassVar[str | None] = None
    UNIT: ClassVar[str]
    builder_config: FaceConfig

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

    def more_features(self) -> dict[str, Any]:
        """Features beside those that all builders of this kind have."""
        return {}

    def look(self, manual_dir: Path) -> dict[str, int]:
        """Examples of each split in the official files, and of `left out`; raises `InputError` like `read`."""
        counts: Counter[str] = Counter()
        for source in self.read(manual_dir):
            counts["left out" if isinstance(source, Skip) else source.split] += 1
        return dict(counts)

    def sources(self, manual_dir: Path, skips: SkipList) -> dict[str, list[Any]]:
        if self.builder_config.faces is not None:
            self.builder_config.faces.check()
        splits: dict[str, list[Any]] = {}
        for source in self.read(manual_dir):
            if isinstance(source, Skip):
                skips.add(source)
            else:
                splits.setdefault(source.split, []).append(source)
        if not splits:
            reasons = "; ".join(sorted({skip.reason for skip in skips.rows}))
            raise InputError(f"There is no usable example of {self.TITLE}", received=reasons or "nothing")
        self._check([source for split in splits.values() for source in split])
        return splits

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

    def done(self, sources: Sequence[Any]) -> work.Done:
        if self.workers is None or self.builder_config.faces is None:
            return super().done(sources)
        return work.run(sources, self.make(), folder=self._work_folder, pool=self._pool, unit=self.UNIT)

    @property
    def _work_folder(self) -> Path:
        return work.folder_of(Path(self.data_dir_root), self.info.full_name)

    def remove_work(self) -> None:
        work.remove(self._work_folder)

    def close_split(self, split: str, *, kept: int, skips: SkipList) -> None:
        skips.check(split, kept=kept)
        skips.write(Path(self.data_dir))
