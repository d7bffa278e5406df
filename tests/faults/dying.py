"""A process that is killed at its k-th write, played within this one: from then on nothing it does reaches the disk.

Python tells an audit hook before it opens, renames, links or removes anything. The hook raises at the k-th such
event in a folder and at all later ones, so that no clean-up runs either, just as after `kill -9`. What C++ writes is
not seen; `benchmarks/faults.py` kills real processes.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}
_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Killed(BaseException):
    """Not an `Exception`: nothing may handle it."""


class _Watch:
    """Counts writes below `folder` and raises from number `at` on. A hook stays for good, so there is one of it."""

    def __init__(self) -> None:
        self.folder, self.at, self.count, self.hooked = "", 0, 0, False

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.folder or not args or not isinstance(args[0], str) or not args[0].startswith(self.folder):
            return
        if event in _CHANGES or (event == "open" and args[2] & _TO_WRITE):
            self.count += 1
            if self.at and self.count >= self.at:
                raise Killed


_watch = _Watch()


def writes(action: Callable[[], object], *, below: Path, at: int = 0) -> int:
    """Runs `action` until its write number `at` below a folder (0: to its end); returns how many it came to."""
    if not _watch.hooked:
        sys.addaudithook(_watch)
        _watch.hooked = True
    _watch.folder, _watch.at, _watch.count = str(below), at, 0
    try:
        action()
    except Killed:
        pass
    finally:
        _watch.folder = ""
    return _watch.count


def is_killed(action: Callable[[], object], *, below: Path, at: int) -> bool:
    """As `writes`; False where `action` came to its end before."""
    return writes(action, below=below, at=at) >= at
