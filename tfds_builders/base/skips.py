"""The list of what a builder left out and why, kept beside the prepared data."""

import csv
import io
from collections import Counter
from pathlib import Path

from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from tfds_builders.base.source import Skip

FILE_NAME = "skipped.csv"
#: Above this share something is wrong with the copy or the settings rather than with single files.
MOST = 0.5


class SkipList:
    """Collects skips while a data set is written; `write` after each split leaves a whole file."""

    def __init__(self) -> None:
        self.rows: list[Skip] = []

    def add(self, skip: Skip) -> None:
        self.rows.append(skip)

    def write(self, folder: Path) -> None:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Skip._fields)
        writer.writerows(self.rows)
        write_atomically(folder / FILE_NAME, text.getvalue())

    def check(self, split: str, *, kept: int) -> None:
        """Raises `InputError` if a split has nothing left or less than it lost to unreadable or faceless files."""
        lost = [skip for skip in self.rows if skip.split == split]
        unusable = [skip for skip in lost if skip.reason.startswith(("cannot be read", "no face", "no frame"))]
        if kept == 0 or len(unusable) > MOST * (kept + len(unusable)):
            reasons = "; ".join(
                f"{count} x {reason}" for reason, count in Counter(s.reason for s in lost).most_common(3)
            )
            raise InputError(
                f"Of {kept + len(lost)} examples of {split} only {kept} can be used",
                received=reasons or "nothing",
                action="Check the files and the settings of the detector.",
            )


def read_skips(folder: Path) -> list[Skip]:
    """The list of a prepared data set, empty where it has none."""
    path = folder / FILE_NAME
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return [Skip(**row) for row in csv.DictReader(stream)]
