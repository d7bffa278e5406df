"""Reads the annotation of one clip of AFEW-VA: actor, and valence, arousal and 68 landmarks of each frame."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ferkeras.errors import InputError
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.pictures import MAX_BYTES
from tfds_builders.base.pictures import read_member
from tfds_builders.base.source import ZipMember

POINTS = 68


@dataclass(frozen=True, eq=False)
class Annotation:
    """What a file says.

    Attributes:
        actor: In lower case and without double blanks, so that two spellings are one person; empty if not named.
        video_id: Such as `001`.
        valence: Frame number, 0-based and in order, -> integer in [-10, 10].
        arousal: The same.
        landmarks: Frame number -> (68, 2) float64 x, y in pixels of the frame; without frames that have none.
    """

    actor: str
    video_id: str
    valence: Mapping[int, int]
    arousal: Mapping[int, int]
    landmarks: Mapping[int, np.ndarray]


def read_annotation(file: Path | ZipMember, *, where: str) -> Annotation:
    """The annotation in a JSON file; `where` is what messages call it, errors are those of `parse_annotation`."""
    if isinstance(file, ZipMember):
        return parse_annotation(read_member(file), where=where)
    if file.stat().st_size > MAX_BYTES:
        raise InputError(f"AFEW-VA: {where} may have {MAX_BYTES // 1024**2} MiB")
    return parse_annotation(file.read_bytes(), where=where)


def parse_annotation(data: bytes, *, where: str) -> Annotation:
    """The annotation in the bytes of a JSON file, whose frames may be in any order.

    Raises:
        InputError: naming file and frame, for anything that is not as documented, such as a key that is there twice.
    """
    try:
        root = json.loads(data, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InputError(f"AFEW-VA: {where} cannot be read", received=f"{error}", action="Fetch it again.") from error
    if not isinstance(root, dict) or not isinstance(root.get("frames"), dict):
        raise InputError(f"AFEW-VA: {where} should have actor, video_id and frames", received=_short(root))
    frames: dict[int, Any] = {}
    for key, values in root["frames"].items():
        if not (key.isascii() and key.isdigit() and len(key) <= 8) or int(key) in frames:
            raise InputError(f"AFEW-VA: {where} should have one number for each frame", received=_short(key))
        frames[int(key)] = values
    names = {number: f"{where}, frame {number:05d}" for number in sorted(frames)}
    landmarks = {number: _landmarks(frames[number], where=name) for number, name in names.items()}
    return Annotation(
        actor=" ".join(str(root.get("actor") or "").split()).lower(),
        video_id=str(root.get("video_id")),
        valence={number: _label(frames[number], "valence", where=name) for number, name in names.items()},
        arousal={number: _label(frames[number], "arousal", where=name) for number, name in names.items()},
        landmarks={number: points for number, points in landmarks.items() if points is not None},
    )


def _label(values: Any, name: str, *, where: str) -> int:
    value = values.get(name) if isinstance(values, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in VALENCE_AROUSAL_BINS:
        least, most = VALENCE_AROUSAL_BINS[0], VALENCE_AROUSAL_BINS[-1]
        raise InputError(
            f"AFEW-VA: {where} should have {name}, an integer from {least} to {most}", received=_short(value)
        )
    return int(value)


def _landmarks(values: Any, *, where: str) -> np.ndarray | None:
    """None where there are none."""
    points = values.get("landmarks") if isinstance(values, dict) else None
    if not points:
        return None
    if isinstance(points, list) and len(points) == POINTS and all(map(_is_point, points)):
        return np.array(points, np.float64)
    raise InputError(f"AFEW-VA: {where} should have {POINTS} landmarks [x, y]", received=_short(points))


def _is_point(point: Any) -> bool:
    if not isinstance(point, list) or len(point) != 2:
        return False
    return all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in point)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a key is there twice")
    return values


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
