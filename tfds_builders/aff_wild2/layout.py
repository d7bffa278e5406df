"""Finds annotations, cropped faces and videos of Aff-Wild2, whose folders have other names every year.

`VA_Estimation_Challenge/Train_Set/<video>.txt` is an annotation, `cropped_aligned/<video>/00001.jpg` the face of the
first frame. Two people of one video have the names `<video>_left` and `<video>_right`.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ferkeras.errors import InputError
from tfds_builders.base.manual import entries, find, relative
from tfds_builders.base.source import Skip

KINDS = ("VA", "EXPR", "AU")
_ANNOTATIONS = re.compile(r"(VA|EXPR|AU)_.+", re.IGNORECASE)
_SET = re.compile(r"(Train|Val)[a-z]*_Set", re.IGNORECASE)
_CROPPED = re.compile(r"cropped.*", re.IGNORECASE)
_ALIGNED = re.compile(r"cropped[_-]?aligned.*", re.IGNORECASE)
_VIDEO = re.compile(r".+\.(mp4|avi|mov|mkv|webm)", re.IGNORECASE)
_SIDE = re.compile(r"(.+)_(left|right)", re.IGNORECASE)
#: Folders below the manual directory in which annotations and videos may lie.
DEPTH = 5


class Folders(NamedTuple):
    """What there is: folders of annotations, folders with faces by person, and video files by name without suffix."""

    annotations: tuple[Path, ...]
    cropped: Mapping[str, Path]
    videos: Mapping[str, Path]


@dataclass(frozen=True)
class Person:
    """One person in one video.

    Attributes:
        name: That of the annotation files, such as `5-60-1920x1080_left`.
        split: `train` or `validation`.
        files: Kind of annotation -> file.
    """

    name: str
    split: str
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def video(self) -> str:
        """Name of the video: that of the person without the side."""
        match = _SIDE.fullmatch(self.name)
        return match[1] if match else self.name

    @property
    def side(self) -> str | None:
        """`left` or `right` where there are two people."""
        match = _SIDE.fullmatch(self.name)
        return match[2].lower() if match else None


def find_folders(root: Path) -> Folders:
    """Looks through the manual directory, but not into the folders with millions of faces.

    Raises:
        InputError: if two videos or two folders of faces have the same name.
    """
    pattern = "|".join(f"(?:{rule.pattern})" for rule in (_ANNOTATIONS, _CROPPED, _VIDEO))
    annotations: list[Path] = []
    cropped: dict[str, Path] = {}
    videos: dict[str, Path] = {}
    for path in find(root, pattern, depth=DEPTH):
        if path.is_file():
            if _VIDEO.fullmatch(path.name):
                _add(videos, path.stem, path, root)
        elif _ALIGNED.fullmatch(path.name):
            for folder in _people(path):
                _add(cropped, folder.name, folder, root)
        elif _ANNOTATIONS.fullmatch(path.name):
            annotations.append(path)
    return Folders(tuple(annotations), cropped, videos)


def _people(cropped: Path) -> Iterator[Path]:
    """One folder for each person; an archive extracted into a folder of its name lies one level deeper."""
    for folder in entries(cropped):
        if folder.is_dir():
            yield from _people(folder) if _ALIGNED.fullmatch(folder.name) else [folder]


def read_people(folders: Folders, root: Path, *, kinds: Collection[str]) -> Iterator[Person | Skip]:
    """Everybody with an annotation of one of `kinds`, by name.

    The three challenges have parted the videos each in its own way. A video that is in the validation set of any of
    `kinds` is in `validation` with its annotations from validation sets, and those from training sets are left out: so
    no video is in two splits, and the validation sets are the official ones.

    Raises:
        InputError: if there is no annotation, or a person has two of one kind.
    """
    files: dict[tuple[str, str, str], Path] = {}
    for folder in folders.annotations:
        kind = folder.name.partition("_")[0].upper()
        for split_folder in find(folder, _SET.pattern, depth=2, kind="folder") if kind in kinds else ():
            split = "train" if split_folder.name.lower().startswith("train") else "validation"
            for path in entries(split_folder):
                if path.suffix.lower() == ".txt":
                    _add(files, (path.stem, kind, split), path, root)
    if not files:
        raise _unknown(root, kinds)
    people: dict[str, dict[tuple[str, str], Path]] = {}
    for (name, kind, split), path in sorted(files.items()):
        people.setdefault(name, {})[kind, split] = path
    held_out = {Person(name, "").video for name, _, split in files if split == "validation"}
    for name, found in people.items():
        split = "validation" if Person(name, "").video in held_out else "train"
        kept = {kind: path for (kind, of_split), path in found.items() if of_split == split}
        for (_, of_split), path in found.items():
            if of_split != split:
                yield Skip(of_split, relative(path, root), "its video is in a validation set")
        if kept:
            yield Person(name, split, kept)


def _add(paths: dict[Any, Path], key: Any, path: Path, root: Path) -> None:
    if key in paths:
        raise InputError(
            "Aff-Wild2: something lies there twice, perhaps of two years",
            received=f"{relative(paths[key], root)} and {relative(path, root)}",
            action="Keep one of them.",
        )
    paths[key] = path


def _unknown(root: Path, kinds: Collection[str]) -> InputError:
    there = ", ".join(path.name for path in entries(root)[:5])
    return InputError(
        f"Aff-Wild2: there should be annotations of {', '.join(kinds)}, in folders such as VA_.../Train_Set",
        received=there or "nothing",
        action="The README.md of the builder tells what the folder must hold.",
    )
