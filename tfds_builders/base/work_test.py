"""Work that an interruption does not lose: what is made again after a kill, a change or an error, and what is not."""

import contextlib
import functools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.errors import InputError
from tfds_builders.base import work
from tfds_builders.base.processes import Workers
from tfds_builders.base.source import ClipSource, FrameFiles, Skip, StillSource, VideoPart, ZipMember

ROOT = Path(__file__).resolve().parents[2]


def make(source: StillSource, *, log: Path, slow: tuple[str, ...] = ()) -> Iterator[work.Result]:
    """Two results and a skip of each source, and a line in `log`; what is in `slow` takes a minute, `broken` fails."""
    if source.id in slow:
        time.sleep(60)
    with log.open("a") as stream:
        stream.write(f"{source.id} {os.getpid()}\n")
    data = np.frombuffer(source.picture.read_bytes(), np.uint8)
    for number in range(2):
        yield {
            "values": data + number,
            "text": f"ä {source.id}",
            "empty": "",
            "one": 0.5,
            "flag": True,
            "number": number,
        }
        if log.with_name("broken").exists() and source.id == "3":
            raise InputError("The source is broken")
    yield Skip(source.split, source.id, "for a reason")


def sources(folder: Path, count: int = 6) -> list[StillSource]:
    """Sources "0", "1", ... whose pictures are files of different length."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        file = folder / f"{number}.bin"
        if not file.exists():
            file.write_bytes(bytes(range(number + 1)))
    return [StillSource(split="train", id=str(n), picture=folder / f"{n}.bin", label="happy") for n in range(count)]


def run(tmp_path: Path, *, workers: int = 1, count: int = 6, slow: tuple[str, ...] = ()) -> work.Done:
    """The work on `sources` in `tmp_path`, with its log there."""
    task = functools.partial(make, log=tmp_path / "log", slow=slow)
    with Workers(workers) as pool:
        return work.run(sources(tmp_path / "in", count), task, folder=tmp_path / "work", pool=pool, unit="source")


def made(tmp_path: Path) -> dict[str, int]:
    """How often each source was made since the last look."""
    log = tmp_path / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return dict(Counter(line.split()[0] for line in lines))


def assert_equal(found: list[work.Result], expected: list[work.Result]) -> None:
    assert len(found) == len(expected)
    for result, other in zip(found, expected, strict=True):
        assert type(result) is type(other)
        if isinstance(result, Skip):
            assert result == other
            continue
        assert result.keys() == other.keys()
        for name in result:
            np.testing.assert_array_equal(result[name], other[name])
            assert type(result[name]) is type(other[name])


@pytest.mark.parametrize("workers", [1, 2])
def test_results_are_those_of_the_function(workers: int, tmp_path: Path) -> None:
    done = run(tmp_path, workers=workers)
    assert made(tmp_path) == {str(n): 1 for n in range(6)}
    for source in reversed(sources(tmp_path / "in")):
        assert_equal(list(done(source)), list(make(source, log=tmp_path / "other")))
    run(tmp_path, workers=workers)
    assert made(tmp_path) == {}, "what is there is not made again"


def test_an_error_loses_only_the_source_it_came_from(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(InputError, match="The source is broken"):
        run(tmp_path)
    assert made(tmp_path) == {"0": 1, "1": 1, "2": 1, "3": 1}
    (tmp_path / "broken").unlink()
    done = run(tmp_path)
    assert made(tmp_path) == {"3": 1, "4": 1, "5": 1}
    assert [len(list(done(source))) for source in sources(tmp_path / "in")] == [3] * 6


def test_an_error_in_a_worker_reaches_the_caller(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with pytest.raises(InputError, match="The source is broken"):
        run(tmp_path, workers=2)


def test_what_changed_is_made_again(tmp_path: Path) -> None:
    run(tmp_path)
    made(tmp_path)
    (tmp_path / "in" / "2.bin").write_bytes(b"longer than before")
    done = run(tmp_path)
    assert made(tmp_path) == {"2": 1}
    np.testing.assert_array_equal(
        next(done(sources(tmp_path / "in")[2]))["values"], np.frombuffer(b"longer than before", np.uint8)
    )
    os.utime(tmp_path / "in" / "4.bin", ns=(1, 1))  # the same size, another time
    run(tmp_path)
    assert made(tmp_path) == {"4": 1}
    run(tmp_path, slow=("none of them",))
    assert made(tmp_path) == {str(n): 1 for n in range(6)}, "other settings change all"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"state": "x"}', "\xff"])
def test_a_damaged_mark_is_made_again(text: str, tmp_path: Path) -> None:
    run(tmp_path, count=1)
    made(tmp_path)
    (mark,) = (tmp_path / "work").rglob("done.json")
    mark.write_text(text, encoding="latin-1")
    run(tmp_path, count=1)
    assert made(tmp_path) == {"0": 1}


def start(tmp_path: Path, *, workers: int) -> "subprocess.Popen[bytes]":
    """The work in another process, of a group of its own: 40 sources, of which two take a minute."""
    # A shell starts what it puts into the background deaf to Ctrl-C, and so are the children of that.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from pathlib import Path; from tfds_builders.base.work_test import run; "
        f"run(Path({str(tmp_path)!r}), workers={workers}, count=40, slow=('20', '21'))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, start_new_session=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    # `os.walk` bears that a folder gets its name while it is read; `rglob` does not.
    wait_for(lambda: sum("done.json" in files for _, _, files in os.walk(tmp_path / "work")) >= 4)
    return process


def wait_for(condition: Any, *, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited for too long"
        time.sleep(0.05)


def alive(number: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(number, 0)
        # One that ended but was not waited for is still listed.
        return "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
    return False


def worker_numbers(tmp_path: Path) -> set[int]:
    return {int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines()}


def finished(tmp_path: Path) -> int:
    """Folders that stand under their names: a hidden one was interrupted before it got its own."""
    folder = tmp_path / "work"
    found = (path.relative_to(folder) for path in folder.rglob("done.json"))
    return sum(not any(part.startswith(".") for part in path.parts) for path in found)


def resume(tmp_path: Path) -> None:
    """Goes on with the work of `start`, and checks that nothing that was finished is made again."""
    before = finished(tmp_path)
    assert 4 <= before < 40
    made(tmp_path)
    task = functools.partial(make, log=tmp_path / "log", slow=("20", "21"))
    all_sources = sources(tmp_path / "in", 40)
    # The two slow ones do not matter here.
    quick = [source for source in all_sources if source.id not in ("20", "21")]
    with Workers(1) as pool:
        done = work.run(quick, task, folder=tmp_path / "work", pool=pool, unit="source")
    assert sum(made(tmp_path).values()) == len(quick) - before
    for source in quick:
        assert_equal(list(done(source)), list(make(source, log=tmp_path / "other")))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_run_goes_on_and_leaves_no_worker_behind(tmp_path: Path) -> None:
    process = start(tmp_path, workers=2)
    workers = worker_numbers(tmp_path)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(map(alive, workers)), seconds=20)
    resume(tmp_path)


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_ends_at_once_and_leaves_what_is_finished(workers: int, tmp_path: Path) -> None:
    process = start(tmp_path, workers=workers)
    wait_for(lambda: finished(tmp_path) >= 20)
    begin = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=50)
    assert b"KeyboardInterrupt" in told
    assert time.monotonic() - begin < 30, "the slow sources take 60 seconds"
    resume(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_killed_worker_is_told(tmp_path: Path) -> None:
    process = start(tmp_path, workers=2)
    os.kill(min(worker_numbers(tmp_path)), signal.SIGKILL)
    _, told = process.communicate(timeout=50)
    assert b"InputError: A worker process ended" in told
    assert b"what is finished is kept" in told
    resume(tmp_path)


def test_every_kind_of_source_notices_that_its_file_changed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"1")
    kinds = {
        "picture": StillSource(split="train", id="x", picture=file, label="sad"),
        "member": StillSource(split="train", id="x", picture=ZipMember(file, "a.jpg"), label="sad"),
        "video": ClipSource(split="train", id="x", recording="x", frames=VideoPart(file)),
        "frames": ClipSource(split="train", id="x", recording="x", frames=FrameFiles((None, file), (0, 1), 25.0)),
    }
    states = {name: work._state(source, make) for name, source in kinds.items()}
    assert len(set(states.values())) == len(states)
    assert states == {name: work._state(source, make) for name, source in kinds.items()}
    file.write_bytes(b"22")
    for name, source in kinds.items():
        assert work._state(source, make) != states[name], name
    pixels = StillSource(split="train", id="x", picture=np.zeros((2, 2, 1), np.uint8), label="sad")
    others = StillSource(split="train", id="x", picture=np.ones((2, 2, 1), np.uint8), label="sad")
    assert work._state(pixels, make) != work._state(others, make)


def test_the_folder_goes_and_leaves_those_of_other_data_sets(tmp_path: Path) -> None:
    one, two = (work.folder_of(tmp_path, name) for name in ("afew/aligned/1.0.0", "mmi/aligned/1.0.0"))
    for folder in (one, two):
        (folder / "ab").mkdir(parents=True)
    work.remove(one)
    assert not one.exists()
    assert two.exists()
    work.remove(two)
    assert list(tmp_path.iterdir()) == []
