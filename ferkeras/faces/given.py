"""Boxes that the user brings, in the place of a detector."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.detection import Faces

REQUIRED = ("source", "x", "y", "width", "height")
#: x and y of the five landmarks, in the order of `Faces.landmarks`.
LANDMARKS = tuple(f"{point}_{axis}" for point in ("eye1", "eye2", "nose", "mouth1", "mouth2") for axis in "xy")
OPTIONAL = ("frame", "score", *LANDMARKS)


class GivenFaces:
    """Faces of a CSV file with the columns `REQUIRED` and any of `OPTIONAL`: one row for each face.

    Boxes and landmarks are in pixels, frames count from 0 (empty for a still). A source is named by the path that the
    program is given, or by its file name alone where that is unique in the file.

    Raises:
        InputError: if the file cannot be read, a column is missing or unknown, or a value is no number or out of range;
            the message names the line.
    """

    def __init__(self, path: Path) -> None:
        self._rows: dict[tuple[str, int], list[list[float]]] = {}
        try:
            with path.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.DictReader(stream)
                _check_header(path, reader.fieldnames or [])
                for row in reader:
                    self._add(row, where=f"{path.name}, line {reader.line_num}")
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise InputError("The file of boxes cannot be read", received=str(path), action=f"{error}.") from error
        names: dict[str, set[str]] = {}
        for source, _ in self._rows:
            names.setdefault(Path(source).name, set()).add(source)
        self._by_name = {name: found.pop() for name, found in names.items() if len(found) == 1}

    def faces(self, source: str, *, frame: int = 0) -> Faces:
        """Faces of one picture or frame, best score first; none where the file has no row for it."""
        known = source if (source, frame) in self._rows else self._by_name.get(Path(source).name, source)
        rows = np.array(self._rows.get((known, frame), []), np.float32).reshape(-1, 5 + len(LANDMARKS))
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        return Faces(rows[:, :4], rows[:, 4], rows[:, 5:].reshape(-1, 5, 2))

    def _add(self, row: dict[str, str | None], *, where: str) -> None:
        if None in row or None in row.values():
            raise InputError(f"{where}: as many values as columns are expected", received=repr(row))
        if not row["source"]:
            raise InputError(f"{where}: source is empty")
        box = [_number(row, name, where) for name in REQUIRED[1:]]
        if min(box[2:]) <= 0:
            raise InputError(f"{where}: width and height must be above 0", received=f"{box[2]:g} x {box[3]:g}")
        score = _number(row, "score", where) if row.get("score") else 1.0
        if not 0 <= score <= 1:
            raise InputError(f"{where}: score must be in [0, 1]", received=f"{score:g}")
        frame = _number(row, "frame", where) if row.get("frame") else 0.0
        if frame < 0 or frame != int(frame):
            raise InputError(f"{where}: frame must be a whole number from 0 on", received=f"{frame:g}")
        points = [_number(row, name, where) if row.get(name) else math.nan for name in LANDMARKS]
        self._rows.setdefault((str(row["source"]), int(frame)), []).append([*box, score, *points])


def _check_header(path: Path, names: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in names]
    unknown = [name for name in names if name not in (*REQUIRED, *OPTIONAL)]
    if missing or unknown or len(set(names)) != len(names):
        raise InputError(
            f"{path.name} should have the columns {', '.join(REQUIRED)} and may have {', '.join(OPTIONAL)}",
            received=", ".join(names) or "an empty file",
        )


def _number(row: dict[str, str | None], name: str, where: str) -> float:
    text = row[name] or ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{where}: {name} must be a number", received=repr(text))
    return value
