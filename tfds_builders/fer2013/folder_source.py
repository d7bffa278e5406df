"""Reads the image folders `train/<emotion>/` and `test/<emotion>/`, extracted or inside a zip archive.

`test/` mixes the two official test sets. The prefix of the file name (`PublicTest_123.jpg`) tells them
apart, so the split comes from the prefix, and the folder only has to agree with it.
"""

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.fer2013.archives import MAX_IMAGE_BYTES, open_zip, read_zip_image
from tfds_builders.fer2013.example import SIDE, SPLIT_OF_USAGE, Example, Record

_FOLDER_OF_USAGE = {"Training": "train", "PublicTest": "test", "PrivateTest": "test"}
#: Members of a zip archive, at its top or one folder down.
_MEMBER = re.compile(r"(?:[^/]+/)?((?:train|test)/[^/]+/[^/]+)")
_NAME = re.compile(r"(train|test)/([^/]+)/([^/_]+)_[^/]+\.(?:jpg|jpeg|png)", re.IGNORECASE)

#: Path from `train/` or `test/` on, and a function that reads the file.
Member = tuple[str, Callable[[], bytes]]


def holds_image_folders(folder: Path) -> bool:
    """Whether the folder has `train/` or `test/` with at least one folder named after an emotion."""
    return any((folder / part / emotion).is_dir() for part in ("train", "test") for emotion in EMOTIONS)


def holds_image_members(names: Iterable[str]) -> bool:
    """Whether the names of the members of an archive are those of the image folders."""
    return any(member.split("/")[1] in EMOTIONS for member in map(_member_of, names) if member is not None)


def read_image_folder(root: Path) -> Iterator[Record]:
    """Yields one record per file under `root/train` and `root/test`, by name.

    Raises:
        InputError: For a file of another split. Corrupt files are yielded as `InputError`, not raised.
    """
    paths = sorted(path for part in ("train", "test") for path in root.glob(f"{part}/*/*"))
    members = ((path.relative_to(root).as_posix(), _file_reader(path)) for path in paths)
    return _read(members, name=root.name)


def read_image_zip(path: Path) -> Iterator[Record]:
    """Yields one record per image of a zip archive, by name; reads it in place.

    Raises:
        InputError: For an archive that cannot be opened, or a file of another split. Corrupt members are
            yielded as `InputError`, not raised.
    """
    with open_zip(path) as archive:
        members: list[Member] = []
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            member = _member_of(info.filename)
            if member is not None:
                members.append((member, _zip_reader(archive, info, f"{path.name}: {info.filename!r}")))
        yield from _read(members, name=path.name)


def _read(members: Iterable[Member], *, name: str) -> Iterator[Record]:
    for member, read in members:
        if _is_litter(member):
            continue
        where = f"{name}: {member!r}"
        try:
            folder, emotion, usage = parse_name(member, where=where)
            image = decode_image(read(), where=where)
        except InputError as error:
            yield error
            continue
        if _FOLDER_OF_USAGE[usage] != folder:
            # Not one bad file but a data set put together wrongly: results on it would mislead.
            raise InputError(
                f"{where}: {usage} images belong in {_FOLDER_OF_USAGE[usage]}/, so the splits are mixed up",
                received=f"a {usage} image in {folder}/",
                action="Fetch the data set again, or sort the files by their prefix.",
            )
        yield Example(SPLIT_OF_USAGE[usage], member, emotion, image)


def parse_name(member: str, *, where: str) -> tuple[str, str, str]:
    """Returns folder ("train" or "test"), emotion and usage of a path such as `train/sad/Training_7.jpg`.

    Raises:
        InputError: If the path has another form, or names an unknown emotion or usage.
    """
    match = _NAME.fullmatch(member)
    if match is None:
        raise InputError(f"{where} should be named <Usage>_<number>.jpg", received=repr(member))
    folder, emotion, usage = match.groups()
    if emotion not in EMOTIONS:
        raise InputError(f"{where}: the folder should be one of {', '.join(EMOTIONS)}", received=repr(emotion))
    if usage not in SPLIT_OF_USAGE:
        expected = ", ".join(SPLIT_OF_USAGE)
        raise InputError(f"{where}: the name should begin with one of {expected}", received=repr(usage))
    return folder, emotion, usage


def decode_image(data: bytes, *, where: str) -> np.ndarray:
    """Decodes a JPEG or PNG file to (H=48, W=48, C=1) uint8; colour becomes grey.

    Raises:
        InputError: If the data is damaged, or the image has another size.
    """
    # Some OpenCV versions fill the missing part of a cut-off JPEG with grey and say nothing.
    is_cut_off = data.startswith(b"\xff\xd8") and b"\xff\xd9" not in data
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data and not is_cut_off else None
    if image is None:
        raise InputError(f"{where} is not a complete JPEG or PNG image", received=f"{len(data)} bytes")
    if image.shape != (SIDE, SIDE):
        height, width = image.shape
        raise InputError(f"{where} should have {SIDE}x{SIDE} pixels", received=f"{width}x{height} pixels")
    return image[..., np.newaxis]


def _member_of(name: str) -> str | None:
    """The path from `train/` or `test/` on, or None for what is no file of the image folders."""
    match = _MEMBER.fullmatch(name)
    return match[1] if match and not name.startswith("__MACOSX/") else None


def _is_litter(member: str) -> bool:
    """Files that operating systems drop into folders."""
    name = member.rpartition("/")[2]
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini")


def _zip_reader(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> Callable[[], bytes]:
    return lambda: read_zip_image(archive, info, where=where)


def _file_reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_IMAGE_BYTES + 1)
        except OSError as error:
            raise InputError(f"{path} cannot be read", received=str(error)) from error
        if len(data) > MAX_IMAGE_BYTES:
            raise InputError(f"{path}: an image file should have at most {MAX_IMAGE_BYTES} bytes")
        return data

    return read
