"""Finds which of the published layouts of FER2013 a folder holds.

Where there are several, the first of this order is read, and a warning names the others:
1. `fer2013.csv`, 2. `icml_face_data.csv`, 3. `fer2013.tar.gz`, 4. the folders `train/` and `test/`,
5. a zip archive of any name with one of the csv files or the two folders inside.
Each is looked for in the folder itself, then one folder down.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ferkeras.errors import InputError
from tfds_builders.fer2013.archives import open_tar_csv, open_zip, open_zip_csv
from tfds_builders.fer2013.csv_source import read_csv
from tfds_builders.fer2013.example import Record
from tfds_builders.fer2013.folder_source import (
    holds_image_folders,
    holds_image_members,
    read_image_folder,
    read_image_zip,
)

CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
TAR_NAME = "fer2013.tar.gz"
_CSV_MEMBER = re.compile(rf"(?:[^/]+/)?(?:{'|'.join(map(re.escape, CSV_NAMES))})")


class Source(NamedTuple):
    """One copy of the data set: its path, and a function that reads it from the start."""

    path: Path
    read: Callable[[], Iterator[Record]]


def find_source(manual_dir: Path) -> Source:
    """Returns the copy of FER2013 to read.

    Args:
        manual_dir: The folder that holds the files, as they were fetched.

    Raises:
        InputError: If the folder is absent or empty, holds no known layout, or only a damaged archive.
    """
    if not manual_dir.is_dir() or not any(manual_dir.iterdir()):
        raise InputError(
            "The folder with the FER2013 files does not exist or is empty",
            received=str(manual_dir),
            action=f"Put {_expected()} there.",
        )
    found: list[Source] = []
    broken: list[InputError] = []
    for path in _candidates(manual_dir):
        try:
            source = _inspect(path)
        except InputError as error:
            broken.append(error)
        else:
            found += [source] if source else []
    if found:
        _tell_ignored(found, manual_dir)
        return found[0]
    if broken:
        raise broken[0]
    entries = sorted(path.name for path in manual_dir.iterdir())
    listing = ", ".join(entries[:5]) + (f" and {len(entries) - 5} more" if len(entries) > 5 else "")
    raise InputError(
        f"No known layout of FER2013 in {manual_dir}", received=listing, action=f"Put {_expected()} there."
    )


def _candidates(manual_dir: Path) -> Iterator[Path]:
    """Paths at which a copy may lie, best first."""
    folders = [manual_dir, *sorted(path for path in manual_dir.iterdir() if path.is_dir())]
    for name in (*CSV_NAMES, TAR_NAME):
        yield from (folder / name for folder in folders if (folder / name).is_file())
    yield from folders
    for folder in folders:
        yield from sorted(path for path in folder.glob("*.zip") if path.is_file())


def _inspect(path: Path) -> Source | None:
    """Returns how to read what lies at the path, or None if it is not FER2013."""
    if path.is_dir():
        return Source(path, partial(read_image_folder, path)) if holds_image_folders(path) else None
    if path.suffix == ".csv":
        return Source(path, partial(_read_csv_file, path))
    if path.name == TAR_NAME:
        return Source(path, partial(_read_csv_tar, path))
    with open_zip(path) as archive:
        names = archive.namelist()
    csv_members = sorted(filter(_CSV_MEMBER.fullmatch, names), key=lambda name: name.rpartition("/")[2])
    if csv_members:
        return Source(path, partial(_read_csv_zip, path, csv_members[0]))
    return Source(path, partial(read_image_zip, path)) if holds_image_members(names) else None


def _read_csv_file(path: Path) -> Iterator[Record]:
    with path.open("rb") as stream:
        yield from read_csv(stream, name=path.name)


def _read_csv_tar(path: Path) -> Iterator[Record]:
    with open_tar_csv(path, CSV_NAMES[0]) as stream:
        yield from read_csv(stream, name=f"{path.name}: {CSV_NAMES[0]}")


def _read_csv_zip(path: Path, member: str) -> Iterator[Record]:
    with open_zip_csv(path, member) as stream:
        yield from read_csv(stream, name=f"{path.name}: {member}")


def _tell_ignored(found: list[Source], manual_dir: Path) -> None:
    if len(found) > 1:
        taken, *others = (source.path.relative_to(manual_dir).as_posix() for source in found)
        warnings.warn(
            f"FER2013 lies in {manual_dir} more than once. Read: {taken}. Ignored: {', '.join(others)}.",
            stacklevel=3,
        )


def _expected() -> str:
    return f"{', '.join(CSV_NAMES)}, {TAR_NAME}, the folders train/ and test/, or a zip archive of them"
