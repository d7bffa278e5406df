"""Reads the three kinds of annotation files of Aff-Wild2: a header, then one line for each frame of the video."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from ferkeras.labels import AFF_WILD2_CODES, EMOTIONS, NO_CLASS, canonical
from ferkeras.pictures import MAX_BYTES

#: The action units of the challenge from ABAW 2 on, in the order of the feature `action_units`.
ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 6, 7, 10, 12, 15, 23, 24, 25, 26)
#: In a file: valence or arousal of a frame without annotation, and a class or action unit of one.
NO_VALUE, NOT_ANNOTATED = -5.0, -1
#: An expression that is none of the emotions, from ABAW 3 on.
OTHER = 7


def read_valence_arousal(file: Path) -> np.ndarray:
    """(T, 2) float32 valence and arousal in [-1, 1]; both NaN where one of them is not annotated.

    Raises:
        InputError: naming file and line, for anything else.
    """
    header, lines = _lines(file)
    if [word.strip().lower() for word in header.split(",")] != ["valence", "arousal"]:
        raise InputError(f"Aff-Wild2: {file.name} should begin with valence,arousal", received=repr(header[:60]))
    return _values(file, lines, parse_valence_arousal, (2,), np.float32)


def parse_valence_arousal(text: str, *, where: str) -> tuple[float, float]:
    """The numbers in a line such as `0.25,-0.5`; `where` is what messages call it."""
    try:
        valence, arousal = map(float, text.split(","))
    except ValueError as error:
        raise InputError(f"Aff-Wild2: {where} should be two numbers", received=repr(text[:40])) from error
    for value in (valence, arousal):
        if not (-1 <= value <= 1 or value == NO_VALUE):
            what = "valence and arousal from -1 to 1, or -5"
            raise InputError(f"Aff-Wild2: {where} should have {what}", received=repr(text[:40]))
    return (math.nan, math.nan) if NO_VALUE in (valence, arousal) else (valence, arousal)


def read_expressions(file: Path) -> np.ndarray:
    """(T,) int8 positions in `EMOTIONS`; `NO_CLASS` for frames without annotation and for `OTHER`.

    Raises:
        InputError: naming file and line, for anything but a known code, or a header with classes in another order.
    """
    header, lines = _lines(file)
    names = [canonical(word) for word in header.split(",")][: len(AFF_WILD2_CODES)]
    if names != list(AFF_WILD2_CODES.values()):
        expected = ", ".join(AFF_WILD2_CODES.values())
        raise InputError(f"Aff-Wild2: {file.name} should begin with the classes {expected}", received=repr(header[:90]))
    return _values(file, lines, parse_expression, (), np.int8)


def parse_expression(text: str, *, where: str) -> int:
    """The position in `EMOTIONS` of a code such as `4`."""
    code = _integer(text, where=where)
    if code in (NOT_ANNOTATED, OTHER):
        return NO_CLASS
    if code not in AFF_WILD2_CODES:
        raise InputError(f"Aff-Wild2: {where} should have a code from -1 to {OTHER}", received=repr(text[:40]))
    return EMOTIONS.index(AFF_WILD2_CODES[code])


def read_action_units(file: Path) -> np.ndarray:
    """(T, 12) int8 of 0 and 1 in the order of `ACTION_UNITS`, -1 where there is no annotation.

    The header says which units the columns are: ABAW 1 has eight, of which seven are among the twelve.

    Raises:
        InputError: naming file and line, for anything else.
    """
    header, lines = _lines(file)
    units = [word.strip().upper() for word in header.split(",")]
    if not all(unit.startswith("AU") and unit[2:].isdecimal() for unit in units) or len(set(units)) < len(units):
        raise InputError(
            f"Aff-Wild2: {file.name} should begin with action units such as AU1,AU2", received=repr(header[:90])
        )

    def parse(text: str, *, where: str) -> tuple[int, ...]:
        return parse_action_units(text, len(units), where=where)

    said = _values(file, lines, parse, (len(units),), np.int8)
    found = np.full((len(said), len(ACTION_UNITS)), NOT_ANNOTATED, np.int8)
    for position, unit in enumerate(ACTION_UNITS):
        if f"AU{unit}" in units:
            found[:, position] = said[:, units.index(f"AU{unit}")]
    return found


def parse_action_units(text: str, count: int, *, where: str) -> tuple[int, ...]:
    """The `count` values, each -1, 0 or 1, of a line."""
    values = tuple(_integer(word, where=where) for word in text.split(","))
    if len(values) != count or not all(value in (NOT_ANNOTATED, 0, 1) for value in values):
        raise InputError(f"Aff-Wild2: {where} should have {count} values -1, 0 or 1", received=repr(text[:60]))
    return values


def _integer(text: str, *, where: str) -> int:
    word = text.strip()
    if not (word.isascii() and word.removeprefix("-").isdecimal() and len(word) < 4):
        raise InputError(f"Aff-Wild2: {where} should have whole numbers", received=repr(text[:40]))
    return int(word)


def _lines(file: Path) -> tuple[str, list[str]]:
    """The header and the lines after it. Their number is that of the frame: a blank one between others is kept."""
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"Aff-Wild2: {file.name} may have {MAX_BYTES // 1024**2} MiB")
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"Aff-Wild2: {file.name} is no text in UTF-8", received=str(error)) from error
    header, *lines = text.rstrip().replace("\r\n", "\n").split("\n")
    return header, lines


def _values(
    file: Path, lines: list[str], parse: Callable[..., object], shape: tuple[int, ...], kind: type
) -> np.ndarray:
    found = [parse(text, where=f"{file.name}, line {number}") for number, text in enumerate(lines, start=2)]
    return np.array(found, kind).reshape(-1, *shape)
