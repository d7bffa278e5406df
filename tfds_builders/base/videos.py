"""Reads parts and single frames of the videos of sources: turned upright, cropped and widened as the source says."""

import functools
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ferkeras.errors import InputError
from ferkeras.video import Frame, Video, open_video
from tfds_builders.base.source import VideoFrame, VideoPart

#: Looking for a later frame, so many are decoded on the way; beyond that a new start near it is faster.
FAR = 300


def read_part(part: VideoPart, problems: list[str]) -> Iterator[Frame]:
    """The frames of the part; what is damaged, or missing at its end, is added to `problems` at the end."""
    with open_video(part.path) as video:
        start, stop = video.between(*part.seconds) if part.seconds is not None else (part.start, part.stop)
        for frame in video.frames(start, stop):
            yield Frame(frame.index, frame.time_s, _upright(frame.image, part))
        problems += video.problems + _beyond_end(part, video)


def _beyond_end(part: VideoPart, video: Video) -> list[str]:
    """Labels often go one frame beyond the video. More than that is told."""
    info = video.info
    if part.seconds is not None and part.seconds[1] > info.duration_s + 1 / info.fps:
        return [f"the video ends at {info.duration_s:.2f} s, the part at {part.seconds[1]:.2f} s"]
    if part.seconds is None and part.stop is not None and info.frames is not None and part.stop > info.frames + 1:
        return [f"the video ends after {info.frames} frames, the part after {part.stop}"]
    return []


def read_frame(frame: VideoFrame) -> np.ndarray:
    """The pixels (H, W, 3) uint8; raises `InputError` if the video or this frame of it cannot be decoded."""
    return _upright(_reader(frame.video.path).read(frame.number), frame.video)


class _Reader:
    """Gives single frames of a video, and goes on where it is when the next one lies ahead."""

    def __init__(self, path: Path) -> None:
        self.path, self.video = path, open_video(path)
        self.frames, self.next = self.video.frames(), 0

    def read(self, number: int) -> np.ndarray:
        if not self.next <= number <= self.next + FAR:
            self.frames, self.next = self.video.frames(number), number
        for frame in self.frames:
            self.next = frame.index + 1
            if frame.index == number:
                return frame.image
            if frame.index > number:
                break
        received = f"frame {number} of {self.path.name}"
        raise InputError("The video has no such frame, or it is damaged", received=received)


@functools.lru_cache(maxsize=1)
def _reader(path: Path) -> _Reader:
    """The reader of this process for the video of which stills are being made."""
    return _Reader(path)


def _upright(image: np.ndarray, part: VideoPart) -> np.ndarray:
    if part.turn:
        image = np.rot90(image, -part.turn % 4)
    if part.crop is not None:
        height, width = image.shape[:2]
        x, y, w, h = part.crop
        image = image[round(y * height) : round((y + h) * height), round(x * width) : round((x + w) * width)]
    return widened(np.ascontiguousarray(image), part.stretch)


def widened(image: np.ndarray, stretch: float) -> np.ndarray:
    """`image` (H, W, 3) with W multiplied by `stretch`."""
    if stretch == 1:
        return image
    return cv2.resize(image, None, fx=stretch, fy=1, interpolation=cv2.INTER_LINEAR)
