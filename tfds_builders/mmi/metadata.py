"""Reads the three kinds of XML files of MMI: the view of a session, the emotion of a video, phases of action units."""

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from tfds_builders.base.pictures import read_member
from tfds_builders.base.source import ZipMember

File = Path | ZipMember
#: The views of a camera: from the front, from the side, and both side by side in one frame.
FRONTAL, PROFILE, DUAL = 0, 1, 2
#: Phases of an expression. `UNKNOWN` stands for frames before the first marker and videos without markers.
UNKNOWN, NEUTRAL, ONSET, APEX, OFFSET = -1, 0, 1, 2, 3
#: Where action units differ, the phase of a frame is the last of these that one of them is in.
_RISING = (UNKNOWN, NEUTRAL, OFFSET, ONSET, APEX)
#: The real files have a few kilobytes, and videos a few hundred frames.
MAX_BYTES, MOST_FRAMES = 1024**2, 100_000


def read_views(file: File) -> set[int]:
    """The views of the tracks in `session.xml`, usually one; a track of sound has none.

    Raises:
        InputError: naming the file, if no track has a view, or a track has an unknown one.
    """
    views = [track.get("view", "") for track in _elements(_read(file), "track") if "view" in track.attrib]
    if not views or not set(views) <= {str(view) for view in (FRONTAL, PROFILE, DUAL)}:
        raise InputError(f"MMI: {_name(file)} should have tracks with the view 0, 1 or 2", received=str(views))
    return {int(view) for view in views}


def read_emotion(file: File) -> int | None:
    """The code of the emotion in the file beside a video, None where it has none.

    Raises:
        InputError: naming the file, if the code is no number, or two differ.
    """
    tags = [tag for tag in _elements(_read(file), "metatag") if tag.get("Name", "").lower() == "emotion"]
    codes = {tag.get("Value", "").strip() for tag in tags}
    if not codes:
        return None
    (text, *more) = sorted(codes)
    if more or not (text.isascii() and text.isdecimal() and 0 < int(text) < 1000):
        raise InputError(f"MMI: {_name(file)} should have one code of an emotion", received=", ".join(sorted(codes)))
    return int(text)


def read_phases(file: File) -> np.ndarray | None:
    """(T,) phases of the frames 0, 1, 2, ..., whose last one is that of all later frames; None without markers.

    A marker says, for one action unit, in which phase it is from this frame on; files count frames from 1. A frame is
    at the apex if any action unit is, else it is onset, else offset, else neutral.

    Raises:
        InputError: naming the file, for a marker without a frame or a known phase, or two at one frame.
    """
    units = [_markers(unit, file) for unit in _elements(_read(file), "actionunit")]
    units = [markers for markers in units if markers]
    if not units:
        return None
    ranks = np.zeros(1 + max(max(markers) for markers in units), int)
    for markers in units:
        own = np.zeros_like(ranks)
        for frame, phase in sorted(markers.items()):
            own[frame:] = _RISING.index(phase)
        ranks = np.maximum(ranks, own)
    return np.array(_RISING, np.int32)[ranks]


def apex_of(phases: np.ndarray) -> int | None:
    """The middle of the longest stay at the apex; None if there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], phases == APEX, [0]])))
    starts, stops = edges[::2], edges[1::2]
    if not len(starts):
        return None
    longest = int(np.argmax(stops - starts))
    return int(starts[longest] + stops[longest] - 1) // 2


def _markers(unit: ET.Element, file: File) -> dict[int, int]:
    markers: dict[int, int] = {}
    for marker in _elements(unit, "marker"):
        words = marker.get("Frame", "").strip(), marker.get("Type", "").strip()
        good = all(word.isascii() and word.isdecimal() and len(word) < 9 for word in words)
        frame, phase = map(int, words) if good else (0, 0)
        if not 1 <= frame <= MOST_FRAMES or phase not in (NEUTRAL, ONSET, APEX, OFFSET):
            what = "markers with a frame from 1 on and a type from 0 to 3"
            raise InputError(f"MMI: {_name(file)} should have {what}", received=f"Frame={words[0]}, Type={words[1]}")
        if markers.setdefault(frame - 1, phase) != phase:
            raise InputError(f"MMI: {_name(file)} should have one marker of an action unit at frame {frame}")
    return markers


def _elements(root: ET.Element, tag: str) -> list[ET.Element]:
    """Elements below `root` by their name, whatever its case."""
    return [element for element in root.iter() if isinstance(element.tag, str) and element.tag.lower() == tag]


class _Plain(ET.TreeBuilder):
    """Refuses document types: they can define entities that fill the memory or name other files."""

    def doctype(self, name: str, pubid: str, system: str) -> None:
        raise ValueError(f"a document type, {name}, which no file of MMI has")


def _read(file: File) -> ET.Element:
    name = _name(file)
    data = read_member(file) if isinstance(file, ZipMember) else file.read_bytes() if _is_small(file) else None
    if data is None or len(data) > MAX_BYTES:
        raise InputError(f"MMI: {name} may have {MAX_BYTES // 1024} KiB")
    try:
        return ET.fromstring(data, ET.XMLParser(target=_Plain()))
    except (ET.ParseError, ValueError, LookupError) as error:  # the latter for an unknown encoding
        raise InputError(f"MMI: {name} cannot be read", received=f"{error}", action="Fetch it again.") from error


def _is_small(file: Path) -> bool:
    return file.stat().st_size <= MAX_BYTES


def _name(file: File) -> str:
    parts = (file.name if isinstance(file, ZipMember) else file.as_posix()).split("/")
    return "/".join(parts[-2:])
