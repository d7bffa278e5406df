"""Finds the videos of AFEW in a folder: `Train_AFEW/Angry/013736360.avi`, `Val_AFEW/Sad/000046280.avi`."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from ferkeras.errors import InputError
from ferkeras.labels import AFEW_FOLDERS
from tfds_builders.base.source import Skip, ZipMember

File = Path | ZipMember
SPLITS = {"train": "train", "val": "validation"}
#: The seven class folders alone: beside them lie folders with faces, landmarks and descriptors.
_VIDEO = re.compile(rf"(?:.*/)?(?P<set>Train|Val)_AFEW/({'|'.join(AFEW_FOLDERS)})/([^/]+)\.avi", re.IGNORECASE)
_TEST = re.compile(r"(?:.*/)?Test[^/]*/(?:.*/)?[^/]+\.avi", re.IGNORECASE)
#: Of AFEW-VA, by the same owners and with other labels.
_AFEW_VA = re.compile(r"(?:.*/)?\d{3}/\d{3}\.json")


class Video(NamedTuple):
    """A labelled video.

    Attributes:
        split: `train` or `validation`.
        id: Such as `Train_AFEW/Angry/013736360.avi`; the file name alone is in both splits sometimes.
        emotion: As the folder says.
        path: The file.
    """

    split: str
    id: str
    emotion: str
    path: Path


def read_videos(files: Mapping[str, File]) -> Iterator[Video | Skip]:
    """Every labelled video by split, class and name; others are left out.

    Args:
        files: What `list_files` gives for the manual directory.

    Raises:
        InputError: if there is none, one lies there twice, or they are inside zip archives.
    """
    videos: dict[str, Video] = {}
    skips = []
    folders = {name.lower(): name for name in AFEW_FOLDERS}
    for path, file in files.items():
        if not path.lower().endswith(".avi"):
            continue
        match = _VIDEO.fullmatch(path)
        if isinstance(file, ZipMember) and not _TEST.fullmatch(path):
            action = "Extract the archive: videos are not read inside of it."
            raise InputError("AFEW: the videos should lie in folders", received=path, action=action)
        if match is None or isinstance(file, ZipMember):
            skips.append(_skip(path))
            continue
        part, folder, stem = match["set"].capitalize(), folders[match[2].lower()], match[3]
        name = f"{part}_AFEW/{folder}/{stem}.avi"
        if name in videos:
            raise InputError(
                f"AFEW: {name} should lie there once", received=f"{videos[name].path} and {file}", action="Remove one."
            )
        videos[name] = Video(SPLITS[part.lower()], name, AFEW_FOLDERS[folder], file)
    if not videos:
        raise _unknown(files)
    yield from (videos[name] for name in sorted(videos))
    yield from skips


def _skip(path: str) -> Skip:
    if _TEST.fullmatch(path):
        return Skip("test", path, "no emotion label")
    return Skip("validation" if "val_afew/" in path.lower() else "train", path, "in no class folder")


def _unknown(files: Mapping[str, File]) -> InputError:
    action = "The README.md of the builder tells what the folder must hold."
    if any(map(_AFEW_VA.fullmatch, files)):
        action = "This seems to be AFEW-VA, which has frames with valence and arousal: use the data set afew_va."
    return InputError(
        "AFEW: there should be Train_AFEW/Angry/013736360.avi, Val_AFEW and the like",
        received=", ".join(list(files)[:3]) or "nothing",
        action=action,
    )
