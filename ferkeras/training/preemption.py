"""SIGTERM, by which cluster managers announce the end of a job: training stops after the step it is in and saves."""

import signal
from types import TracebackType
from typing import Any


class PreemptedError(Exception):
    """Training was told to stop; the checkpoint has all that `resume` needs. The text says where it stands."""


class Preemption:
    """While it is entered, SIGTERM is noted and does not end the process. Enter it in the main thread.

    Attributes:
        requested: Whether the signal has come.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: Any = None

    def __enter__(self) -> "Preemption":
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def renew(self) -> None:
        """Takes the signal back from TensorFlow, which catches it for itself once it has joined a cluster."""
        signal.signal(signal.SIGTERM, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, number: int, frame: object) -> None:
        del number, frame
        self.requested = True
