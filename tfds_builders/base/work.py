"""Work on many sources in several processes that an interruption does not lose.

Finding faces takes most of the time of preparing a data set. What each source gave is written, whole, into a work
folder in the data directory as soon as it is there; a run that was stopped finds it again and goes on. TensorFlow
Datasets then writes its records from that folder, in the order of the sources, whatever order the processes finished
in. Once the data set is complete the folder can go.
"""

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from ferkeras.errors import InputError
from ferkeras.files import staged
from tfds_builders.base.source import ClipSource, FrameFiles, Skip, VideoFrame, VideoPart, ZipMember

Result = dict[str, Any] | Skip
Make = Callable[[Any], Iterator[Result]]
#: Source -> its results, from memory, a work folder, or made at the moment.
Done = Callable[[Any], Iterator[Result]]


def run(sources: Sequence[Any], make: Make, *, folder: Path, workers: int, unit: str) -> Done:
    """Makes the results of all sources and returns where to read them.

    Args:
        sources: What to work on.
        make: Source -> its results; a function of a module or a partial of one, so that processes can be given it.
        folder: The work folder. What it holds already is not made again, unless the source, its files or `make` are
            other ones now.
        workers: Number of processes; 1 works in this one.
        unit: What the progress counts.

    Raises:
        InputError: if a process is killed. What was finished stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [_Task(source, _place(folder, source), _state(source, make)) for source in sources]
    waiting = [task for task in tasks if not _finished(task)]
    with tqdm(total=len(tasks), initial=len(tasks) - len(waiting), unit=unit, file=sys.stderr) as progress:
        if workers <= 1:
            for task in waiting:
                _work([task], make)
                progress.update()
        else:
            # Small enough that all processes end at about the same time.
            size = max(1, min(32, len(waiting) // (8 * workers)))
            groups = [waiting[i : i + size] for i in range(0, len(waiting), size)]
            _run_in_processes(groups, make, workers=workers, progress=progress)
    return lambda source: _load(_place(folder, source))


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


def _run_in_processes(groups: Sequence[list[_Task]], make: Make, *, workers: int, progress: "tqdm[Any]") -> None:
    threads = max(1, (os.cpu_count() or 1) // workers)
    others = active_children()
    # Forking a process that has loaded TensorFlow can hang: processes begin anew.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_begin, initargs=(threads,)) as pool:
        waiting = [pool.submit(_work, group, make) for group in groups]
        try:
            for future in as_completed(waiting):
                progress.update(future.result())
        except BrokenProcessPool as error:
            raise InputError(
                "A worker process ended, killed perhaps for want of memory",
                received=f"{workers} workers",
                action="Run the command again, with fewer --workers: what is finished is kept.",
            ) from error
        except BaseException:
            # A long video may have minutes to go. What a worker has not finished leaves nothing behind that counts.
            for worker in set(active_children()).difference(others):
                worker.terminate()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _begin(threads: int) -> None:
    """Sets up a worker: it ends with its parent, Ctrl-C is for the parent, and the processes share the cores."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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


def _load(place: Path) -> Iterator[Result]:
    done = json.loads((place / "done.json").read_text())
    for number in range(done["count"]):
        with np.load(place / f"{number:05d}.npz", allow_pickle=False) as arrays:
            # A number or a string was stored as an array without axes.
            yield {name: value if value.ndim else value.item() for name, value in arrays.items()}
    yield from (Skip(*skip) for skip in done["skips"])
