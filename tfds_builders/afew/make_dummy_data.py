"""Writes a tiny stand-in for AFEW: videos of one grey level a frame, no faces.

`python -m tfds_builders.afew.make_dummy_data` writes `dummy_data/` anew. The tests use the same writers.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfds_builders.base.dummies import encoded_video, write_files

HEIGHT, WIDTH, FRAMES = 32, 40, 3


class DummyVideo(NamedTuple):
    """Where a video lies, and the grey level of its first frame; each further one is 4 lighter."""

    part: str
    folder: str
    stem: str
    level: int

    @property
    def id(self) -> str:
        return f"{self.part}_AFEW/{self.folder}/{self.stem}.avi"


#: The stem 000046280 is in both sets, as some are.
VIDEOS = (
    DummyVideo("Train", "Angry", "000046280", 20),
    DummyVideo("Train", "Disgust", "013736360", 40),
    DummyVideo("Train", "Neutral", "010924040", 60),
    DummyVideo("Train", "Surprise", "004523240", 80),
    DummyVideo("Val", "Sad", "000046280", 100),
    DummyVideo("Val", "Happy", "012222960", 120),
)


def avi(level: int, *, frames: int = FRAMES) -> bytes:
    """A video whose frames are grey, from `level` on."""
    return encoded_video([np.full((HEIGHT, WIDTH, 3), level + 4 * number, np.uint8) for number in range(frames)])


def files() -> dict[str, bytes]:
    """Path -> content, with the folders that lie beside the class folders."""
    return {
        **{video.id: avi(video.level) for video in VIDEOS},
        "Train_AFEW/AlignedFaces_LBPTOP_Points/Points/000046280.mat": b"",
        "Val_AFEW/AlignedFaces_LBPTOP_Points_Val/Faces/000046280/000046280_001.jpg": b"",
    }


def main() -> None:
    write_files(Path(__file__).parent / "dummy_data", files())


if __name__ == "__main__":
    main()
