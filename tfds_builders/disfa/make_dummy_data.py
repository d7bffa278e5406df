"""Writes a tiny stand-in for DISFA: videos of one grey level a frame, no faces.

`python -m tfds_builders.disfa.make_dummy_data` writes `dummy_data/` anew. The tests use the same writers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfds_builders.base.dummies import encoded_video, write_files
from tfds_builders.disfa.rules import ACTION_UNITS

HEIGHT, WIDTH, FPS = 32, 40, 20


class Run(NamedTuple):
    """Consecutive frames with the same labels.

    Attributes:
        length: Number of frames.
        units: Action unit -> intensity, 0 where it is not named.
        exact: The emotion by exact matching from intensity 2 on.
        subset: The same by matching of subsets.
    """

    length: int
    units: dict[int, int]
    exact: str | None
    subset: str | None


PEOPLE: dict[str, tuple[Run, ...]] = {
    "SN001": (
        Run(4, {}, "neutral", "neutral"),
        Run(14, {6: 2, 12: 3}, "happy", "happy"),
        Run(3, {12: 1}, None, None),
        Run(5, {1: 2, 2: 3, 5: 2, 26: 2, 25: 1}, "surprise", "surprise"),
    ),
    "SN002": (Run(3, {4: 3, 5: 2}, "angry", "angry"), Run(4, {6: 2, 12: 2, 25: 3}, None, "happy")),
    "SN010": (Run(10, {9: 2, 15: 5}, "disgust", "disgust"),),
}
#: Frames of a video that is shorter than its labels.
SHORTER = {"SN010": 8}


def level(subject: str, frame: int) -> int:
    """The grey level of a frame."""
    return 20 + 70 * list(PEOPLE).index(subject) + 2 * frame


def frames_of(subject: str) -> list[Run]:
    """The labels of each frame."""
    return [run for run in PEOPLE[subject] for _ in range(run.length)]


def avi(subject: str, *, side: int = 0) -> bytes:
    """The video of a person; that of the right camera has `side` 5 and is lighter by that."""
    count = SHORTER.get(subject, len(frames_of(subject)))
    frames = [np.full((HEIGHT, WIDTH, 3), level(subject, frame) + side, np.uint8) for frame in range(count)]
    return encoded_video(frames, fps=FPS)


def label_files(subject: str, frames: Sequence[dict[int, int]]) -> dict[str, str]:
    """Path -> content of the twelve files with labels; the official ones count frames from 1."""
    return {
        f"ActionUnit_Labels/{subject}/{subject}_au{unit}.txt": "".join(
            f"{number},{units.get(unit, 0)}\n" for number, units in enumerate(frames, start=1)
        )
        for unit in ACTION_UNITS
    }


def files() -> dict[str, bytes | str]:
    """Path -> content, with the folder names and capitals of the official copy."""
    content: dict[str, bytes | str] = {}
    for subject in PEOPLE:
        content[f"Videos_LeftCamera/LeftVideo{subject}_comp.avi"] = avi(subject)
        content |= label_files(subject, [run.units for run in frames_of(subject)])
    content["Video_RightCamera/RightVideoSN002_Comp.avi"] = avi("SN002", side=5)
    content["Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat"] = b""
    return content


def main() -> None:
    write_files(Path(__file__).parent / "dummy_data", files())


if __name__ == "__main__":
    main()
