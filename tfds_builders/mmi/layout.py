"""Finds the recordings of MMI: `Sessions/<id>/` with `session.xml`, a video, and the XML files beside it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from ferkeras.errors import InputError
from ferkeras.labels import MMI_CODES
from ferkeras.pictures import SUFFIXES
from tfds_builders.base.source import Skip, VideoPart, ZipMember
from tfds_builders.mmi.metadata import DUAL, FRONTAL, read_emotion, read_phases, read_views

File = Path | ZipMember
Dual = Literal["leave_out", "left", "right"]
SPLIT = "train"
_VIDEO = re.compile(r"(S\d+)-.+\.avi", re.IGNORECASE)
#: x, y, width, height of the frontal half, as fractions of the frame.
HALVES = {"left": (0.0, 0.0, 0.5, 1.0), "right": (0.5, 0.0, 0.5, 1.0)}
#: Quarter turns clockwise of the frontal videos without markers of action units, and who is an exception.
TURN, TURNS, UNKNOWN_TURN = 1, {"S053": 0, "S054": 0, "S021": 3}, ("S006",)


@dataclass(frozen=True, eq=False)
class Recording:
    """One video that shows a basic emotion.

    Attributes:
        id: Path from the manual directory on, such as `Sessions/106/S002-106.avi`.
        name: That of the video without suffix.
        subject: Such as `S002`.
        emotion: What is shown at the apex.
        video: The file, and how it is turned and cropped.
        phases: See `read_phases`; None where there are no markers.
    """

    id: str
    name: str
    subject: str
    emotion: str
    video: VideoPart
    phases: np.ndarray | None


def read_recordings(files: Mapping[str, File], *, rotate: bool, dual: Dual) -> Iterator[Recording | Skip]:
    """Every video that can be used, by path; the others are left out.

    Args:
        files: What `list_files` gives for the manual directory.
        rotate: Whether older videos are turned upright; see `turn_of`.
        dual: Which half of a frame is the frontal view where both views are in it.

    Raises:
        InputError: if there is no session, an XML file cannot be understood, or a video lies in an archive.
    """
    sessions: dict[PurePosixPath, dict[str, str]] = {}
    for path in files:
        pure = PurePosixPath(path)
        sessions.setdefault(pure.parent, {})[pure.name.lower()] = path
    sessions = {folder: names for folder, names in sessions.items() if "session.xml" in names}
    if not sessions:
        raise InputError(
            "MMI: there should be Sessions/106/session.xml and the like",
            received=", ".join(list(files)[:3]) or "nothing",
            action="The README.md of the builder tells what the folder must hold.",
        )
    done: set[str] = set()
    for folder, names in sorted(sessions.items()):
        videos = [path for name, path in sorted(names.items()) if name.endswith(".avi")]
        if not videos:
            what = "a still picture" if any(name.endswith(SUFFIXES) for name in names) else "no video"
            yield Skip(SPLIT, folder.as_posix(), what)
        for path in videos:
            # Downloads overlap: the same video may be in several.
            if PurePosixPath(path).name.lower() in done:
                yield Skip(SPLIT, path, "the same video is there already")
            else:
                done.add(PurePosixPath(path).name.lower())
                yield _recording(files, names, path, rotate=rotate, dual=dual)


def _recording(
    files: Mapping[str, File], names: Mapping[str, str], path: str, *, rotate: bool, dual: Dual
) -> Recording | Skip:
    stem = PurePosixPath(path).stem
    match, file = _VIDEO.fullmatch(PurePosixPath(path).name), files[path]
    if isinstance(file, ZipMember):
        action = "Extract the archive: videos are not read inside of it."
        raise InputError("MMI: the videos should lie in folders", received=path, action=action)
    if match is None:
        return Skip(SPLIT, path, "no subject in the file name")
    metadata, markers = names.get(f"{stem.lower()}.xml"), names.get(f"{stem.lower()}-oao_aucs.xml")
    code = read_emotion(files[metadata]) if metadata else None
    if code is None:
        return Skip(SPLIT, path, "no emotion label")
    if code not in MMI_CODES:
        return Skip(SPLIT, path, "not a basic emotion")
    views = read_views(files[names["session.xml"]])
    if views != {FRONTAL} and views != {DUAL}:
        return Skip(SPLIT, path, "not a frontal view")
    if views == {DUAL} and dual == "leave_out":
        return Skip(SPLIT, path, "two views in one frame")
    subject, turn, crop = match[1].upper(), 0, HALVES.get(dual) if views == {DUAL} else None
    if rotate and views == {FRONTAL} and markers is None:
        if subject in UNKNOWN_TURN:
            return Skip(SPLIT, path, "not known which way is up")
        turn = TURNS.get(subject, TURN)
    return Recording(
        id=path,
        name=stem,
        subject=subject,
        emotion=MMI_CODES[code],
        video=VideoPart(file, turn=turn, crop=crop),
        phases=read_phases(files[markers]) if markers else None,
    )
