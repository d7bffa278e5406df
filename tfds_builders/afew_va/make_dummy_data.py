"""Writes tiny stand-ins for AFEW-VA in the layouts that are read: drawn marks, no faces.

`python -m tfds_builders.afew_va.make_dummy_data` writes `dummy_data/` anew. The tests use the same writers.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferkeras.faces.align import Alignment
from tfds_builders.base.dummies import encoded, landmarks68, marked, write_files
from tfds_builders.fer2013.make_dummy_data import write_zip

HEIGHT, WIDTH = 72, 90


class DummyClip(NamedTuple):
    """What a clip holds; `folder` is that of its archive, valence and arousal are those of each frame."""

    folder: str
    id: str
    actor: str
    valence: tuple[int, ...]
    arousal: tuple[int, ...]


CLIPS = (
    DummyClip("01", "001", "Anna Roe", (0, 1, -10, 10), (-3, 0, 4, -10)),
    DummyClip("01", "002", "anna  roe", (5, 5, 6), (1, 2, 2)),
    DummyClip("02", "051", "Ben Loe", (-7, -6), (10, 9)),
    DummyClip("12", "600", "Cy Poe", (2, 2), (0, -1)),
)


def level(clip: DummyClip, number: int) -> int:
    """Grey level of a frame, by which it is known: another one for each."""
    return 20 + 30 * CLIPS.index(clip) + 4 * number


def five_landmarks(number: int) -> np.ndarray:
    """(5, 2) x, y of the face in frame `number`, which moves."""
    return Alignment(size=52).template.astype(np.float64) + np.array([16 + number, 9])


def picture(clip: DummyClip, number: int) -> bytes:
    """The PNG of a frame."""
    return encoded(marked(five_landmarks(number), level=level(clip, number), shape=(HEIGHT, WIDTH, 3)), ".png")


def annotation(clip: DummyClip) -> dict[str, Any]:
    """What the JSON file says, the last frame first: the order of its keys means nothing."""
    frames = {
        f"{number:05d}": {
            "valence": clip.valence[number],
            "arousal": clip.arousal[number],
            "landmarks": landmarks68(five_landmarks(number)).round(2).tolist(),
        }
        for number in reversed(range(len(clip.valence)))
    }
    return {"actor": clip.actor, "video_id": clip.id, "frames": frames}


def files(clips: tuple[DummyClip, ...] = CLIPS, *, nested: bool = True) -> dict[str, bytes]:
    """Path -> content, with the folder of the archive or without."""
    found: dict[str, bytes] = {}
    for clip in clips:
        folder = f"{clip.folder}/{clip.id}" if nested else clip.id
        found[f"{folder}/{clip.id}.json"] = json.dumps(annotation(clip)).encode()
        found |= {f"{folder}/{number:05d}.png": picture(clip, number) for number in range(len(clip.valence))}
    return found


def main() -> None:
    root = Path(__file__).parent / "dummy_data"
    write_files(root / "nested", files())
    for folder in sorted({clip.folder for clip in CLIPS}):
        clips = tuple(clip for clip in CLIPS if clip.folder == folder)
        write_zip(root / "zips" / f"{folder}.zip", files(clips))


if __name__ == "__main__":
    main()
