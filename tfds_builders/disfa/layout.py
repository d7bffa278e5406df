"""Finds the videos and labels of DISFA: `LeftVideoSN001_comp.avi`, `ActionUnit_Labels/SN001/SN001_au1.txt`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ferkeras.errors import InputError
from tfds_builders.base.source import Skip, ZipMember
from tfds_builders.disfa.intensities import read_intensities

File = Path | ZipMember
Camera = Literal["left", "right"]
SPLIT = "train"
_VIDEO = re.compile(r"(?:.*/)?(Left|Right)Video(SN\d{3})_comp\.avi", re.IGNORECASE)
_LABELS = re.compile(r"(?:.*/)?(SN\d{3})/(SN\d{3})_au(\d{1,2})\.txt", re.IGNORECASE)
#: Of DISFA+, by the same owners, with nine people of DISFA.
_DISFA_PLUS = re.compile(r"(?:.*/)?(SN\d{3})/[^/]+/AU\d+\.txt", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Recording:
    """The video of one person by one camera, with its labels.

    Attributes:
        subject: Such as `SN001`.
        video: The file.
        intensities: (T, 12), see `read_intensities`.
    """

    subject: str
    video: Path
    intensities: np.ndarray


def read_recordings(files: Mapping[str, File], *, camera: Camera) -> Iterator[Recording | Skip]:
    """Every person who has a video by this camera and labels; those with one of both are left out.

    Args:
        files: What `list_files` gives for the manual directory.
        camera: Which of the two videos.

    Raises:
        InputError: if there are no videos or no labels at all, a file is there twice, a video lies in an archive, or a
            label cannot be understood.
    """
    videos, labels = _find(files, camera)
    for subject in sorted({*videos, *labels}):
        if subject not in labels:
            yield Skip(SPLIT, subject, "no action unit labels")
        elif subject not in videos:
            yield Skip(SPLIT, subject, f"no video of the {camera} camera")
        else:
            units = {unit: files[path] for unit, path in labels[subject].items()}
            yield Recording(subject, _extracted(files, videos[subject]), read_intensities(subject, units))


def _find(files: Mapping[str, File], camera: Camera) -> tuple[dict[str, str], dict[str, dict[int, str]]]:
    """Subject -> path of the video, and subject -> action unit -> path of the labels."""
    videos: dict[str, str] = {}
    labels: dict[str, dict[int, str]] = {}
    for path in files:
        if match := _VIDEO.fullmatch(path):
            if match[1].lower() == camera:
                _add(videos, match[2].upper(), path)
        elif match := _LABELS.fullmatch(path):
            folder, subject = match[1].upper(), match[2].upper()
            if folder != subject:
                raise InputError(f"DISFA: a file in {folder} should begin with its name", received=path)
            _add(labels.setdefault(subject, {}), int(match[3]), path)
    if not videos or not labels:
        raise _unknown(files, camera, "labels" if videos else "videos")
    return videos, labels


def _add(paths: dict[Any, str], key: Any, path: str) -> None:
    if key in paths:
        raise InputError(
            "DISFA: the same file lies there twice", received=f"{paths[key]} and {path}", action="Remove one."
        )
    paths[key] = path


def _extracted(files: Mapping[str, File], path: str) -> Path:
    file = files[path]
    if isinstance(file, ZipMember):
        action = "Extract the archive: videos are not read inside of it."
        raise InputError("DISFA: the videos should lie in folders", received=path, action=action)
    return file


def _unknown(files: Mapping[str, File], camera: Camera, missing: str) -> InputError:
    example = {
        "videos": f"{camera.capitalize()}VideoSN001_comp.avi and the like",
        "labels": "ActionUnit_Labels/SN001/SN001_au1.txt and the like",
    }[missing]
    action = "The README.md of the builder tells what the folder must hold."
    if any(map(_DISFA_PLUS.fullmatch, files)):
        action = "This seems to be DISFA+, another data set, which is not read."
    elif any(map(_VIDEO.fullmatch, files)) and missing == "videos":
        action = "Those of the other camera are there: the option camera names it."
    received = ", ".join(list(files)[:3]) or "nothing"
    return InputError(f"DISFA: there should be {example}", received=received, action=action)
