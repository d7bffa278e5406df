"""Reads `fer2013.csv` and `icml_face_data.csv`.

Both hold one image per line: emotion code, usage, and 48*48 blank-separated pixels, row by row. They
differ in the order of the columns and in blanks inside the header, so columns are found by name.
"""

import csv
from collections.abc import Iterator
from typing import IO

import numpy as np

from ferkeras.errors import InputError
from ferkeras.labels import FER2013_CODES
from tfds_builders.fer2013.example import SIDE, SPLIT_OF_USAGE, Example, Record

COLUMNS = ("emotion", "pixels", "Usage")
#: Official lines have at most 9.3 kB; the limit keeps a file without line ends out of memory.
MAX_LINE_BYTES = 64 * 1024

_EMOTION_OF_CODE = {str(code): emotion for code, emotion in FER2013_CODES.items()}
#: A table, because `int` also accepts "1_0", "+5" and non-Latin digits. Zero padding is tolerated.
_PIXEL_OF_TEXT = {f"{value:0{width}d}": value for value in range(256) for width in (1, 2, 3)}


def read_csv(stream: IO[bytes], *, name: str) -> Iterator[Record]:
    """Yields one record per data row, in the order of the file.

    Args:
        stream: The csv file, opened for reading bytes.
        name: What messages call the file.

    Raises:
        InputError: For a header without the three columns, or a line too long to be of this format.
            Corrupt rows are yielded as `InputError`, not raised.
    """
    lines = _lines(stream, name)
    columns = _columns(next(lines, ""), name)
    row = 0
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            yield parse_row(line, columns=columns, row=row, where=f"{name}, line {number} (data row {row})")
        except InputError as error:
            yield error
        row += 1


def parse_row(line: str, *, columns: dict[str, int], row: int, where: str) -> Example:
    """Parses one line.

    Args:
        line: The line; its fields may be quoted.
        columns: Position of each of `COLUMNS`, as `read_csv` finds them in the header.
        row: 0-based number of the data row, which becomes the id.
        where: File and row, for messages.

    Raises:
        InputError: If a field is missing, or a code, usage or pixel is not of the format.
    """
    try:
        # One reader per line: an unbalanced quote must not swallow the rows after it.
        fields = next(csv.reader([line]))
    except csv.Error as error:
        raise InputError(f"{where} is not a csv line", received=str(error)) from error
    if len(fields) != len(columns):
        raise InputError(f"{where} should have {len(columns)} fields", received=f"{len(fields)} fields")
    emotion, pixels, usage = (fields[columns[column]].strip() for column in COLUMNS)
    if emotion not in _EMOTION_OF_CODE:
        raise InputError(f"{where}: the emotion code should be 0 to 6", received=repr(emotion[:20]))
    if usage not in SPLIT_OF_USAGE:
        expected = ", ".join(SPLIT_OF_USAGE)
        raise InputError(f"{where}: Usage should be one of {expected}", received=repr(usage[:20]))
    image = _parse_pixels(pixels, where)
    return Example(SPLIT_OF_USAGE[usage], str(row), _EMOTION_OF_CODE[emotion], image)


def _parse_pixels(text: str, where: str) -> np.ndarray:
    """Returns (H, W, C=1) uint8, or raises `InputError`."""
    tokens = text.split()
    if len(tokens) != SIDE * SIDE:
        raise InputError(f"{where} should have {SIDE * SIDE} pixels", received=f"{len(tokens)} pixels")
    try:
        values = bytes(map(_PIXEL_OF_TEXT.__getitem__, tokens))
    except KeyError as error:
        bad = error.args[0]
        raise InputError(
            f"{where}: a pixel should be a whole number from 0 to 255",
            received=f"{bad[:20]!r} as pixel {tokens.index(bad)}",
        ) from None
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE, 1)


def _lines(stream: IO[bytes], name: str) -> Iterator[str]:
    """Yields decoded lines; bytes that are not UTF-8 become signs that no field accepts."""
    while data := stream.readline(MAX_LINE_BYTES):
        if len(data) == MAX_LINE_BYTES:
            raise InputError(
                f"{name} has a line longer than {MAX_LINE_BYTES} bytes, so it is not the FER2013 csv file",
                action="Fetch the file again.",
            )
        yield data.decode("utf-8", errors="replace")


def _columns(header: str, name: str) -> dict[str, int]:
    """Returns the position of every column by its stripped name."""
    fields = [field.strip() for field in next(csv.reader([header.lstrip("\ufeff")], skipinitialspace=True), [])]
    if sorted(fields) != sorted(COLUMNS):
        raise InputError(
            f"{name} should begin with a header naming the columns {', '.join(COLUMNS)}",
            received=repr(header.strip()[:80]),
            action="Use fer2013.csv or icml_face_data.csv; train.csv and test.csv lack the test labels.",
        )
    return {field: position for position, field in enumerate(fields)}
