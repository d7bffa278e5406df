"""The table of predictions: one row per face and frame, the same columns in CSV, JSON, JSON lines and Parquet.

Rows are written as they come, so a long input takes no more memory than a short one. A file appears under its name
when it is complete; an interruption (Ctrl-C) keeps the rows so far. On standard output, each row is there at once.
"""

import csv
import json
import math
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
_TEXTS = ("source", "emotion", "path")
#: Rows that are held before they go to a Parquet file together.
ROW_GROUP = 4096

Row = Mapping[str, Any]
Write = Callable[[Row], object]


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
    """A function that takes rows of the table of predictions.

    Args:
        path: `.csv`, `.json` (one array), `.jsonl` (one object a line) or `.parquet`; None: CSV on standard output.
        classes: Names of the probability columns.

    Raises:
        InputError: for another suffix.
    """
    with open_table(path, columns(classes)) as write:
        yield write


@contextmanager
def open_table(path: Path | None, names: Sequence[str]) -> Iterator[Write]:
    """The same for columns `names`: those that this file knows are integers or text, and the rest numbers.

    A value that is absent or not finite is an empty cell, null in JSON and Parquet. Bytes of a file name that are not
    UTF-8 are written as `\\xff`. The function raises `ValueError` for a row with a column that the table has not.
    """
    if path is None:
        yield _cleaned(_csv_writer(sys.stdout, names, flush=True), names)
        return
    check_format(path)
    interruption: KeyboardInterrupt | None = None
    with staged(path) as unfinished, _FORMATS[path.suffix](unfinished, names) as write:
        try:
            yield _cleaned(write, names)
        except KeyboardInterrupt as error:
            interruption = error  # the rows so far are kept
    if interruption is not None:
        raise interruption


def _cleaned(write: Write, names: Sequence[str]) -> Write:
    def write_cleaned(row: Row) -> None:
        if unknown := row.keys() - set(names):
            raise ValueError(f"the table has no column {', '.join(sorted(unknown))}")
        write({name: _clean(row.get(name)) for name in names})

    return write_cleaned


def _clean(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    # Names of files may hold bytes that are no text, which Python keeps as halves of surrogate pairs.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _csv_writer(file: Any, names: Sequence[str], *, flush: bool = False) -> Write:
    writer = csv.DictWriter(file, fieldnames=names, lineterminator="\n")
    writer.writeheader()

    def write(row: Row) -> None:
        writer.writerow(row)
        if flush:
            file.flush()

    return write


@contextmanager
def _csv(path: Path, names: Sequence[str]) -> Iterator[Write]:
    with path.open("w", newline="", encoding="utf-8") as file:
        yield _csv_writer(file, names)


@contextmanager
def _json_lines(path: Path, names: Sequence[str]) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        yield lambda row: file.write(_object(row) + "\n")


@contextmanager
def _json(path: Path, names: Sequence[str]) -> Iterator[Write]:
    with path.open("w", encoding="utf-8") as file:
        separator = "[\n"

        def write(row: Row) -> None:
            nonlocal separator
            file.write(separator + _object(row))
            separator = ",\n"

        yield write
        file.write("[]\n" if separator == "[\n" else "\n]\n")


def _object(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False)


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
            if len(rows) == ROW_GROUP:
                flush()

        yield write
        flush()


_FORMATS = {".csv": _csv, ".json": _json, ".jsonl": _json_lines, ".parquet": _parquet}
