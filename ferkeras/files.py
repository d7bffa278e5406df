"""Files and folders that are either whole or absent, and that one process at a time writes. Standard library only."""

import contextlib
import ctypes
import errno
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ferkeras.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None  # type: ignore[assignment]

_UNFINISHED = ".unfinished"
_HELD = (errno.EAGAIN, errno.EACCES)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yields a path to write a file or folder to; it becomes `target` if the block succeeds and else goes.

    The path has the name of `target`, since some writers choose their format by it, in a hidden folder beside it,
    which a kill leaves behind (see `remove_unfinished`). A file is on the disk before it takes the place of the old
    one, so that a power cut, too, leaves one of the two; a folder may hold thousands, which would take too long.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=_UNFINISHED, dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        yield unfinished
        unfinished.stat()  # raises, before the old one is touched, if the block wrote nothing
        if unfinished.is_file():
            with unfinished.open("r+b") as file:
                os.fsync(file.fileno())
        if target.is_dir():
            _replace_folder(unfinished, target)
        else:
            unfinished.replace(target)


def write_atomically(path: Path, text: str) -> None:
    """Writes `text` to `path` in UTF-8; a kill leaves the old file or the new one."""
    with staged(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes left of `staged` in `folder`, not below it; only for who holds its lock."""
    for left in folder.glob(f".*{_UNFINISHED}"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def locked(path: Path, *, what: str, action: str) -> Iterator[None]:
    """Holds the lock file `path` for the block; the file, which names the holder, is gone afterwards.

    The lock is `flock`'s on the open file: the system lets go of it however a process ends, so that the file a kill
    leaves behind locks nobody out. Over NFS it holds between hosts where the mount has locks. Where there are none,
    a warning says so and the block runs.

    Args:
        path: Of the lock file, beside what it protects; folders above it are made, and go again if empty.
        what: What is protected, for the message.
        action: What a user who finds it held may do.

    Raises:
        InputError: if another process holds it, with that process's number and host.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _take(path, what=what, action=action)
    try:
        yield
    finally:
        try:
            path.unlink(missing_ok=True)  # while it is held, so that nobody's new lock is removed
            for folder in made:
                with contextlib.suppress(OSError):  # no longer empty
                    folder.rmdir()
        finally:
            os.close(handle)


def _take(path: Path, *, what: str, action: str) -> int:
    """The open lock file, held."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)  # NFS locks only what is open for writing
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), path.stat()):
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return handle
        except FileNotFoundError:
            pass  # its holder ended, and removed it, in between: take a new one
        except OSError as error:
            if error.errno in _NO_LOCKS:
                warnings.warn(f"{path.parent} is on a file system without locks: start nothing twice.", stacklevel=1)
                return handle
            holder = os.read(handle, 300).decode(errors="replace") or "another process"
            os.close(handle)
            if error.errno in _HELD:
                raise InputError(what, received=holder, action=action) from None
            raise
        os.close(handle)


def _replace_folder(new: Path, old: Path) -> None:
    """Puts `new` in the place of the folder `old`, in one step where the system can exchange two names.

    Elsewhere a kill between the two steps leaves the old one in the hidden folder of `staged`.
    """
    if not _exchange(new, old):
        old.rename(new.with_name(f"{new.name}.previous"))
        new.replace(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchanges two names by Linux's `renameat2`; False where that is not to be had."""
    relative_to_here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return rename(relative_to_here, os.fsencode(one), relative_to_here, os.fsencode(other), exchange) == 0
