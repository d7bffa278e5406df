"""What a builder reads from the official files before a pixel is decoded: one record for each still or clip."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class ZipMember(NamedTuple):
    """A file inside a zip archive, which is read in place."""

    archive: Path
    name: str


class Skip(NamedTuple):
    """An example that is left out, and why; all of them are listed in `skipped.csv` beside the prepared data.

    Attributes:
        split: The split that it would be in.
        id: Names it, such as the path of its file from the manual directory on.
        reason: A short phrase, the same for all examples left out for this reason; details may follow a colon.
    """

    split: str
    id: str
    reason: str


@dataclass(frozen=True)
class VideoPart:
    """Frames `start` (inclusive) to `stop` (exclusive; None is the end) of a video file, 0-based.

    Attributes:
        path: The video file.
        start: First frame.
        stop: Frame after the last.
        seconds: Start and end in seconds, half open, in the place of `start` and `stop`.
        turn: Quarter turns clockwise that make a frame upright after the file's own rotation is applied.
        crop: x, y, width, height as fractions of the upright frame; the rest of it is not looked at.
        stretch: Width of a pixel divided by its height: frames are widened by it, after the crop.
    """

    path: Path
    start: int = 0
    stop: int | None = None
    seconds: tuple[float, float] | None = None
    turn: int = 0
    crop: tuple[float, float, float, float] | None = None
    stretch: float = 1.0


class VideoFrame(NamedTuple):
    """One frame of a video as a still: its number, 0-based, in the file of `video`, turned and cropped as that says.

    Sources of one video are read fastest in the order of their frames.
    """

    video: VideoPart
    number: int


#: A picture file, a frame of a video, or the pixels (H, W, 1 or 3) uint8 themselves.
Picture = Path | ZipMember | VideoFrame | np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class StillSource:
    """One still.

    Attributes:
        split: Split of the prepared data.
        id: Unique in the data set and without the path of this machine.
        picture: Where the pixels are.
        label: One of the builder's `CLASSES`.
        subject: Name of the person, where the data set has it; the same in all splits.
        box: (4,) x, y, width, height of the face in pixels of the picture, where the data set has it.
        landmarks: (5, 2) or (68, 2) x, y in pixels of the picture, where the data set has them.
        more: Values of the builder's further features.
    """

    split: str
    id: str
    picture: Picture
    label: str
    subject: str | None = None
    box: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FrameFiles:
    """Frames that lie in files of their own.

    Attributes:
        pictures: T files, in the order of time; None where the data set has none for this frame.
        index: T frame numbers, 0-based.
        fps: Frames per second.
        stretch: Width of a pixel divided by its height: frames are widened by it.
    """

    pictures: Collection[Path | ZipMember | None]
    index: Collection[int]
    fps: float
    stretch: float = 1.0


class FrameValues(Mapping[int, Any]):
    """Values of the frames 0, 1, 2, ... of a long clip, in an array: a dictionary would take many times the memory.

    Args:
        array: (T, ...), one value a frame.
        hold: Whether the last value is also that of all frames after it.
    """

    def __init__(self, array: np.ndarray, *, hold: bool = False) -> None:
        self.array = array
        self.hold = hold

    def __getitem__(self, frame: int) -> Any:
        if frame < 0 or not len(self.array) or (frame >= len(self.array) and not self.hold):
            raise KeyError(frame)
        return self.array[min(frame, len(self.array) - 1)]

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.array)))

    def __len__(self) -> int:
        return len(self.array)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipSource:
    """One clip: consecutive frames of one recording, with labels for all of it or for each frame.

    Attributes:
        split: Split of the prepared data.
        id: Unique in the data set and without the path of this machine.
        recording: Names what was filmed; clips of one recording are all in one split.
        frames: Where the pixels are.
        label: One of the builder's `CLASSES`, where it has them.
        subject: Name of the person, where the data set has it; the same in all splits.
        landmarks: Frame number to (68, 2) x, y in pixels of the (widened) frame: faces are aligned by them without a
            detector.
        per_frame: For each of the builder's features by frame: frame number -> value. A frame that is absent gets the
            value for unlabelled frames.
        more: Values of the builder's further features.
    """

    split: str
    id: str
    recording: str
    frames: VideoPart | FrameFiles
    label: str | None = None
    subject: str | None = None
    landmarks: Mapping[int, np.ndarray] | None = None
    per_frame: Mapping[str, Mapping[int, Any]] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
