"""Finds the pictures of TFEID in a folder; what each shows is told by the names of its file and class folder.

`dfh_gray/dfh_anger_g/f01_dfh_ag.jpg`: actor f01, set dfh, letter a for anger, rendering g.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ferkeras.errors import InputError
from ferkeras.labels import TFEID_WORDS
from ferkeras.pictures import SUFFIXES
from tfds_builders.base.listing import list_files
from tfds_builders.base.source import Skip, StillSource, ZipMember

SPLIT = "train"
_NAME = re.compile(r"([fm]\d{2})_([a-z]+)_([a-z])\w*", re.IGNORECASE)
_FOLDER = re.compile(rf"(?:[a-z]+_)?({'|'.join(TFEID_WORDS)})(?:_([a-z]))?", re.IGNORECASE)
#: The letter in a file name stands for a word; that of contempt is not known.
_LETTERS = {
    "a": "anger", "d": "disgust", "f": "fear", "h": "happiness", "n": "neutral", "s": "sadness", "p": "surprise",
}  # fmt: skip
#: The other Taiwanese database that goes by this name: performer, type, view, letter, serial number; and its table.
_NTU = re.compile(r"\d{2}[1-3][1-3]_?[a-g]_?\d{2}|image_info", re.IGNORECASE)


class Name(NamedTuple):
    """What the path of a picture tells.

    Attributes:
        subject: Actor, `f01` to `m20`.
        set: Kind of pictures: `dfh` is frontal, at high intensity.
        emotion: By the class folder, or by the letter where there is no class folder.
        contradicted: Whether the letter names another emotion than the folder.
        rendering: The folder that holds the class folders, and their suffix: x and g are the same pictures.
    """

    subject: str
    set: str
    emotion: str
    contradicted: bool
    rendering: tuple[str, str]


def read_tfeid(manual_dir: Path, *, sets: tuple[str, ...]) -> Iterator[StillSource | Skip]:
    """Every picture, by path; those of other sets, of a second rendering and with odd names are left out.

    Raises:
        InputError: for the other Taiwanese database, a folder without pictures of TFEID, or a picture of no class.
    """
    files = list_files(manual_dir)
    pictures = [path for path in files if path.lower().endswith(SUFFIXES)]
    names = {path: parse_path(path) for path in pictures}
    _check_layout(files, names, manual_dir)
    best = _best_renderings([name for name in names.values() if name is not None])
    for path, name in names.items():
        if name is None:
            yield Skip(SPLIT, path, "its name is none of TFEID")
        elif name.set not in sets:
            yield Skip(SPLIT, path, f"of the set {name.set}, which is not asked for")
        elif name.rendering != best[name.set]:
            yield Skip(SPLIT, path, f"a second rendering of the set {name.set}")
        elif name.contradicted:
            yield Skip(SPLIT, path, "file name and folder name different emotions")
        else:
            yield StillSource(split=SPLIT, id=path, picture=files[path], label=name.emotion, subject=name.subject)


def parse_path(path: str) -> Name | None:
    """What a path tells, None if the file is named in another way.

    Raises:
        InputError: if neither a folder nor the letter tells the emotion.
    """
    parts = PurePosixPath(path)
    match = _NAME.fullmatch(parts.stem)
    if match is None:
        return None
    subject, name_of_set, letter = (text.lower() for text in match.groups())
    by_letter = TFEID_WORDS[_LETTERS[letter]] if letter in _LETTERS else None
    for folder in parts.parents:
        if found := _FOLDER.fullmatch(folder.name):
            emotion = TFEID_WORDS[found[1].lower()]
            # How files of contempt are lettered is not known, so no letter contradicts that folder.
            contradicted = by_letter not in (None, emotion) and emotion != "contempt"
            rendering = (folder.parent.as_posix(), (found[2] or "").lower())
            return Name(subject, name_of_set, emotion, contradicted, rendering)
    if by_letter is None:
        raise InputError(
            f"{path}: neither a folder such as dfh_anger_g nor the letter after the last _ tells the emotion",
            received=repr(letter),
            action=f"Known letters: {', '.join(_LETTERS)}.",
        )
    return Name(subject, name_of_set, by_letter, False, (parts.parent.as_posix(), ""))


def _best_renderings(names: list[Name]) -> dict[str, tuple[str, str]]:
    """For each set the rendering with the most pictures; of equal ones x (colour, it seems), then the first by name."""
    counts: dict[str, dict[tuple[str, str], int]] = defaultdict(lambda: defaultdict(int))
    for name in names:
        counts[name.set][name.rendering] += 1
    return {
        name_of_set: min(found, key=lambda rendering: (-found[rendering], rendering[1] != "x", rendering))
        for name_of_set, found in counts.items()
    }


def _check_layout(files: dict[str, Path | ZipMember], names: dict[str, Name | None], manual_dir: Path) -> None:
    if any(name is not None for name in names.values()):
        return
    if any(_NTU.fullmatch(PurePosixPath(path).stem) for path in files):
        raise InputError(
            "This is the facial expression database of National Taiwan University, which is often taken for TFEID",
            received=f"{manual_dir} with {next(iter(files))}",
            action="TFEID is that of the Brain Mapping Laboratory, with names like f01_dfh_ag.jpg.",
        )
    raise InputError(
        "TFEID: there should be pictures with names like dfh_gray/dfh_anger_g/f01_dfh_ag.jpg",
        received=f"{manual_dir} with {', '.join(list(files)[:3]) or 'nothing'}",
        action="The README.md of the builder tells what the folder must hold.",
    )
