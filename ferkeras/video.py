"""Video files: frames with their exact number and time, upright, one after the other in constant memory.

Read by PyAV, which carries its own FFmpeg.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import chain, dropwhile
from mmap import mmap
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

import numpy as np

from ferkeras.errors import InputError, MissingExtraError

#: Largest frame that is decoded, as for pictures.
MAX_PIXELS = 100_000_000
#: Seconds that the pictures may end before the duration in the file's header; sound is often a little longer.
SHORTER_S = 0.5
#: A pause between two frames this many times longer than usual, and than `SHORTER_S`, is reported.
LONG_PAUSE = 10
#: Formats with a table of key frames. In others, such as MPEG programme streams, seeking is a guess that was seen to
#: give wrong frames, so they are decoded from the beginning.
SEEKABLE = ("mov", "matroska", "avi")


class Frame(NamedTuple):
    """One frame of a video.

    Attributes:
        index: Its number from 0 in the order of presentation. A frame that cannot be decoded keeps its number. Where a
            damaged file has lost packets altogether the numbers after them are too low, and only the times are right.
        time_s: When it is shown, in seconds after the first frame.
        image: (H, W, 3) uint8 RGB, upright. Pixels are taken for square, as in nearly all videos.
    """

    index: int  # type: ignore[assignment]  # hides the method of tuples
    time_s: float
    image: np.ndarray


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is decoded.

    Attributes:
        width: Of the upright frame, in pixels.
        height: Of the upright frame, in pixels.
        fps: Average number of frames per second.
        frames: Number of frames, those that cannot be decoded included.
        duration_s: Seconds from the first frame to the end of the last one.
        rotation: Degrees, a multiple of 90, by which the stored frames are turned counterclockwise to be upright.
    """

    width: int
    height: int
    fps: float
    frames: int
    duration_s: float
    rotation: int


@dataclass(frozen=True, eq=False)
class _Index:
    """Of each frame in the order of presentation: `times` (N,) in seconds and, where they can be relied on, `pts` (N,),
    the file's own time stamps, by which a decoded frame is recognised; `keys` are those of the frames to seek to."""

    times: np.ndarray
    pts: np.ndarray | None
    keys: np.ndarray


def open_video(path: Path) -> "Video":
    """The video in `path`, for a `with` statement. Its packets are read once for the index, which decodes nothing.

    Raises:
        InputError: if it is no video, has no frame that can be decoded, or frames larger than `MAX_PIXELS`.
        MissingExtraError: if PyAV is not installed.
    """
    return Video(path)


