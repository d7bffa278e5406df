"""A predictor that several visitors of the page share: it answers one question at a time."""

import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.track import TrackedFace
from ferkeras.prediction.result import FrameResult
from ferkeras.runs import RunFolder
from ferkeras.video import Frame

T = TypeVar("T")


class Predicts(Protocol):
    """What is used of `ferkeras.Predictor`, which see."""

    folder: RunFolder
    labels: tuple[str, ...]
    takes_clips: bool

    def pictures(self, paths: Iterable[str | Path]) -> Iterator[FrameResult]: ...

    def video(self, path: str | Path) -> Iterator[FrameResult]: ...

    def stream(self, frames: Iterable[Frame], *, source: str, live: bool = False) -> Iterator[FrameResult]: ...

    def crop(self, image: np.ndarray, face: TrackedFace) -> np.ndarray: ...


class Model:
    """One run on the page.

    A film and a camera are answered frame by frame, so a picture need not wait for the end of a film.

    Args:
        predictor: The run.

    Attributes:
        predictor: As given.
        name: Of the run.
        labels: Names of its K emotions; none for a network of valence and arousal alone.
        turn: The lock that whoever uses the network holds.
    """

    def __init__(self, predictor: Predicts) -> None:
        self.predictor = predictor
        self.name = predictor.folder.path.resolve().name
        self.labels = predictor.labels
        self.turn = threading.Lock()

    def picture(self, path: Path) -> FrameResult:
        """The faces of a picture file.

        Raises:
            InputError: if it is none, or too large; the message calls it by its name alone.
        """
        (result,) = self._in_turn(self.predictor.pictures([path]))
        if result.problem is not None:
            raise InputError(without_folder(result.problem, path).rstrip("."))
        return replace(result, source=path.name)

    def video(self, path: Path) -> Generator[FrameResult, None, None]:
        """The faces of each frame of a video file; raises `InputError` if it is none."""
        try:
            for result in self._in_turn(self.predictor.video(path)):
                yield replace(result, source=path.name)
        except InputError as error:
            raise InputError(without_folder(error, path).rstrip(".")) from error

    def camera(self, frames: Iterable[Frame]) -> Iterator[FrameResult]:
        """Answers each frame before it takes the next one."""
        return self._in_turn(self.predictor.stream(frames, source="camera", live=True))

    def _in_turn(self, results: Iterator[T]) -> Iterator[T]:
        while True:
            with self.turn:
                try:
                    result = next(results)
                except StopIteration:
                    return
            yield result


def without_folder(error: Exception, path: Path) -> str:
    """The message without the place where the file lies on the server, which says nothing to the visitor."""
    return str(error).replace(str(path), path.name)
