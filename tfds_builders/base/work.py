"""Work on many sources in several processes that an interruption does not lose.

Finding faces takes most of the time of preparing a data set. What each source gave is written, whole, into a work
folder in the data directory as soon as it is there; a run that was stopped finds it again and goes on. TensorFlow
Datasets then writes its records from that folder, in the order of the sources, whatever order the processes finished
in. Once the data set is complete the folder can go.
"""

import contextlib
import hashlib
import json
import pickle
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from ferkeras.files import staged
from tfds_builders.base.processes import Workers
from tfds_builders.base.source import ClipSource, FrameFiles, Skip, VideoFrame, VideoPart, ZipMember

Result = dict[str, Any] | Skip
Make = Callable[[Any], Iterator[Result]]
#: Gives some of the results of a source; a process can be given it.
Part = Callable[[], list[Result]]


class Done(Protocol):
    """Where the results of a source come from."""

    def __call__(self, source: Any) -> Iterator[Result]:
        """The results, one at a time."""

    def parts(self, source: Any) -> Iterator[Part]:
        """The same results in pieces, each small enough for the memory."""


@dataclass(frozen=True)
class MadeNow:
    """Results are made when they are asked for."""

    make: Make

    def __call__(self, source: Any) -> Iterator[Result]:
        return self.make(source)

    def parts(self, source: Any) -> Iterator[Part]:
        yield partial(_all, self.make, source)


@dataclass(frozen=True)
class MadeBefore:
    """Results lie in a work folder."""

    folder: Path

    def __call__(self, source: Any) -> Iterator[Result]:
        for part in self.parts(source):
            yield from part()

    def parts(self, source: Any) -> Iterator[Part]:
        place = _place(self.folder, source)
        done = json.loads((place / "done.json").read_text())
        for number in range(done["count"]):
            yield partial(_load, place / f"{number:05d}.npz")
        if done["skips"]:
            yield partial(list, [Skip(*skip) for skip in done["skips"]])


def run(sources: Sequence[Any], make: Make, *, folder: Path, pool: Workers, unit: str) -> Done:
    """Makes the results of all sources and returns where to read them.

    Args:
        sources: What to work on.
        make: Source -> its results; a function of a module or a partial of one, so that processes can be given it.
        folder: The work folder. What it holds already is not made again, unless the source, its files or `make` are
            other ones now.
        pool: Who works.
        unit: What the progress counts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [_Task(source, _place(folder, source), _state(source, make)) for source in sources]
    waiting = [task for task in tasks if not _finished(task)]
    with tqdm(total=len(tasks), initial=len(tasks) - len(waiting), unit=unit, file=sys.stderr) as progress:
        if pool.count == 1:
            for task in waiting:
                _work([task], make)
                progress.update()
        else:
            # Small enough that all processes end at about the same time.
            size = max(1, min(32, len(waiting) // (8 * pool.count)))
            groups = [waiting[i : i + size] for i in range(0, len(waiting), size)]
            for future in as_completed([pool.submit(_work, group, make) for group in groups]):
                progress.update(future.result())
    return MadeBefore(folder)


def folder_of(data_dir_root: Path, full_name: str) -> Path:
    """The work folder of a data set: hidden, in the data directory."""
    return data_dir_root / ".work" / full_name.replace("/", "-")


def remove(folder: Path) -> None:
    """Removes a work folder, and the one around it once that is empty."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()


class _Task(NamedTuple):
    source: Any
    place: Path
    state: str


def _work(tasks: Sequence[_Task], make: Make) -> int:
    for task in tasks:
        _store(task, make(task.source))
    return len(tasks)


def _place(folder: Path, source: Any) -> Path:
    name = hashlib.sha256(f"{source.split}/{source.id}".encode()).hexdigest()[:24]
    return folder / name[:2] / name


def _state(source: Any, make: Make) -> str:
    """Stands for the source, the size and time of its files, and what is made of it."""
    pictures = source.frames if isinstance(source, ClipSource) else source.picture
    if isinstance(pictures, VideoPart):
        files = [pictures.path]
    elif isinstance(pictures, FrameFiles):
        files = [_file(picture) for picture in pictures.pictures if picture is not None]
    else:
        files = [] if isinstance(pictures, np.ndarray) else [_file(pictures)]
    stats = [path.stat() for path in dict.fromkeys(files) if path.exists()]
    marks = [(stat.st_size, stat.st_mtime_ns) for stat in stats]
    return hashlib.sha256(pickle.dumps((source, make, marks))).hexdigest()


def _file(picture: Path | ZipMember | VideoFrame) -> Path:
    if isinstance(picture, VideoFrame):
        return picture.video.path
    return picture.archive if isinstance(picture, ZipMember) else picture


def _finished(task: _Task) -> bool:
    try:
        return json.loads((task.place / "done.json").read_text())["state"] == task.state
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _store(task: _Task, results: Iterable[Result]) -> None:
    """Writes each result as it comes, so that a long recording is never in memory as a whole."""
    skips: list[Skip] = []
    with staged(task.place) as unfinished:
        unfinished.mkdir()
        count = 0
        for result in results:
            if isinstance(result, Skip):
                skips.append(result)
            else:
                np.savez(unfinished / f"{count:05d}.npz", **result)
                count += 1
        (unfinished / "done.json").write_text(json.dumps({"state": task.state, "count": count, "skips": skips}))


def _load(file: Path) -> list[Result]:
    with np.load(file, allow_pickle=False) as arrays:
        # A number or a string was stored as an array without axes.
        return [{name: value if value.ndim else value.item() for name, value in arrays.items()}]


def _all(make: Make, source: Any) -> list[Result]:
    return list(make(source))
