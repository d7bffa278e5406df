"""Joins the votes of `fer2013new.csv` with the pixels of FER2013: row i with row i, which is the only key there is.

The image names in the file (`fer0000059.png`) are no row numbers: they drift from them, and four occur twice.
"""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from tfds_builders.base.manual import find, require
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.tables import read_table
from tfds_builders.fer2013.example import SPLIT_OF_USAGE, Example
from tfds_builders.fer2013.layout import find_source
from tfds_builders.fer_plus.votes import COLUMNS, Mode, label_of, target_of

VOTES_FILE = "fer2013new.csv"
#: People who were asked about each face. One row of the official file has the votes of nine.
VOTERS = 10
#: The labels of FER2013 agree with those of FER+ on about two of three faces; by chance it would be one of five.
LEAST_AGREEMENT = 0.4
#: Fewer faces tell nothing about agreement.
ENOUGH_ROWS = 500

#: Split, image name (empty where there is none) and votes (10,) of one row.
VoteRow = tuple[str, str, np.ndarray]


def read_joined(manual_dir: Path, mode: Mode) -> Iterator[StillSource | Skip]:
    """One source or skip for each row, in the order of the files; its id is the 0-based number of the row.

    Raises:
        InputError: if a file is missing, a row is corrupt, or the two files do not belong together.
    """
    votes_file = require(
        find(manual_dir, VOTES_FILE.replace(".", r"\."), kind="file"), title="FER+", what=VOTES_FILE, root=manual_dir
    )
    pairs = itertools.zip_longest(_faces(manual_dir), read_votes(votes_file))
    sources = [_join(number, face, votes, mode) for number, (face, votes) in enumerate(pairs)]
    _check_agreement(sources)
    yield from (source for _, source in sources)


def read_votes(path: Path) -> Iterator[VoteRow]:
    """The rows of `fer2013new.csv`; raises `InputError` naming the line of one that is not of the format."""
    for where, values in read_table(path, columns=("Usage", "Image name", *COLUMNS)):
        if values["Usage"] not in SPLIT_OF_USAGE:
            expected = ", ".join(SPLIT_OF_USAGE)
            raise InputError(f"{where}: Usage should be one of {expected}", received=repr(values["Usage"][:20]))
        votes = np.array([_count(values[column], where=f"{where}, column {column}") for column in COLUMNS])
        if not 0 < votes.sum() <= VOTERS:
            raise InputError(f"{where} should have the votes of at most {VOTERS} people", received=f"{votes.sum()}")
        yield SPLIT_OF_USAGE[values["Usage"]], values["Image name"], votes


def _count(text: str, *, where: str) -> int:
    if text not in {str(count) for count in range(VOTERS + 1)}:
        raise InputError(f"{where} should be a number of votes from 0 to {VOTERS}", received=repr(text[:20]))
    return int(text)


def _faces(manual_dir: Path) -> Iterator[Example]:
    source = find_source(manual_dir)
    advice = "Put fer2013.csv, icml_face_data.csv or fer2013.tar.gz there, without the image folders."
    cannot = "The image folders of FER2013 cannot be joined with FER+: their file names do not tell the row"
    if source.path.is_dir():
        raise InputError(cannot, received=str(source.path), action=advice)
    for record in source.read():
        if isinstance(record, InputError):
            raise record
        if not record.id.isdecimal():
            raise InputError(cannot, received=f"{source.path.name}: {record.id}", action=advice)
        yield record


def _join(number: int, face: Example | None, votes: VoteRow | None, mode: Mode) -> tuple[str, StillSource | Skip]:
    """The label in FER2013, and the source or skip."""
    if face is None or votes is None:
        ended = "FER2013" if face is None else VOTES_FILE
        raise InputError(
            f"FER2013 and {VOTES_FILE} should have the same number of rows",
            received=f"only {number} rows of {ended}",
            action="Use complete, unchanged copies of both.",
        )
    split, name, counts = votes
    if split != face.split:
        raise InputError(
            f"Data row {number}: Usage should be the same in FER2013 and in {VOTES_FILE}",
            received=f"{face.split} and {split}",
            action="The rows must be in the official order in both.",
        )
    target = target_of(counts, mode) if name else "it has no image name, because no voter saw a face"
    if isinstance(target, str):
        return face.emotion, Skip(split, str(number), target)
    more = {"votes": counts.astype(np.int32), "target": target}
    return face.emotion, StillSource(split=split, id=str(number), picture=face.image, label=label_of(target), more=more)


def _check_agreement(sources: Iterable[tuple[str, StillSource | Skip]]) -> None:
    """Raises `InputError` if the labels of the two files have nothing to do with each other: rows in another order."""
    agreed = [source.label == emotion for emotion, source in sources if isinstance(source, StillSource)]
    if len(agreed) >= ENOUGH_ROWS and np.mean(agreed) < LEAST_AGREEMENT:
        raise InputError(
            f"The labels of FER2013 and {VOTES_FILE} should agree on about two of three faces",
            received=f"they agree on {np.mean(agreed):.0%}, so the rows do not belong together",
            action="The rows must be in the official order in both.",
        )
