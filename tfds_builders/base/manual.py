"""Looks into the manual directory: case, nesting and strays differ from copy to copy."""

import re
from pathlib import Path

import tensorflow_datasets as tfds

from ferkeras.errors import InputError


def manual_dir_of(dl_manager: tfds.download.DownloadManager, *, title: str) -> Path:
    """The manual directory; raises `InputError` if there is none or it is empty."""
    try:
        return Path(dl_manager.manual_dir)
    except (AssertionError, OSError) as error:
        # TFDS tells an absent or empty folder by AssertionError, a file by NotADirectoryError.
        reason = str(error).splitlines()[0].partition(" Create it")[0]
        raise InputError(
            f"{title} cannot be downloaded by itself",
            received=reason.rstrip("."),
            action="Fetch it as the README.md of the builder tells, and name its folder as manual directory.",
        ) from error


def entries(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted by name, without hidden files and those that systems leave behind."""
    return sorted(path for path in folder.iterdir() if not is_stray(path.name))


def is_stray(name: str) -> bool:
    """Whether a file or folder is hidden or one that systems leave behind."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini", "__macosx")


def find(root: Path, pattern: str, *, depth: int = 3, kind: str = "any") -> list[Path]:
    """Files and folders at most `depth` levels under `root` whose whole name matches `pattern`, whatever its case.

    Args:
        root: Where to begin.
        pattern: A regular expression.
        depth: 1 looks at what lies in `root` itself.
        kind: "file", "folder" or "any".

    Returns:
        The matches, those nearer to `root` first. What lies below a match is not looked at.
    """
    matcher = re.compile(pattern, re.IGNORECASE)
    level, found = [root], []
    for _ in range(depth):
        below: list[Path] = []
        for path in (entry for folder in level for entry in entries(folder)):
            is_folder = path.is_dir()
            if matcher.fullmatch(path.name) and kind in ("any", "folder" if is_folder else "file"):
                found.append(path)
            elif is_folder:
                below.append(path)
        level = below
    return found


def require(found: list[Path], *, title: str, what: str, root: Path) -> Path:
    """The first of `found`; raises `InputError` that says what is missing and what is there instead."""
    if not found:
        names = [path.name for path in entries(root)]
        listing = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise InputError(
            f"{title}: {what} is missing",
            received=f"{root} with {listing or 'nothing in it'}",
            action="The README.md of the builder tells what the folder must hold.",
        )
    return found[0]


def relative(path: Path, root: Path) -> str:
    """An id that does not depend on the machine: the path from the manual directory on."""
    return path.relative_to(root).as_posix()