class Video:
    """See `open_video`.

    Attributes:
        path: The file.
        info: `VideoInfo`.
        problems: What is damaged, one phrase each, found so far: while the index was made and frames were read.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.problems: list[str] = []
        self._readers: list[Generator[Frame, None, None]] = []
        if not self.path.is_file():
            raise InputError("There is no such video file", received=str(path))
        av = _av()
        try:
            with _open(av, self.path) as container:
                stream = _pictures(container, self.path)
                self._index = self._scan(av, container, stream)
                rate = stream.average_rate or stream.guessed_rate or 25
            first = self._first_frame(av)
        except av.error.FFmpegError as error:
            reason = f"FFmpeg: {error.strerror}."
            raise InputError("The file cannot be read as a video", received=str(path), action=reason) from error
        times = self._index.times
        fps = float((len(times) - 1) / times[-1] if times[-1] > 0 else rate)
        rotation = round(first.rotation / 90) * 90 % 360
        width, height = (first.width, first.height) if rotation % 180 == 0 else (first.height, first.width)
        self.info = VideoInfo(width, height, fps, len(times), float(times[-1] + 1 / fps), rotation)

    def __enter__(self) -> "Video":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reader in self._readers:
            reader.close()

    def between(self, start_s: float, stop_s: float) -> tuple[int, int]:
        """`start` and `stop` for `frames`: the frames shown from `start_s` on and before `stop_s`, in seconds."""
        start, stop = np.searchsorted(self._index.times, np.array([start_s, stop_s]) - 1e-6)
        return int(start), int(stop)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        """Frames `start`, `start + step`, ... before `stop` (None is the end), equal to those of a complete reading.

        Frames that cannot be decoded are left out, and so are those that build on them, up to the next key frame:
        their pixels would be smeared. Both are told in `problems`.

        Raises:
            InputError: for a negative `start` or a `step` below 1.
        """
        if start < 0 or step < 1:
            raise InputError("start must be at least 0 and step at least 1", received=f"start={start}, step={step}")
        reader = self._read(start, min(len(self._index.times), len(self._index.times) if stop is None else stop), step)
        self._readers.append(reader)
        return reader

    def _read(self, start: int, stop: int, step: int) -> Generator[Frame, None, None]:
        next_index = start  # the first one of which it is not known yet whether it can be decoded
        damaged = False
        for index, frame in self._decoded(start) if start < stop else ():
            if frame is None or frame.is_corrupt:
                damaged = True
                if self._index.pts is None:
                    self._problem(
                        f"from frame {index} on, numbers may be wrong by a few: the format has no time stamps"
                    )
                continue
            damaged = damaged and not frame.key_frame
            if index >= stop:
                break
            if index < next_index or damaged:
                continue
            self._missing(next_index, index)
            next_index = index + 1
            if (index - start) % step == 0:
                image = np.rot90(frame.to_ndarray(format="rgb24"), self.info.rotation // 90)
                yield Frame(index, float(self._index.times[index]), _apart(image))
        self._missing(next_index, stop)

    def _decoded(self, start: int) -> Iterator[tuple[int, Any]]:
        """Number and frame of PyAV, from `start` or somewhat before it; None for one that the decoder gave up on."""
        av = _av()
        pts = self._index.pts
        for seek in (True, False):
            with _open(av, self.path) as container:
                stream = _pictures(container, self.path)
                packets = self._after_seek(container, stream, start) if seek else container.demux(stream)
                if packets is None:
                    continue
                for count, frame in enumerate(_decode(av, packets)):
                    if frame is None or pts is None:
                        yield count, frame
                        continue
                    index = int(np.searchsorted(pts, frame.pts)) if frame.pts is not None else len(pts)
                    if index < len(pts) and pts[index] == frame.pts:
                        yield index, frame
                    else:
                        self._problem(f"a frame with the unknown time stamp {frame.pts} is left out")
                return

    def _after_seek(self, container: Any, stream: Any, start: int) -> Iterator[Any] | None:
        """The packets from the last key frame on that is not after `start`; None if it cannot be found."""
        if start == 0 or self._index.pts is None or not container.format.name.startswith(SEEKABLE):
            return None
        wanted = int(self._index.pts[start])
        keys = self._index.keys[self._index.keys <= wanted]
        if not keys.size:
            return None
        container.seek(int(keys[-1]), stream=stream)
        # The table may be missing or wrong: what comes first is looked at before it is relied on.
        packets = dropwhile(lambda packet: not packet.is_keyframe, container.demux(stream))
        first = next(packets, None)
        if first is None or first.pts is None or first.pts > wanted:
            return None
        return chain([first], packets)

    def _scan(self, av: ModuleType, container: Any, stream: Any) -> _Index:
        """The index of the frames from the headers of all packets."""
        pts, dts, keys = [], [], []
        announced, packets = stream.frames, 0
        try:
            for packet in container.demux(stream):
                packets += bool(packet.size)
                if packet.size and not packet.is_discard:  # those lie before the start that the file itself names
                    pts.append(packet.pts)
                    dts.append(packet.dts)
                    keys += [packet.pts] if packet.is_keyframe and packet.pts is not None else []
        except av.error.FFmpegError as error:
            self._problem(f"the file cannot be read beyond {len(pts)} frames: {error.strerror}")
        if not pts:
            raise InputError("The video has no frame", received=str(self.path))
        # AVI has no presentation times. FFmpeg's are right only where frames are stored in the order they are shown.
        reliable = None not in pts and len(set(pts)) == len(pts) and (container.format.name != "avi" or pts == dts)
        first_s = 0.0
        if reliable or None not in dts:
            stamps, unit = np.sort(np.array(pts if reliable else dts, np.int64)), float(stream.time_base)
            first_s, times = stamps[0] * unit, (stamps - stamps[0]) * unit
        else:
            times = np.arange(len(pts)) / float(stream.average_rate or stream.guessed_rate or 25)
        pauses = np.diff(times)
        end_s, announced_s = first_s + times[-1], (container.duration or 0) / 1e6
        if container.format.name.startswith("mov") and announced > packets:
            self._problem(f"the file ends after {packets} of {announced} frames")
        elif len(pauses) and announced_s > end_s + pauses[-1] + SHORTER_S:
            self._problem(f"the pictures end at {end_s:.2f} s of {announced_s:.2f} s")
        for last in np.flatnonzero(pauses > max(SHORTER_S, LONG_PAUSE * np.median(pauses))) if len(pauses) else ():
            self._problem(f"there is no frame between {times[last]:.2f} s and {times[last + 1]:.2f} s")
        return _Index(times, np.sort(np.array(pts, np.int64)) if reliable else None, np.sort(np.array(keys, np.int64)))

    def _first_frame(self, av: ModuleType) -> Any:
        """The first frame that can be decoded."""
        with _open(av, self.path) as container:
            for frame in _decode(av, container.demux(_pictures(container, self.path))):
                if frame is not None:
                    return frame
        raise InputError("No frame of the video can be decoded", received=str(self.path))

    def _missing(self, start: int, stop: int) -> None:
        """Tells that the frames from `start` to before `stop` did not come."""
        if start < stop:
            which = f"frame {start}" if stop == start + 1 else f"frames {start} to {stop - 1}"
            times = self._index.times
            self._problem(f"{which} ({times[start]:.2f} s to {times[stop - 1]:.2f} s) cannot be decoded")

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)


def _decode(av: ModuleType, packets: Iterator[Any]) -> Iterator[Any]:
    """The frames in the packets, in the order of presentation; None where the decoder reports an error."""
    while True:
        try:
            for packet in packets:
                yield from packet.decode()
            return
        except av.error.EOFError:
            return
        except av.error.FFmpegError:
            yield None


def _apart(image: np.ndarray) -> np.ndarray:
    """A contiguous copy in memory that goes back to the system as soon as it is not used any more.

    In the heap, frames lie among the small results of them that are kept, and leave holes: the memory of a process that
    keeps nothing but boxes was seen to grow by 1 GiB in 1500 frames of 1280x720.
    """
    copy = np.ndarray(image.shape, image.dtype, buffer=mmap(-1, image.nbytes))
    copy[...] = image
    return copy


def _open(av: ModuleType, path: Path) -> Any:
    # A playlist may not reach beyond this machine's files.
    return av.open(str(path), options={"protocol_whitelist": "file"}, metadata_errors="replace")


def _pictures(container: Any, path: Path) -> Any:
    """The video stream, ready to be decoded with threads."""
    streams = [stream for stream in container.streams.video if not stream.disposition & stream.disposition.attached_pic]
    if not streams or container.format.name.endswith("_pipe"):
        what = "is a still picture" if streams else "has sound or text, but no pictures"
        raise InputError(f"The file {what}", received=str(path), action="Give a video file.")
    stream = streams[0]
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > MAX_PIXELS:
        what = f"A frame may have {MAX_PIXELS // 10**6} megapixels"
        raise InputError(what, received=f"{path}, {width}x{height}")
    stream.thread_type = "AUTO"
    return stream


def _av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", extra="video") from error
    return av
