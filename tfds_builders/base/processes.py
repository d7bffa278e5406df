"""Processes that work for this one and end with it; what they make comes back in order."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

from ferkeras.errors import InputError

#: Seconds of work after which other processes are started: about as long as each takes to import TensorFlow.
PATIENCE = 5.0
#: Chunks of items that are under way for each process. More would fill the memory when the reader is the slow one.
AHEAD = 3

Item = TypeVar("Item")
Made = TypeVar("Made")


class Workers:
    """So many processes for a `with` block: none is started before there is work, none is left afterwards.

    Attributes:
        count: Number of processes; 1 works in this one.
        started: Whether any was needed.

    Raises:
        InputError: from the block, if one of them is killed.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.started = False
        self._seconds = 0.0

    def __enter__(self) -> "Workers":
        self._others = active_children()
        threads = max(1, (os.cpu_count() or 1) // self.count)
        # Forking a process that has loaded TensorFlow can hang: processes begin anew.
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(self.count, context, initializer=_begin, initargs=(threads,))
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            # A long video may have minutes to go. What a worker has not finished leaves nothing behind that counts.
            for worker in set(active_children()).difference(self._others):
                worker.terminate()
        self._pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                "A worker process ended, killed perhaps for want of memory",
                received=f"{self.count} workers",
                action="Run the command again, with fewer --workers: what is finished is kept.",
            ) from error

    def submit(self, function: Callable[..., Made], *args: Any) -> "Future[Made]":
        """Has a process call `function`, of a module or a partial of one; what it raises the result raises."""
        self.started = True
        return self._pool.submit(function, *args)

    def map(self, function: Callable[[Item], Made], items: Iterable[Item], *, size: int) -> Iterator[Made]:
        """`function` of each item, in order; so many items at a time are given to a process.

        The first seconds are worked in this process: what is done by then is done before others could have begun.
        """
        items = iter(items)
        for item in items:
            begun = time.monotonic()
            made = function(item)
            self._seconds += time.monotonic() - begun
            yield made
            if self.count > 1 and self._seconds >= PATIENCE:
                break
        waiting: deque[Future[list[Made]]] = deque()
        while chunk := list(islice(items, size)):
            waiting.append(self.submit(_each, function, chunk))
            if len(waiting) == AHEAD * self.count:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _each(function: Callable[[Item], Made], items: Sequence[Item]) -> list[Made]:
    return [function(item) for item in items]


def _begin(threads: int) -> None:
    """Sets up a worker: it ends with its parent, Ctrl-C is for the parent, and the processes share the cores."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # TensorFlow's C++ part writes lines on starting that no log level stops; errors come back as exceptions.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["OMP_NUM_THREADS"] = str(threads)
    import cv2

    cv2.setNumThreads(threads)


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed: it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
