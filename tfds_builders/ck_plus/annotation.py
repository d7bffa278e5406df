"""Reads the two kinds of text files of CK+ that are used: the emotion of a sequence, and 68 landmarks of a frame."""

import math
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from ferkeras.labels import CK_PLUS_CODES
from tfds_builders.base.source import ZipMember
from tfds_builders.base.tables import read_lines

POINTS = 68


def read_emotion(file: Path | ZipMember) -> str:
    """The emotion in `*_emotion.txt`, which holds one code, written as a float.

    Raises:
        InputError: naming the file, for anything else than one known code.
    """
    lines = list(read_lines(file))
    if len(lines) != 1:
        raise InputError(f"CK+: {file.name} should hold one code", received=f"{len(lines)} lines")
    return parse_emotion(lines[0][1], where=lines[0][0])


def parse_emotion(text: str, *, where: str) -> str:
    """The emotion of a code such as `3.0000000e+00`."""
    (code,) = _numbers(text, 1, where=where)
    if code not in CK_PLUS_CODES:
        raise InputError(f"CK+: {where} should hold a code from 0 to {max(CK_PLUS_CODES)}", received=repr(text))
    return CK_PLUS_CODES[int(code)]


def read_landmarks(file: Path | ZipMember) -> np.ndarray:
    """(68, 2) float32 x, y in pixels of the frame, from the 68 lines of `*_landmarks.txt`.

    Raises:
        InputError: naming file and line, for another number of lines or a line that is not two numbers.
    """
    points = [_numbers(text, 2, where=where) for where, text in read_lines(file)]
    if len(points) != POINTS:
        raise InputError(f"CK+: {file.name} should hold {POINTS} points", received=f"{len(points)} lines")
    return np.array(points, np.float32)


def _numbers(text: str, count: int, *, where: str) -> list[float]:
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if len(values) != count or not all(map(math.isfinite, values)):
        what = "one number" if count == 1 else f"{count} numbers"
        raise InputError(f"CK+: {where} should hold {what}", received=repr(text[:60]))
    return values
