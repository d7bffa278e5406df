"""Processes that work for this one and end with it; what they make comes back in order."""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import chain, islice
from multiprocessing import active_children, get_context, parent_process
from typing import Any, TypeVar

from ferkeras.errors import InputError

#: Seconds that starting other processes takes: each imports TensorFlow. They must save more than that.
START = 10.0
#: Seconds of work by which is estimated what is left; where it cannot be, others are started after twice `START`.
TRIAL = 1.0
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

    def map(
        self, function: Callable[[Item], Made], items: Iterable[Item], *, size: int, total: int | None = None
    ) -> Iterator[Made]:
        """`function` of each item, in order; so many items at a time are given to a process.

        The first ones are worked in this process, and all of them where others would not be started in time to help.

        Args:
            function: Of a module, or a partial of one.
            items: Are read as they are needed.
            size: Items that are given to a process at once.
            total: Their number, where it is known.
        """
        items = iter(items)
        seconds = 0.0
        for done, item in enumerate(items):
            if self.started or self._is_worth_starting(seconds, done, total):
                items = chain([item], items)
                break
            begun = time.monotonic()
            made = function(item)
            seconds += time.monotonic() - begun
            yield made
        waiting: deque[Future[list[Made]]] = deque()
        while chunk := list(islice(items, size)):
            waiting.append(self.submit(_each, function, chunk))
            if len(waiting) == AHEAD * self.count:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()

    def _is_worth_starting(self, seconds: float, done: int, total: int | None) -> bool:
        """Whether others would save more time than their start takes, after `seconds` for the first `done` items."""
        if self.count == 1 or not done or seconds < TRIAL:
            return False
        if total is None:
            return seconds >= 2 * START
        return seconds / done * (total - done) * (1 - 1 / self.count) > START


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
