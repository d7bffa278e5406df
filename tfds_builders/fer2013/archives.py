"""Opens zip and tar.gz archives in place. Nothing is extracted, so no member can leave its folder."""

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ferkeras.errors import InputError

#: The official csv files have about 300 MB, the images at most 2.4 kB. Larger members are refused unread.
MAX_CSV_BYTES = 1024**3
MAX_IMAGE_BYTES = 64 * 1024

#: What zipfile, tarfile and gzip raise on damaged, truncated, encrypted or unsupported data.
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, RuntimeError)


def damaged(path: Path, error: BaseException) -> InputError:
    """The message for an archive that cannot be read to its end."""
    return InputError(
        f"{path.name} cannot be read to its end, so it is damaged or incomplete",
        received=f"{path} ({error or type(error).__name__})",
        action="Fetch it again.",
    )


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive; raises `InputError` if it has no readable directory."""
    try:
        archive = zipfile.ZipFile(path)
    except DAMAGED as error:
        raise damaged(path, error) from error
    with archive:
        yield archive


def read_zip_image(archive: zipfile.ZipFile, member: zipfile.ZipInfo, *, where: str) -> bytes:
    """Returns the bytes of a small member; raises `InputError` if it is damaged or too large."""
    if member.file_size > MAX_IMAGE_BYTES:
        raise InputError(
            f"{where}: an image file should have at most {MAX_IMAGE_BYTES} bytes",
            received=f"{member.file_size} bytes",
        )
    try:
        return archive.read(member)
    except DAMAGED as error:
        raise InputError(f"{where} cannot be read", received=str(error)) from error


@contextmanager
def open_zip_csv(path: Path, member: str) -> Iterator[IO[bytes]]:
    """Opens one csv file inside a zip archive. Damage met while reading becomes `InputError`."""
    with open_zip(path) as archive:
        _refuse_large(path, member, archive.getinfo(member).file_size)
        try:
            with archive.open(member) as stream:
                yield stream
        except DAMAGED as error:
            raise damaged(path, error) from error


@contextmanager
def open_tar_csv(path: Path, file_name: str) -> Iterator[IO[bytes]]:
    """Opens the csv file of this name inside a tar.gz archive, at any depth. Damage becomes `InputError`."""
    try:
        # "r|gz" reads forward only: the archive is decompressed once.
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                _refuse_large(path, member.name, member.size)
                if member.isfile() and member.name.rpartition("/")[2] == file_name:
                    stream = archive.extractfile(member)
                    if stream is not None:
                        yield stream
                        return
    except DAMAGED as error:
        raise damaged(path, error) from error
    raise InputError(f"{path.name} should hold {file_name}", received=str(path), action="Fetch it again.")


def _refuse_large(path: Path, member: str, size: int) -> None:
    if size > MAX_CSV_BYTES:
        raise InputError(
            f"{path.name}: a member should have at most {MAX_CSV_BYTES} bytes unpacked",
            received=f"{member} with {size} bytes",
        )
