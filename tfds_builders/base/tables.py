"""Reads lists and csv files line by line: constant memory, and every error names file and line."""

import contextlib
import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from ferkeras.errors import InputError
from tfds_builders.base.pictures import DAMAGED, open_archive
from tfds_builders.base.source import ZipMember

#: Keeps a file without line ends out of memory.
MAX_LINE_BYTES = 64 * 1024
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


class Row(NamedTuple):
    """One line of a csv file: `where` names file and line for messages, `values` are stripped texts by column."""

    where: str
    values: dict[str, str]


def read_lines(file: Path | ZipMember) -> Iterator[tuple[str, str]]:
    """What names file and line, and the text, of each line that is not blank; UTF-8 with or without its mark.

    Raises:
        InputError: for a file that cannot be read, is no text, or has too long a line.
    """
    name = file.name.rpartition("/")[2] if isinstance(file, ZipMember) else file.name
    number = 0
    try:
        with _open(file) as stream:
            while data := stream.readline(MAX_LINE_BYTES):
                number += 1
                where = f"{name}, line {number}"
                if len(data) == MAX_LINE_BYTES:
                    raise InputError(f"{where} is longer than {MAX_LINE_BYTES} bytes, so it is another kind of file")
                text = data.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if "\0" in text:
                    raise InputError(f"{where} is no text")
                if text:
                    yield where, text
    except UnicodeDecodeError as error:
        raise InputError(f"{name}, line {number} is no text in UTF-8", received=str(error)) from error
    except FileNotFoundError as error:
        raise InputError(f"There is no file {name}", received=str(file), action="Check the path.") from error
    except (*DAMAGED, KeyError) as error:
        raise InputError(f"{name} cannot be read to its end", received=str(error), action="Fetch it again.") from error


def read_table(file: Path | ZipMember, *, columns: Sequence[str], header: bool = True) -> Iterator[Row]:
    """The rows of a csv file.

    Args:
        file: The file; further columns, and columns in another order, are read as the header says.
        columns: The columns that there must be, in the official order.
        header: False if there are copies without a header: their columns are in the official order.

    Raises:
        InputError: for a column that is missing, or a row with another number of fields than columns.
    """
    names: list[str] | None = None
    for where, text in read_lines(file):
        # One reader per line: an unbalanced quote must not swallow the lines after it.
        try:
            fields = [field.strip() for field in next(csv.reader([text], skipinitialspace=True))]
        except csv.Error as error:
            raise InputError(f"{where} is not a csv line", received=str(error)) from error
        if names is None:
            names = list(columns)
            if {name.lower() for name in columns} <= {field.lower() for field in fields}:
                known = {name.lower(): name for name in columns}
                names = [known.get(field.lower(), field) for field in fields]
                continue
            if header:
                raise InputError(f"{where} should name the columns {', '.join(columns)}", received=repr(text[:80]))
        if len(fields) != len(names):
            raise InputError(f"{where} should have {len(names)} fields", received=f"{len(fields)} fields")
        yield Row(where, dict(zip(names, fields, strict=True)))


def path_inside(text: str, *, where: str) -> PurePosixPath:
    """A relative path in a list; raises `InputError` if it would lead out of the folder it counts from."""
    path = PurePosixPath(text.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.name or _DRIVE.match(text):
        raise InputError(f"{where}: a path should lie inside the data set", received=repr(text[:80]))
    return path


@contextlib.contextmanager
def _open(file: Path | ZipMember) -> Iterator[IO[bytes]]:
    with open_archive(file.archive).open(file.name) if isinstance(file, ZipMember) else file.open("rb") as stream:
        yield stream
