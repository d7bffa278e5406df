"""Reads the list of segments: a csv file with one labelled part of a video in each row."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ferkeras.errors import InputError
from tfds_builders.base.source import Skip
from tfds_builders.base.tables import path_inside, read_lines, read_table

SECONDS, FRAMES = ("start", "end"), ("start_frame", "end_frame")
ALWAYS = ("video", "label", "subject")
#: What people call the splits. Without the column `split` all is `train`.
SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Segment:
    """One row.

    Attributes:
        video: Path of the video from the manual directory on.
        start: In seconds after the first frame, or a frame number from 0 on.
        end: The same, and not part of the segment any more.
        label: One of the classes.
        subject: Who is seen.
        group: Such as a country; empty where the list has none.
        split: Split of the prepared data.
        in_frames: Whether `start` and `end` are frame numbers.
    """

    video: str
    start: float
    end: float
    label: str
    subject: str
    group: str
    split: str
    in_frames: bool

    @property
    def id(self) -> str:
        unit = "" if self.in_frames else "s"
        return f"{self.video}@{self.start}{unit}-{self.end}{unit}"


def read_segments(
    root: Path, file: str, *, classes: Sequence[str], leave_out: Collection[str] = ()
) -> Iterator[Segment | Skip]:
    """The rows of `root / file` in their order.

    Args:
        root: The manual directory.
        file: Path of the list from there on.
        classes: The labels that there may be.
        leave_out: Further labels, whose segments are left out.

    Raises:
        InputError: naming the line, for a row that cannot be understood, a video that is not there, or a segment that
            is there twice. Segments of one video may overlap.
    """
    path = root / path_inside(file, where="The option file")
    if not path.is_file():
        raise InputError(
            f"The list of segments {file} is missing", received=str(root), action="The option file names another one."
        )
    columns, lines = _columns(path), dict[str, str]()
    for where, values in read_table(path, columns=columns):
        row = {name.lower(): value for name, value in values.items()}
        segment = parse_segment(row, where=where)
        if segment.id in lines:
            raise InputError(
                "A segment should be there once", received=f"{segment.id} in {lines[segment.id]} and in {where}"
            )
        lines[segment.id] = where
        if not (root / segment.video).is_file():
            raise InputError(f"{where}: the video is missing", received=segment.video)
        if segment.label in leave_out:
            yield Skip(segment.split, segment.id, "label is left out")
        elif segment.label in classes:
            yield segment
        else:
            raise InputError(
                f"{where} should have one of the labels {', '.join(classes)}",
                received=repr(segment.label),
                action="The options classes and leave_out name others.",
            )


def parse_segment(row: dict[str, str], *, where: str) -> Segment:
    """The segment in a row, column -> text; `where` is what messages call it."""
    in_frames = FRAMES[0] in row
    start, end = (_number(row[name], in_frames, where=f"{where}, column {name}") for name in _span(in_frames))
    if end <= start:
        raise InputError(f"{where}: a segment should end after its start", received=f"{start} to {end}")
    for name in ALWAYS:
        if not row[name]:
            raise InputError(f"{where} should have a {name}")
    split = SPLITS.get(row.get("split", "train").lower())
    if split is None:
        raise InputError(f"{where}: a split should be train, validation or test", received=repr(row["split"]))
    return Segment(
        video=path_inside(row["video"], where=where).as_posix(),
        start=start,
        end=end,
        label=row["label"],
        subject=row["subject"],
        group=row.get("group", ""),
        split=split,
        in_frames=in_frames,
    )


def _span(in_frames: bool) -> tuple[str, str]:
    return FRAMES if in_frames else SECONDS


def _number(text: str, in_frames: bool, *, where: str) -> float:
    """A frame number as an int, or seconds as a float: what is written as 012.50 and 12.5 is the same segment."""
    if in_frames:
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            raise InputError(f"{where} should be a frame number from 0 on", received=repr(text[:40]))
        return int(text)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < 1e6:
        raise InputError(f"{where} should be seconds from 0 on, such as 12.5", received=repr(text[:40]))
    return value + 0.0  # -0.0 is 0.0


def _columns(path: Path) -> tuple[str, ...]:
    """The columns that this list must have: those with seconds, unless its header names frames."""
    header = next(read_lines(path), ("", ""))[1]
    names = [name.strip().strip('"').lower() for name in header.split(",")]
    known = [name for name in (*ALWAYS, *SECONDS, *FRAMES, "group", "split") if names.count(name) > 1]
    if known:
        raise InputError(f"{path.name} should name each column once", received=f"{known[0]} twice")
    if set(names) & set(SECONDS) and set(names) & set(FRAMES):
        raise InputError(f"{path.name} should have segments either in seconds or in frames", received=header[:80])
    if ";" in header and "," not in header:
        raise InputError(f"{path.name} should have commas between the columns", received=header[:80])
    video, *rest = ALWAYS
    return (video, *_span(bool(set(names) & set(FRAMES))), *rest)
