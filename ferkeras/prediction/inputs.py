"""What a user names on the command line: pictures and videos as files, folders and patterns, in any mixture."""

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ferkeras.errors import InputError
from ferkeras.pictures import SUFFIXES, is_animated, is_picture

Kind = Literal["picture", "video"]

PICTURE_SUFFIXES = (*SUFFIXES, ".gif")
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".mts", ".m2ts", ".wmv", ".flv", ".ogv"),
    *(".3gp", ".vob"),
)
#: How video files begin, and from which byte on: ISO media (MP4, MOV), Matroska and WebM, AVI, ASF (WMV), Flash, Ogg,
#: MPEG programme and elementary streams.
_VIDEO_MARKS = (
    *((4, b"ftyp"), (4, b"moov"), (4, b"mdat"), (0, b"\x1a\x45\xdf\xa3"), (8, b"AVI "), (0, b"\x30\x26\xb2\x75")),
    *((0, b"FLV"), (0, b"OggS"), (0, b"\x00\x00\x01\xba"), (0, b"\x00\x00\x01\xb3")),
)


@dataclass(frozen=True)
class Input:
    """One file to look at.

    Attributes:
        name: What rows and messages call it: the word as given, for a file of a folder or pattern its path.
        path: The file.
        kind: Which reader it is for; "picture" where there is a problem.
        problem: Why there is nothing to read. The file itself may still turn out damaged.
    """

    name: str
    path: Path
    kind: Kind = "picture"
    problem: InputError | None = None


def find_inputs(words: Sequence[str]) -> list[Input]:
    """The pictures and videos that `words` name: files, folders with all below them, and patterns (`*`, `?`, `**`).

    In the order given; a folder is gone through by name, the files of a folder before the folders in it, and the files
    of a pattern are sorted. A file that is named twice is taken once. In folders and patterns, files with neither a
    picture's nor a video's suffix are passed over, and so is whatever begins with a dot; a file named by itself is
    recognised by its content if its suffix says nothing. A GIF of several frames is a video.

    A word that leads nowhere gives an `Input` with a `problem`, so that the rest can be done.

    Raises:
        InputError: if all words lead nowhere.
    """
    found: dict[str, Input] = {}
    for word in words:
        for given in _of_word(word):
            # Not the target of a link: two links to one file are two names, and each shall have its row.
            found.setdefault(os.path.abspath(given.path), given)
    inputs = list(found.values())
    problems = [given.problem for given in inputs if given.problem is not None]
    if problems and len(problems) == len(inputs):
        raise problems[0]
    return inputs


def _of_word(word: str) -> Iterator[Input]:
    if os.path.isdir(word):
        yield from _of_folder(word)
    elif os.path.isfile(word):
        yield _of_file(word)
    elif os.path.exists(word):
        yield _problem(word, "This is neither a file nor a folder", "A camera is named by its number.")
    else:
        matches = sorted(glob.glob(word, recursive=True)) if glob.has_magic(word) else []
        files = [match for match in matches if _by_suffix(match) and os.path.isfile(match)]
        for file in files:
            yield _of_file(file)
        if not files:
            what = "No picture or video matches this" if matches else "There is no such file"
            yield _problem(word, what, "Name pictures, videos, folders or quoted patterns.")


def _of_folder(folder: str) -> Iterator[Input]:
    empty = True
    closed: list[OSError] = []
    for parent, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if _by_suffix(name) and not name.startswith("."):
                empty = False
                yield _of_file(os.path.join(parent, name))
    for error in closed:
        yield _problem(str(error.filename), "The folder cannot be read", f"{error.strerror}.")
    if empty and not closed:
        suffixes = ", ".join((*PICTURE_SUFFIXES, *VIDEO_SUFFIXES))
        yield _problem(folder, "The folder holds no picture and no video", f"They end in {suffixes}.")


def _of_file(name: str) -> Input:
    path = Path(name)
    try:
        kind = _by_suffix(name) or _by_content(path)
        if path.suffix.lower() == ".gif":
            kind = "video" if is_animated(path) else "picture"
    except OSError as error:
        return _problem(name, "The file cannot be read", f"{error.strerror}.")
    if kind is None:
        return _problem(name, "The file is neither a picture nor a video", "Give a JPEG, PNG or MP4 file, for example.")
    return Input(name, path, kind)


def _by_suffix(name: str) -> Kind | None:
    suffix = Path(name).suffix.lower()
    return "picture" if suffix in PICTURE_SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else None


def _by_content(path: Path) -> Kind | None:
    if is_picture(path):
        return "video" if is_animated(path) else "picture"
    with path.open("rb") as file:
        head = file.read(16)
    return "video" if any(head.startswith(mark, start) for start, mark in _VIDEO_MARKS) else None


def _problem(name: str, what: str, action: str) -> Input:
    return Input(name, Path(name), problem=InputError(what, received=name, action=action))
