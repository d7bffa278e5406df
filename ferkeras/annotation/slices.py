"""Frames as stretches of time."""

from dataclasses import replace

from ferkeras.errors import InputError
from ferkeras.prediction.result import FrameResult

#: Length of the only frame of a video, in seconds.
SINGLE_S = 0.04


class Slices:
    """Gives frames their lengths: each lasts until the next, the last one as long as the one before it.

    Where frames could not be decoded, and their numbers are missing, the frame before them lasts no longer than its
    share: the time of the missing ones belongs to nobody.
    """

    def __init__(self) -> None:
        self._last: FrameResult | None = None
        self._seconds = SINGLE_S
        self._ended = False

    def add(self, result: FrameResult) -> tuple[FrameResult, float, float] | None:
        """The frame before this one, without its image, its time and its length in seconds; None for the first frame.

        Raises:
            InputError: for a picture, which has no time, for frames out of order, and after `finish`.
        """
        last, self._last = self._last, replace(result, image=None)
        if result.time_s is None or self._ended:
            what = "Frames after the end" if self._ended else "A picture, which has no time,"
            raise InputError(f"{what} cannot be summed up", received=f"{result.source}, frame {result.frame}")
        if last is None or last.time_s is None:
            return None
        if result.frame <= last.frame or result.time_s < last.time_s:
            raise InputError("Frames must come in order", received=f"frame {result.frame} after frame {last.frame}")
        self._seconds = (result.time_s - last.time_s) / (result.frame - last.frame)
        return last, last.time_s, self._seconds

    def finish(self) -> tuple[FrameResult, float, float] | None:
        """The last frame, once."""
        last, self._last, self._ended = self._last, None, True
        return None if last is None or last.time_s is None else (last, last.time_s, self._seconds)
