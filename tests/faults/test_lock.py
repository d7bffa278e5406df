"""Two processes on one folder: one of them is told who the other is; a killed one locks nobody out."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ferkeras import files
from ferkeras.errors import InputError
from ferkeras.training.lock import run_lock
from tests.commands import assert_one_line, call
from tests.tiny_runs import still_run

ROOT = Path(__file__).resolve().parents[2]
HOLD = (
    "from ferkeras.training.lock import run_lock\nwith run_lock(Path(sys.argv[1])): print('held', flush=True); input()"
)
#: Enters 40 times; inside, nobody else may be there.
TAKE_TURNS = """
from ferkeras.errors import InputError
from ferkeras.training.lock import run_lock
folder, entered = Path(sys.argv[1]), 0
while entered < 40:
    try:
        with run_lock(folder):
            (folder / "inside").touch(exist_ok=False)
            (folder / "inside").unlink()
            entered += 1
    except InputError:
        pass
"""


def begin(code: str, folder: Path) -> subprocess.Popen[str]:
    code = f"import sys; from pathlib import Path\n{code}"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, text=True, **pipes)


def test_the_second_is_told_who_is_first_and_a_kill_frees_the_folder(tmp_path: Path) -> None:
    workdir = tmp_path / "runs" / "mine"
    with begin(HOLD, workdir) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(InputError) as told, run_lock(workdir):
            pass
        assert str(told.value) == (
            f"Another process is at work in {workdir}. Received: process {first.pid} on {socket.gethostname()}. "
            "Wait until it ends, or choose another --name."
        )
        with run_lock(tmp_path / "runs" / "another"):
            pass
        first.kill()
        first.wait()
    assert (tmp_path / "runs" / ".mine.lock").exists()  # left behind, and held by nobody
    with run_lock(workdir):
        pass
    assert list((tmp_path / "runs").iterdir()) == []


def test_processes_take_turns(tmp_path: Path) -> None:
    others = [begin(TAKE_TURNS, tmp_path) for _ in range(3)]
    ends = [other.communicate() for other in others]
    assert [other.returncode for other in others] == [0, 0, 0], ends
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_frees_the_folder_and_leaves_no_trace(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), run_lock(tmp_path / "runs" / "mine"):
            raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_half_written_files_of_a_killed_process_go(tmp_path: Path) -> None:
    run, trial = tmp_path / "grid", tmp_path / "grid" / "1_rate=1"
    for folder in (run, run / "checkpoints", trial):
        (folder / ".a.json.x1.unfinished").mkdir(parents=True)
        (folder / "b.json").touch()
    (trial / "recipe.json").touch()  # a run of a grid has a lock of its own
    with run_lock(run):
        left = sorted(str(path.relative_to(run)) for path in run.rglob("*") if "unfinished" in path.name)
    assert left == ["1_rate=1/.a.json.x1.unfinished"]
    assert (run / "checkpoints" / "b.json").exists()


def test_where_there_are_no_locks_the_work_goes_on_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    with pytest.warns(UserWarning, match="file system without locks"), run_lock(tmp_path / "mine"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["calibrate", "evaluate", "export"])
def test_commands_that_write_into_a_run_wait_for_it_to_be_free(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = still_run(tmp_path / "mine")
    (folder.path / "README.md").touch()  # the run is finished
    before = sorted(folder.path.rglob("*"))
    with run_lock(folder.path):
        assert_one_line(call(capsys, command, folder.path), "Another process is at work", "Wait until it ends")
    assert sorted(folder.path.rglob("*")) == before
