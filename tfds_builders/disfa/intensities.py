"""Reads the intensities of the action units of one person: twelve files, `SN001_au1.txt` and so on."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from tfds_builders.base.source import ZipMember
from tfds_builders.base.tables import read_lines
from tfds_builders.disfa.rules import ACTION_UNITS, NO_INTENSITY

#: Frames, counted from 1, first and last, in which the owners say that the tracking of the face failed.
TRACKING_FAILURES: dict[str, tuple[tuple[int, int], ...]] = {
    "SN001": ((398, 420), (3190, 3243)),
    "SN002": ((800, 826),),
    "SN004": ((4541, 4555),),
    "SN006": ((1349, 1405),),
    "SN009": ((1736, 1808), (1851, 1885)),
    "SN011": ((4529, 4533), (4830, 4845)),
    "SN021": (
        (574, 616), (985, 1164), (1190, 1205), (1305, 1338), (1665, 1710), (1862, 2477), (2554, 4657), (4710, 4722),
    ),
    "SN023": ((1021, 1049), (3378, 3557), (3584, 3668), (4547, 4621), (4741, 4772), (4825, 4845)),
    "SN025": ((4596, 4662), (4816, 4835)),
    "SN027": ((3461, 3494), (4738, 4785)),
    "SN028": ((1875, 1885), (4571, 4690)),
    "SN029": ((4090, 4543),),
    "SN030": ((939, 962), (1406, 1422), (2100, 2132), (2893, 2955)),
}  # fmt: skip
STRONGEST = 5
#: A video has 4845 frames: a larger number is an error, and not worth the memory.
MOST_FRAMES = 100_000


def read_intensities(subject: str, files: Mapping[int, Path | ZipMember]) -> np.ndarray:
    """The intensities (T, 12) int32 of the frames 0, 1, 2, ... of a person, in the order of `ACTION_UNITS`.

    The files count frames from 1. `NO_INTENSITY` stands where a file has no line for a frame, and for all action units
    of the frames in `TRACKING_FAILURES`.

    Args:
        subject: Such as `SN001`.
        files: Action unit -> file.

    Raises:
        InputError: if a file is missing, or for anything in one that is not a frame number and an intensity.
    """
    missing = [f"{subject}_au{unit}.txt" for unit in ACTION_UNITS if unit not in files]
    if missing:
        raise InputError(f"DISFA: labels of {subject} are missing", received=", ".join(missing))
    columns = [_read_file(files[unit]) for unit in ACTION_UNITS]
    length = max(max(column, default=0) for column in columns)
    intensities = np.full((length, len(columns)), NO_INTENSITY, np.int32)
    for position, column in enumerate(columns):
        intensities[np.array(list(column), int) - 1, position] = list(column.values())
    for first, last in TRACKING_FAILURES.get(subject, ()):
        intensities[first - 1 : last] = NO_INTENSITY
    return intensities


def _read_file(file: Path | ZipMember) -> dict[int, int]:
    column: dict[int, int] = {}
    for where, text in read_lines(file):
        frame, intensity = parse_line(text, where=where)
        if frame in column:
            raise InputError(f"DISFA: {where} names the frame {frame} for the second time")
        column[frame] = intensity
    return column


def parse_line(text: str, *, where: str) -> tuple[int, int]:
    """Frame number, from 1 on, and intensity, 0 to 5, of a line such as `398,2`; `where` is for messages."""
    words = [word.strip() for word in text.split(",")]
    if len(words) != 2 or not all(word.isascii() and word.isdecimal() and len(word) < 9 for word in words):
        raise InputError(f"DISFA: {where} should be a frame number and an intensity", received=repr(text[:40]))
    frame, intensity = int(words[0]), int(words[1])
    if not 1 <= frame <= MOST_FRAMES:
        raise InputError(f"DISFA: {where} should count frames from 1 to {MOST_FRAMES}", received=repr(text[:40]))
    if intensity > STRONGEST:
        raise InputError(f"DISFA: {where} should have an intensity from 0 to {STRONGEST}", received=repr(text[:40]))
    return frame, intensity
