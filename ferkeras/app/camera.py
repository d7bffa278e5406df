"""Frames that a browser sends one by one, each answered at once."""

import base64
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from ferkeras.annotation.draw import Annotator
from ferkeras.app.model import Model
from ferkeras.errors import InputError
from ferkeras.pictures import decode_picture
from ferkeras.prediction.result import FrameResult
from ferkeras.video import Frame

#: Seconds over which the frame rate is measured, and after which a visitor's camera begins anew.
MEASURED_S, PAUSE_S = 2.0, 5.0


@dataclass(frozen=True, eq=False)
class View:
    """The answer to one frame.

    Attributes:
        image: (H, W, 3) uint8 RGB with boxes and labels.
        result: What was found.
        fps: Frames answered a second, over the last `MEASURED_S` seconds.
        latency_ms: Milliseconds from the arrival of the frame to the annotated image.
    """

    image: np.ndarray
    result: FrameResult
    fps: float
    latency_ms: float


class Camera:
    """The faces before one visitor's camera, followed from frame to frame.

    Args:
        model: The run.
        clock: Seconds, for tests.
    """

    def __init__(self, model: Model, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._model, self._clock = model, clock
        self._lock = threading.Lock()
        self._answered: deque[float] = deque()
        self._started: float | None = None
        self._annotate: Annotator
        self._results: Iterator[FrameResult]
        self._begin()

    def __call__(self, image: np.ndarray) -> View:
        """Answers `image`, (H, W, 3) uint8 RGB."""
        with self._lock:
            arrived = self._clock()
            if self._answered and arrived - self._answered[-1] > PAUSE_S:
                self._begin()
            if self._started is None:
                self._started = arrived
            self._next = Frame(self._count, arrived - self._started, image)
            self._count += 1
            try:
                result = next(self._results)
            except BaseException:
                self._begin()  # a generator that failed gives nothing any more
                raise
            drawn = self._annotate(result)
            done = self._clock()
            self._answered.append(done)
            while done - self._answered[0] > MEASURED_S:
                self._answered.popleft()
            span = done - self._answered[0]
            fps = (len(self._answered) - 1) / span if span > 0 else 0.0
            return View(drawn, result, fps, (done - arrived) * 1000)

    def _begin(self) -> None:
        self._count = 0
        self._started = None
        self._answered.clear()
        self._annotate = Annotator(self._model.labels)
        self._results = self._model.camera(self._frames())

    def _frames(self) -> Iterator[Frame]:
        while True:  # one is asked for after each that came: see `Model.camera`
            yield self._next


def decode_frame(url: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a `data:` address with a base64 picture; raises `InputError` if it is none."""
    head, _, data = url.partition(";base64,")
    if not head.startswith("data:image/"):
        raise InputError("A frame of the camera must be a picture in base64", received=url[:40])
    try:
        content = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise InputError("A frame of the camera must be a picture in base64", received=url[:40]) from error
    image = decode_picture(content, name="camera")
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def encode_frame(image: np.ndarray) -> str:
    """The opposite, as JPEG."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
