"""The annotated copy of a video: new pictures, the old sound, the old time stamps."""

import math
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import numpy as np

from ferkeras.annotation.clock import Clock
from ferkeras.annotation.sound import Sound
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.files import staged

#: Containers that can be written. All hold H.264 and most kinds of sound.
SUFFIXES = (".mp4", ".mov", ".mkv")
#: Frames that wait for the encoder before `write` waits too: 22 MB at 1280x720.
QUEUE = 8
#: Encoders by preference, with options that look alike to the eye. The second one is in every FFmpeg.
ENCODERS = {"libx264": {"preset": "veryfast", "crf": "20"}, "mpeg4": {"qmin": "2", "qmax": "5"}}
#: Parts of a second, at least, in which an MP4 tells when pictures and sound begin.
FINEST = 10_000
#: MPEG-4 part 2 has 16 bits for the unit of its time stamps.
MPEG4_UNIT = 65535


class AnnotatedVideo:
    """Writes the annotated frames of a video and the sound that belongs to them; for a `with` statement.

    * Frames stand at the times that `write` is given, counted as in `ferkeras.video` from the first frame of the
      source, in the source's own unit: a variable rate stays what it is, and where frames could not be decoded the one
      before them stays longer. If pictures and sound of the source both begin late, as in MPEG transport streams, the
      copy begins at 0. Matroska has no times below 0: where sound has a lead-in there, all moves by it together.
    * Frames are upright pixels. The copy therefore has no mark that asks the player to turn them.
    * H.264 in 4:2:0, or MPEG-4 part 2 where FFmpeg was built without x264. Both want even sizes: an odd one grows by a
      row or a column that repeats the last. The colour matrix and its marks are those of the source.
    * All sound tracks are copied packet by packet; see `Sound`. Subtitles, chapters and tags are left out.
    * Encoding runs in a thread of its own. Memory does not grow with the length.
    * The file has its name only once it is complete. If the block ends by an exception, Ctrl-C included, the copy ends
      after the last frame that was written, and has its name too; without a frame there is none.

    Args:
        source: The video that the frames are from; None for a camera, which gives a video without sound.
        target: File to write; its suffix, one of `SUFFIXES`, chooses the container.

    Attributes:
        problems: What could not be kept of the sound, one phrase each.

    Raises:
        InputError: for another suffix, a target that is the source, or a source without pictures.
        MissingExtraError: if PyAV is not installed.
    """

    def __init__(self, source: Path | None, target: Path) -> None:
        self.target = Path(target)
        if self.target.suffix.lower() not in SUFFIXES:
            raise InputError(f"An annotated video ends in {', '.join(SUFFIXES)}", received=str(target))
        if source is not None and self.target.exists() and self.target.samefile(source):
            raise InputError("The annotated video may not replace its source", received=str(target))
        self.problems: list[str] = []
        self._source = None if source is None else Path(source)
        self._resources = ExitStack()
        self._waiting: deque[Future[None]] = deque()
        self._last_frame = -1
        self._last_pts: int | None = None

    def __enter__(self) -> "AnnotatedVideo":
        av = _av()
        self._av = av
        with ExitStack() as stack:  # closes what is open if one of these fails
            self._clock = Clock(av, self._source)
            path = stack.enter_context(staged(self.target))
            self._container = stack.enter_context(av.open(str(path), "w", options=self._options()))
            self._stream = self._add_stream()
            self._sound = stack.enter_context(Sound(av, self._source, self._container, self.problems))
            self._worker = stack.enter_context(ThreadPoolExecutor(max_workers=1, thread_name_prefix="annotated-video"))
            self._resources = stack.pop_all()
        return self

    def write(self, frame: int, time_s: float, image: np.ndarray) -> None:
        """Appends a frame; waits where the encoder is `QUEUE` frames behind.

        Args:
            frame: Its number. Numbers must rise.
            time_s: Seconds after the first frame of the source.
            image: (H, W, 3) uint8 RGB, upright; not to be changed afterwards. One of another size than the first is
                scaled to it.

        Raises:
            InputError: if frames are out of order, and for what went wrong with earlier frames in the encoder.
        """
        if frame <= self._last_frame:
            raise InputError("Frames must come in order", received=f"frame {frame} after frame {self._last_frame}")
        self._last_frame = frame
        self._waiting.append(self._worker.submit(self._encode, time_s, image))
        if len(self._waiting) > QUEUE:
            self._waiting.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._resources:
            while self._waiting:
                self._waiting.popleft().result()
            if self._last_pts is None:
                raise error or InputError("An annotated video needs a frame", received=str(self.target))
            self._worker.submit(self._finish, complete=error is None).result()

    def _options(self) -> dict[str, str]:
        """Of the container: the index first, so that a browser can begin, and starting times exact to the unit."""
        if self.target.suffix.lower() == ".mkv":
            return {}
        denominator = self._clock.unit.denominator
        return {"movflags": "+faststart", "movie_timescale": str(denominator * -(-FINEST // denominator))}

    def _add_stream(self) -> Any:
        codec = next(name for name in ENCODERS if name in self._av.codecs_available)
        stream = self._container.add_stream(codec, rate=self._clock.rate, options=ENCODERS[codec])
        self._unit = self._clock.unit
        if codec == "mpeg4" and self._unit.denominator > MPEG4_UNIT:
            self._unit = Fraction(1, MPEG4_UNIT)
        context = stream.codec_context
        context.time_base, context.thread_type = self._unit, "AUTO"
        context.color_range = self._av.video.reformatter.ColorRange.MPEG
        for name, value in self._clock.colours.items():
            setattr(context, name, value)
        return stream

    def _start(self, height: int, width: int) -> None:
        stream = self._stream
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        self._shift_s = max(0.0, min([self._clock.first_s, *self._sound.starts]))
        self._sound.shift(self._shift_s)
        self._container.start_encoding()

    def _encode(self, time_s: float, image: np.ndarray) -> None:
        stream, clock = self._stream, self._clock
        if self._last_pts is None:
            self._start(*image.shape[:2])
        image = np.pad(image, ((0, image.shape[0] % 2), (0, image.shape[1] % 2), (0, 0)), mode="edge")
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        frame = frame.reformat(stream.width, stream.height, "yuv420p", dst_colorspace=clock.matrix)
        pts = round((clock.first_s + time_s - self._shift_s) / self._unit)
        if self._last_pts is not None:  # damaged files give two frames the same time
            pts = max(pts, self._last_pts + 1)
        frame.pts, frame.time_base, self._last_pts = pts, self._unit, pts
        self._mux(stream.encode(frame))

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            # Players and the muxer want sound and pictures of the same time near each other.
            self._sound.copy(until_s=float(packet.dts * packet.time_base))
            self._container.mux(packet)

    def _finish(self, *, complete: bool) -> None:
        packets = self._stream.encode(None)
        last_s = (self._last_pts or 0) * self._unit
        length_s = max(1 / self._clock.rate, self._clock.end_s - self._shift_s - last_s if complete else 0)
        for packet in packets:
            if packet.pts is not None and packet.pts * packet.time_base == last_s:
                packet.duration = round(length_s / packet.time_base)
        self._mux(packets)
        self._sound.copy(until_s=math.inf if complete else float(last_s + length_s))
        self._sound.finish()


def _av() -> ModuleType:
    try:
        import av
        import av.video.reformatter
    except ImportError as error:
        raise MissingExtraError("av", extra="video") from error
    return av
