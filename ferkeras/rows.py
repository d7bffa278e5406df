"""The table of predictions: one row per face and frame, the same columns in CSV, JSON, JSON lines and Parquet.

Rows are written as they come, so a long input takes no more memory than a short one. A file appears under its name
when it is complete; an interruption keeps the rows so far.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ferkeras.errors import InputError
from ferkeras.files import staged

#: Columns before and after the one per class.
BEFORE = (
    *("source", "frame", "time_s", "track_id", "face_found", "x", "y", "width", "height", "detector_score"),
    "emotion",
)
AFTER = ("valence", "arousal")
_INTEGERS = ("frame", "track_id", "face_found")
_TEXTS = ("source", "emotion")

Row = Mapping[str, Any]
Write = Callable[[Row], None]


def columns(classes: Sequence[str]) -> tuple[str, ...]:
    """All column names for the probabilities of `classes`."""
    return (*BEFORE, *classes, *AFTER)


def check_format(path: Path | None) -> None:
    """Raises `InputError` where `open_writer` would, before any work is done."""
    if path is not None and path.suffix not in _FORMATS:
        raise InputError(
            "The output file has an unknown format", received=str(path), action=f"Use {', '.join(_FORMATS)}."
        )


@contextmanager
def open_writer(path: Path | None, *, classes: Sequence[str]) -> Iterator[Write]:
    """A function that takes rows; an absent value is an empty cell, null in JSON and Parquet.

    Args:
        path: `.csv`, `.json` (one array), `.jsonl` (one object a line) or `.parquet`; None: CSV on standard output.
        classes: Names of the probability columns.

    Raises:
        InputError: for another suffix.
    """
    names = columns(classes)
    if path is None:
        yield _csv_writer(sys.stdout, names)
        return
    check_format(path)
    interruption: KeyboardInterrupt | None = None
    with staged(path) as unfinished, _FORMATS[path.suffix](unfinished, names) as write:
        try:
            yield write
        except KeyboardInterrupt as error:
            interruption = error  # the rows so far are kept
    if interruption is not None:
        raise interruption


def _csv_writer(file: Any, names: Sequence[str]) -> Write:
    writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    return writer.writerow


@contextmanager
def _csv(path: Path, names: Sequence[str]) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        yield _csv_writer(file, names)


@contextmanager
def _json_lines(path: Path, names: Sequence[str]) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda row: print(_object(row, names), file=file)


@contextmanager
def _json(path: Path, names: Sequence[str]) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"

        def write(row: Row) -> None:
            nonlocal separator
            file.write(separator + _object(row, names))
            separator = ",\n"

        yield write
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _object(row: Row, names: Sequence[str]) -> str:
    return json.dumps({name: row.get(name) for name in names}, ensure_ascii=False)


@contextmanager
def _parquet(path: Path, names: Sequence[str]) -> Iterator[Write]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {**dict.fromkeys(_INTEGERS, pa.int64()), **dict.fromkeys(_TEXTS, pa.string())}
    schema = pa.schema([(name, kinds.get(name, pa.float64())) for name in names])
    with pq.ParquetWriter(path, schema) as writer:
        rows: list[Row] = []

        def flush() -> None:
            if rows:
                writer.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema))
                rows.clear()

        def write(row: Row) -> None:
            rows.append(row)
            if len(rows) == 1024:
                flush()

        yield write
        flush()


_FORMATS = {".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".parquet": _parquet}
