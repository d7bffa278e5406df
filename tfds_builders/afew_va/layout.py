"""Finds the clips of AFEW-VA in a folder: `01/001/001.json` with its frames `01/001/00000.png`, or without `01/`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ferkeras.errors import InputError
from tfds_builders.afew_va.annotation import Annotation, read_annotation
from tfds_builders.base.source import Skip, ZipMember

File = Path | ZipMember
SPLIT = "train"
_ANNOTATION = re.compile(r"\d{3}/(\w+)\.json", re.IGNORECASE)
_FRAME = re.compile(r"\d{3}/(\d{5})\.png", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Clip:
    """One clip: its number such as `001`, the annotation, and frame number -> picture, in the order of time."""

    id: str
    annotation: Annotation
    pictures: Mapping[int, File]


def read_clips(files: Mapping[str, File]) -> Iterator[Clip | Skip]:
    """Every clip by its number; one without pictures, annotation or the name of its actor is left out.

    Args:
        files: What `list_files` gives for the manual directory. Folders of cut-out faces, which some copies have
            beside the official ones and whose name ends in `_cropped`, are not looked at.

    Raises:
        InputError: if there is no clip, one lies there twice, an annotation lies in the folder of another clip, or it
            cannot be understood.
    """
    annotations: dict[str, str] = {}
    pictures: dict[str, dict[int, File]] = {}
    for path, file in files.items():
        parts = PurePosixPath(path).parts
        if any(part.lower().endswith("_cropped") for part in parts):
            continue
        name = "/".join(parts[-2:])
        if match := _ANNOTATION.fullmatch(name):
            if match[1] != parts[-2]:
                raise InputError(f"AFEW-VA: the annotation in {parts[-2]} should be {parts[-2]}.json", received=path)
            annotations[path.rpartition("/")[0]] = path
        elif match := _FRAME.fullmatch(name):
            pictures.setdefault(path.rpartition("/")[0], {})[int(match[1])] = file
    if not annotations or not pictures:
        raise _unknown(files)
    yield from _clips(files, annotations, pictures)


def _clips(
    files: Mapping[str, File], annotations: Mapping[str, str], pictures: Mapping[str, Mapping[int, File]]
) -> Iterator[Clip | Skip]:
    seen: dict[str, str] = {}
    for folder in sorted({*annotations, *pictures}, key=lambda folder: (folder[-3:], folder)):
        name = folder[-3:]
        if name in seen:
            both = f"{seen[name]} and {folder}"
            raise InputError(f"AFEW-VA: the clip {name} should lie there once", received=both, action="Remove one.")
        seen[name] = folder
        if folder not in annotations:
            yield Skip(SPLIT, name, "cannot be read: the annotation is missing")
            continue
        annotation = read_annotation(files[annotations[folder]], where=annotations[folder])
        # Some files may hold the number without its zeros.
        if annotation.video_id.zfill(3) != name:
            raise InputError(f"AFEW-VA: {annotations[folder]} should be of clip {name}", received=annotation.video_id)
        if folder not in pictures:
            yield Skip(SPLIT, name, "cannot be read: there is no picture")
        elif not annotation.actor:
            yield Skip(SPLIT, name, "no actor is named")
        else:
            yield Clip(name, annotation, dict(sorted(pictures[folder].items())))


def _unknown(files: Mapping[str, File]) -> InputError:
    action = "The README.md of the builder tells what the folder must hold."
    if any(path.lower().endswith(".avi") for path in files):
        action = "This seems to be AFEW, which has videos with one emotion each: use the data set afew."
    elif any("_cropped" in path.lower() for path in files):
        action = "Cut-out faces alone are not enough: the landmarks are those of the whole frames."
    return InputError(
        "AFEW-VA: there should be 01/001/001.json, 01/001/00000.png and the like",
        received=", ".join(list(files)[:3]) or "nothing",
        action=action,
    )
