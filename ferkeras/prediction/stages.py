"""Where the time goes: seconds spent in each part of a chain of generators."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import numpy as np

from ferkeras.faces.detection import Detector, Faces

T = TypeVar("T")


class Stages:
    """Seconds by the name of a stage. What runs inside another stage counts for the inner one alone.

    Attributes:
        seconds: Name -> seconds so far.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = 0.0  # seconds of the stages within the one that runs

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Counts the block for `name`."""
        outer, self._inside = self._inside, 0.0
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inside
            self._inside = outer + spent

    def each(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """`items`, the making of each counted for `name`."""
        iterator = iter(items)
        while True:
            with self.timed(name):
                made = tuple(islice(iterator, 1))
            if not made:
                return
            yield made[0]

    def table(self) -> str:
        """Markdown rows of stage, seconds and share, most expensive first."""
        total = sum(self.seconds.values()) or 1.0
        rows = sorted(self.seconds.items(), key=lambda item: -item[1])
        return "\n".join(f"| {name} | {seconds:.2f} | {seconds / total:.0%} |" for name, seconds in rows)


class TimedDetector:
    """A detector whose time is counted as `detect`."""

    def __init__(self, detector: Detector, stages: Stages) -> None:
        self.name, self._detector, self._stages = detector.name, detector, stages

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        with self._stages.timed("detect"):
            return self._detector(images)
