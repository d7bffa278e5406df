"""Finds the sequences of CK+ in a folder, or the faces of CK+48, the copy of cut-out faces that circulates.

`cohn-kanade-images/S005/001/S005_001_00000011.png` is frame 11 of sequence 001 of subject S005. Emotion labels and
landmarks lie in trees of their own under the same names, `Emotion/S005/001/S005_001_00000011_emotion.txt`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ferkeras.errors import InputError
from ferkeras.labels import canonical
from tfds_builders.base.source import Skip, StillSource, ZipMember
from tfds_builders.ck_plus.annotation import read_emotion, read_landmarks

File = Path | ZipMember
SPLIT = "train"
_OFFICIAL = re.compile(
    r"(?:.*/)?(S\d{3})/(\d{3})/(S\d{3})_(\d{3})_(\d{8})(?:\.png|_(emotion|landmarks)\.txt)", re.IGNORECASE
)
_CK48 = re.compile(r"(?:.*/)?([^/]+)/((S\d{3})_\d{3}_\d{8}\.png)", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Sequence:
    """A labelled sequence, from its first frame to the one that the label names, the peak.

    Attributes:
        id: Such as `S005/001`.
        subject: Such as `S005`.
        emotion: What the peak shows.
        pictures: Frame number, as in the file names, -> picture, in the order of time.
        landmarks: Frame number -> (68, 2) x, y; empty where the copy has none.
    """

    id: str
    subject: str
    emotion: str
    pictures: Mapping[int, File]
    landmarks: Mapping[int, np.ndarray]


@dataclass
class _Found:
    """The files of one sequence: frame number -> path from the manual directory on."""

    picture: dict[int, str] = field(default_factory=dict)
    emotion: dict[int, str] = field(default_factory=dict)
    landmarks: dict[int, str] = field(default_factory=dict)


def read_sequences(files: Mapping[str, File]) -> Iterator[Sequence | Skip]:
    """Every labelled sequence by subject and number; those without a label are left out, since they are not neutral.

    Args:
        files: What `list_files` gives for the manual directory.

    Raises:
        InputError: if pictures or labels are missing altogether, a file lies in the folder of another sequence, a
            sequence has two labels, or a label or landmark cannot be understood.
    """
    found = _find(files)
    _check_layout(files, found)
    for name, sequence in sorted(found.items()):
        if not sequence.emotion:
            yield Skip(SPLIT, name, "no emotion label")
            continue
        if len(sequence.emotion) > 1:
            paths = ", ".join(sequence.emotion.values())
            raise InputError(f"CK+: the sequence {name} should have one emotion label", received=paths)
        ((peak, label),) = sequence.emotion.items()
        emotion = read_emotion(files[label])
        if peak not in sequence.picture:
            yield Skip(SPLIT, name, "cannot be read: the peak frame is missing")
            continue
        numbers = sorted(number for number in sequence.picture if number <= peak)
        yield Sequence(
            id=name,
            subject=name.partition("/")[0],
            emotion=emotion,
            pictures={number: files[sequence.picture[number]] for number in numbers},
            landmarks={n: read_landmarks(files[sequence.landmarks[n]]) for n in numbers if n in sequence.landmarks},
        )


def read_ck48(files: Mapping[str, File]) -> Iterator[StillSource]:
    """Every face of CK+48, whose class is the name of its folder, by path.

    Raises:
        InputError: if there is none, a folder is no emotion, or a face is there twice.
    """
    paths: dict[str, str] = {}
    for path, file in files.items():
        match = _CK48.fullmatch(path)
        if match is None or _OFFICIAL.fullmatch(path):
            continue
        folder, name, subject = match[1], match[2], match[3].upper()
        emotion = canonical(folder)
        if emotion is None:
            raise InputError("CK+48: the folder of a face should be named as its emotion", received=path)
        _add(paths, name.lower(), path)
        yield StillSource(split=SPLIT, id=f"{folder}/{name}", picture=file, label=emotion, subject=subject)
    if not paths:
        raise _unknown(files, "CK+48/anger/S010_004_00000017.png and the like")


def _find(files: Mapping[str, File]) -> dict[str, _Found]:
    """Such as `S005/001` -> files of this sequence."""
    found: dict[str, _Found] = {}
    for path in files:
        match = _OFFICIAL.fullmatch(path)
        if match is None:
            continue
        subject, sequence, *of_file = (text.upper() for text in match.groups()[:4])
        if [subject, sequence] != of_file:
            raise InputError(f"CK+: a file in {subject}/{sequence} should begin with its name", received=path)
        kind = getattr(found.setdefault(f"{subject}/{sequence}", _Found()), (match[6] or "picture").lower())
        _add(kind, int(match[5]), path)
    return found


def _add(paths: dict[Any, str], key: Any, path: str) -> None:
    if key in paths:
        raise InputError(
            "CK+: the same file lies there twice", received=f"{paths[key]} and {path}", action="Remove one."
        )
    paths[key] = path


def _check_layout(files: Mapping[str, File], found: Mapping[str, _Found]) -> None:
    if not any(sequence.picture for sequence in found.values()):
        raise _unknown(files, "cohn-kanade-images/S005/001/S005_001_00000001.png and the like")
    if not any(sequence.emotion for sequence in found.values()):
        raise InputError(
            "CK+: there are pictures, but no emotion labels",
            received=", ".join(list(files)[:3]),
            action="Put Emotion_labels.zip, as it is or extracted, beside them.",
        )


def _unknown(files: Mapping[str, File], expected: str) -> InputError:
    """The error for a folder with other files, which names the copies that are often taken for each other."""
    action = "The README.md of the builder tells what the folder must hold."
    if any(_OFFICIAL.fullmatch(path) for path in files):
        action = "The official files are there: use the configuration sequences or stills."
    elif any(_CK48.fullmatch(path) for path in files):
        action = "This seems to be CK+48: use the configuration ck48."
    elif any(PurePosixPath(path).name.lower() == "ckextended.csv" for path in files):
        action = "ckextended.csv names no subjects, so that no split keeps them apart, and is not read."
    return InputError(
        f"CK+: there should be {expected}", received=", ".join(list(files)[:3]) or "nothing", action=action
    )
