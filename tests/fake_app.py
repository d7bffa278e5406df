"""A predictor for the page that needs no network, a clock that is set, and a reader of the page's markup."""

import html.parser
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.track import TrackedFace
from ferkeras.pictures import read_picture
from ferkeras.prediction.result import FaceResult, FrameResult, Scores
from ferkeras.runs import RunFolder
from ferkeras.video import Frame, open_video

LABELS = ("angry", "<happy>", "sad")
PROBABILITIES = np.array([0.1, 0.7, 0.2])


def face(number: int = 0, scores: Scores | None = None) -> FaceResult:
    box = np.array([10, 5, 20, 25], np.float32)
    landmarks = np.full((5, 2), 15, np.float32)
    scores = scores or Scores(PROBABILITIES, 0.5, -0.25)
    return FaceResult(TrackedFace(number, box, landmarks, 0.9, True), scores, "<happy>")


class Fake:
    """Finds one face in everything that is not black, and notes how many callers it has at once."""

    labels = LABELS
    takes_clips = False

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self.callers = self.most_callers = 0
        self._lock = threading.Lock()

    def _result(self, source: str, frame: int, time_s: float | None, image: np.ndarray) -> FrameResult:
        with self._lock:
            self.callers += 1
            self.most_callers = max(self.most_callers, self.callers)
        threading.Event().wait(0.002)
        with self._lock:
            self.callers -= 1
        return FrameResult(source, frame, time_s, image, (face(),) if image.any() else ())

    def pictures(self, paths: Iterable[str | Path]) -> Iterator[FrameResult]:
        for path in paths:
            try:
                yield self._result(str(path), 0, None, read_picture(Path(path)))
            except InputError as error:
                yield FrameResult(str(path), 0, None, None, (), problem=error)

    def video(self, path: str | Path) -> Iterator[FrameResult]:
        with open_video(Path(path)) as video:
            yield from self.stream(video.frames(), source=str(path))

    def stream(self, frames: Iterable[Frame], *, source: str, live: bool = False) -> Iterator[FrameResult]:
        for frame in frames:
            if frame.image[0, 0, 0] == 13:
                raise InputError("Unlucky")
            yield self._result(source, frame.index, frame.time_s, frame.image)

    def crop(self, image: np.ndarray, face: TrackedFace) -> np.ndarray:
        return image[:8, :8]


class Texts(html.parser.HTMLParser):
    """Tags that are open, which must close in order, and all texts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now
