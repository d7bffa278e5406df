"""Every file of a manual directory by its path, those inside zip archives too: a layout is then a pattern of paths."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ferkeras.errors import InputError
from tfds_builders.base.manual import entries, is_stray
from tfds_builders.base.pictures import open_archive
from tfds_builders.base.source import ZipMember

#: Folders inside folders; deeper ones are no layout of any data set, or links that lead in a circle.
MAX_DEPTH = 12


def list_files(root: Path) -> dict[str, Path | ZipMember]:
    """Path from `root` on -> file, sorted by path, without hidden files and strays of operating systems.

    A zip archive is listed as if it were a folder (`Image/aligned.zip/aligned/x.jpg`) and read in place. A member that
    also lies extracted, beside the archive or in a folder of its name, is listed once: as the extracted file.

    Raises:
        InputError: if an archive is damaged.
    """
    return dict(sorted((path, file) for path, file in _walk(root, PurePosixPath())))


def _walk(folder: Path, path: PurePosixPath) -> Iterator[tuple[str, Path | ZipMember]]:
    if len(path.parts) > MAX_DEPTH:
        raise InputError(f"There are more than {MAX_DEPTH} folders inside each other", received=path.as_posix())
    for entry in entries(folder):
        if entry.is_dir():
            yield from _walk(entry, path / entry.name)
        elif entry.suffix.lower() == ".zip":
            yield from _members(entry, path / entry.name)
        else:
            yield (path / entry.name).as_posix(), entry


def _members(archive: Path, path: PurePosixPath) -> Iterator[tuple[str, Path | ZipMember]]:
    for name in open_archive(archive).namelist():
        parts = PurePosixPath(name).parts
        is_plain = not (name.endswith("/") or name.startswith("/") or any(is_stray(part) for part in parts))
        extracted = (archive.parent / name, archive.with_suffix("") / name)
        if is_plain and not any(file.exists() for file in extracted):
            yield (path / name).as_posix(), ZipMember(archive, name)
