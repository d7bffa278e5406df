"""Pictures by class in a folder, or in zip archives, which are read in place."""

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ferkeras.errors import InputError
from ferkeras.pictures import MAX_BYTES, SUFFIXES, decode_picture, read_picture

#: What zipfile raises on damaged, truncated, encrypted or unsupported data.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)


class Picture(NamedTuple):
    """A picture and its class, which is the folder that it lies in.

    Attributes:
        path: From the folder on, with slashes; an archive counts as a folder: `crawled.zip/happy/1.jpg`. The data set
            `face_folder` calls it the same.
        label: The class.
    """

    path: str
    label: str


class _Member(NamedTuple):
    archive: zipfile.ZipFile
    info: zipfile.ZipInfo


class Collection:
    """What was found.

    Attributes:
        pictures: Sorted by path.
        loose: Paths of pictures that lie in no class folder and are left out.
    """

    def __init__(self, files: Mapping[str, Path | _Member]) -> None:
        labels = {path: PurePosixPath(path).parent.name for path in sorted(files)}
        self.loose = tuple(path for path, label in labels.items() if not label or label.lower().endswith(".zip"))
        left_out = set(self.loose)
        self.pictures = tuple(Picture(path, label) for path, label in labels.items() if path not in left_out)
        self._files = files

    def read(self, path: str) -> np.ndarray:
        """(H, W, 1 or 3) uint8 of one picture; raises `InputError` if it cannot be read."""
        file = self._files[path]
        if isinstance(file, Path):
            return read_picture(file)
        if file.info.file_size > MAX_BYTES:
            raise InputError(f"A picture may have {MAX_BYTES // 1024**2} MiB", received=path)
        try:
            data = file.archive.read(file.info)
        except _DAMAGED as error:
            raise InputError("The picture cannot be read", received=path, action=f"{error}.") from error
        return decode_picture(data, name=path)


@contextmanager
def open_collection(root: Path) -> Iterator[Collection]:
    """The pictures below a folder and in zip archives there, or in one archive; hidden files are passed over.

    Raises:
        InputError: if it is neither, an archive is damaged, or no picture lies in a class folder.
    """
    if not root.exists():
        raise InputError("There is no such folder or zip archive", received=str(root))
    found = sorted(path for path in root.rglob("*") if path.is_file()) if root.is_dir() else [root]
    base = root if root.is_dir() else root.parent
    with ExitStack() as stack:
        files: dict[str, Path | _Member] = {}
        for path in found:
            name = path.relative_to(base).as_posix()
            if _is_hidden(name):
                continue
            if path.suffix.lower() == ".zip" or path == root:
                files |= {f"{name}/{member}": file for member, file in _members(path, stack)}
            elif path.suffix.lower() in SUFFIXES:
                files[name] = path
        collection = Collection(files)
        if not collection.pictures:
            raise InputError(
                "There are no pictures in folders named after their classes",
                received=str(root),
                action=f"Put them in <class>/ or <split>/<class>/; they end in {', '.join(SUFFIXES)}.",
            )
        yield collection


def _members(path: Path, stack: ExitStack) -> Iterator[tuple[str, _Member]]:
    """Pictures in an archive, which stays open; without those that also lie extracted beside it."""
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except _DAMAGED as error:
        action = f"{error}. Fetch it again."
        raise InputError("The zip archive cannot be read", received=str(path), action=action) from error
    for info in archive.infolist():
        name = info.filename
        extracted = (path.parent / name).exists() or (path.with_suffix("") / name).exists()
        if name.lower().endswith(SUFFIXES) and not _is_hidden(name) and not extracted:
            yield name, _Member(archive, info)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
