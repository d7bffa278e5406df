"""Frames of a camera as they come, always the newest one."""

import threading
import time
from collections.abc import Callable, Generator
from typing import Protocol

import cv2
import numpy as np

from ferkeras.errors import InputError
from ferkeras.video import Frame

#: Seconds that a camera may take for its first picture; some have to wake up.
FIRST_PICTURE_S = 10.0
#: Seconds that closing waits for the camera's last picture.
CLOSE_S = 2.0


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def isOpened(self) -> bool: ...  # noqa: N802  # OpenCV's name

    def read(self) -> tuple[bool, np.ndarray]: ...

    def release(self) -> None: ...


def open_camera(number: int) -> Capture:
    """Camera `number` of this machine. OpenCV's own messages, several lines for a missing one, are held back."""
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(number)
    finally:
        logging.setLogLevel(level)


def camera_frames(number: int, *, open_capture: Callable[[int], Capture] = open_camera) -> Generator[Frame, None, None]:
    """The newest frame each time, until the camera gives no more or the iterator is closed.

    The camera is read on a thread of its own, so that a slow user of the frames misses some and never lags behind.
    It is opened for the first frame and released at the end, also after an exception or Ctrl-C.

    Args:
        number: 0 is the first camera.
        open_capture: Opens it; for tests, or for a camera with settings of its own.

    Raises:
        InputError: if there is no such camera or it gives no picture.
    """
    capture = open_capture(number) if number >= 0 else None
    if capture is None or not capture.isOpened():
        if capture is not None:
            capture.release()
        raise InputError("The camera cannot be opened", received=number, action="The first camera has the number 0.")
    newest = _Newest(capture)
    try:
        frame = newest.after(-1, timeout_s=FIRST_PICTURE_S)
        if frame is None:
            raise InputError("The camera gives no picture", received=number, action="Is another program using it?")
        first_s = frame.time_s
        while frame is not None:
            image = cv2.cvtColor(frame.image, cv2.COLOR_BGR2RGB)
            yield Frame(frame.index, frame.time_s - first_s, image)
            frame = newest.after(frame.index)
    finally:
        newest.close()


class _Newest:
    """A thread that reads a capture and keeps its last frame (BGR), and releases it in the end."""

    def __init__(self, capture: Capture) -> None:
        self._capture = capture
        self._frame: Frame | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="camera", daemon=True)
        self._thread.start()

    def after(self, index: int, *, timeout_s: float | None = None) -> Frame | None:
        """The newest frame once it has a higher number than `index`; None at the end, or if it does not come."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._number() > index, timeout_s)
            return self._frame if self._number() > index else None

    def close(self) -> None:
        with self._changed:
            self._ended = True
        self._thread.join(CLOSE_S)

    def _number(self) -> int:
        return -1 if self._frame is None else self._frame.index

    def _read(self) -> None:
        try:
            index = 0
            while not self._ended:
                there, image = self._capture.read()
                if not there:
                    break
                with self._changed:
                    self._frame = Frame(index, time.monotonic(), image)
                    self._changed.notify_all()
                index += 1
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._capture.release()  # here, since nobody may release what another thread reads
