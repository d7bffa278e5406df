"""Loads a picture of a source, whether it lies in a folder, in a zip archive or in a video."""

import functools
import zipfile
import zlib
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from ferkeras.pictures import MAX_BYTES, decode_picture, read_picture
from tfds_builders.base.source import Picture, VideoFrame, ZipMember
from tfds_builders.base.videos import read_frame

#: What zipfile raises on damaged, truncated, encrypted or unsupported data.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


def load_picture(picture: Picture) -> np.ndarray:
    """The pixels (H, W, 1 or 3) uint8; raises `InputError` if they cannot be read."""
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, ZipMember):
        name = f"{picture.archive.name}: {picture.name}"
        return decode_picture(read_member(picture), name=name)
    if isinstance(picture, VideoFrame):
        return read_frame(picture)
    return read_picture(picture)


def read_member(member: ZipMember) -> bytes:
    """The bytes of a file in a zip archive, which is not extracted; raises `InputError` if it is damaged or large."""
    name = f"{member.archive.name}: {member.name}"
    try:
        archive = open_archive(member.archive)
        info = archive.getinfo(member.name)
        if info.file_size > MAX_BYTES:
            raise InputError(f"A file may have {MAX_BYTES // 1024**2} MiB", received=name)
        return archive.read(info)
    except (*DAMAGED, KeyError) as error:
        raise InputError("The file in the archive cannot be read", received=name, action=f"{error}.") from error


@functools.lru_cache(maxsize=8)
def open_archive(path: Path) -> zipfile.ZipFile:
    """An archive that stays open: its directory of many thousand names is read once in a process."""
    try:
        return zipfile.ZipFile(path)
    except DAMAGED as error:
        raise InputError(
            "The zip archive cannot be read, it is damaged or incomplete",
            received=f"{path.name} ({error})",
            action="Fetch it again.",
        ) from error
