"""Disks that are full, read-only or damaged, and what a command says of them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ferkeras.cli import recipes
from ferkeras.errors import from_the_disk
from ferkeras.files import staged, write_atomically
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint
from tests.commands import assert_one_line, call

ROOT = Path(__file__).resolve().parents[2]
#: In a mount namespace of its own, where an ordinary user may mount: a disk of 64 KiB, in the state $2.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=64k small "$1" && echo old > "$1/a.json" || exit 77
[ "$2" = full ] || mount -o remount,ro "$1" || exit 77
exec "$3" -c '
import os, sys
from pathlib import Path
from ferkeras.errors import from_the_disk
from ferkeras.files import write_atomically
folder = Path(sys.argv[1])
try:
    write_atomically(folder / "a.json", "x" * 100_000)
except OSError as error:
    print(from_the_disk(error))
print((folder / "a.json").read_text().strip(), os.listdir(folder))
' "$1"
"""


@pytest.mark.parametrize(
    ("state", "said"),
    [("full", "No space left on device. Make room"), ("read-only", "Read-only file system. Received")],
)
def test_a_real_disk_keeps_the_old_file_and_no_rest(tmp_path: Path, state: str, said: str) -> None:
    words = ["unshare", "-Urm", "sh", "-c", ON_A_SMALL_DISK, "sh", str(tmp_path), state, sys.executable]
    try:
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    except FileNotFoundError:
        pytest.skip("there is no unshare here")
    if done.returncode in (1, 77):
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    message, left = done.stdout.splitlines()
    assert message.startswith(said)
    assert left == "old ['a.json']"


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path, variable = tmp_path / "last.npz", keras.Variable(np.ones(3, "float32"))
    save_checkpoint(path, variables=[variable], state={"epoch": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space left"):
            save_checkpoint(path, variables=[variable], state={"epoch": 2})
    assert load_checkpoint(path, variables=[variable]) == {"epoch": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["last.npz"]


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (errno.ENOSPC, "Make room or choose another folder, then run the same command again."),
        (errno.EDQUOT, "Make room or choose another folder, then run the same command again."),
        (errno.EROFS, "Choose a folder that can be written to."),
        (errno.EACCES, "Choose another folder or file, or change its permissions."),
        (errno.EIO, "The disk may be failing: copy what is on it."),
    ],
)
def test_a_command_says_it_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, code: int, action: str
) -> None:
    def run(_: object) -> None:
        try:
            raise OSError(code, os.strerror(code), "some/file.json")
        except OSError as error:
            raise RuntimeError("from a library that wraps it") from error

    monkeypatch.setattr(recipes, "run", run)
    result = call(capsys, "recipes")
    assert_one_line(result)
    assert result[2] == f"ferkeras: {os.strerror(code)}. Received: some/file.json. {action}\n"


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError(errno.ENOENT, "No such file", "a"), PermissionError(errno.EACCES, "port"), KeyError("a")],
)
def test_other_failures_stay_internal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def run(_: object) -> None:
        raise error

    monkeypatch.setattr(recipes, "run", run)
    code, _, said = call(capsys, "recipes")
    assert code == 1
    assert "Traceback" in said


def failure(records: Path) -> BaseException:
    with pytest.raises(tf.errors.OpError) as raised:
        list(tf.data.TFRecordDataset(str(records)))
    return raised.value


def test_damaged_and_missing_records_are_prepared_anew(tmp_path: Path) -> None:
    records = tmp_path / "train.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(records)) as writer:
        for _ in range(10):
            writer.write(b"x" * 1000)
    whole = records.read_bytes()
    for damaged in (whole[:3000] + b"y" + whole[3001:], whole[:2000]):
        records.write_bytes(damaged)
        said = str(from_the_disk(failure(records)))
        assert said.startswith("The prepared data is damaged. Received: ")
        assert said.endswith(" Delete the folder of the data set and prepare it again.")
        assert "{{" not in said
    records.unlink()
    assert f"damaged. Received: {records}; No such file or directory." in str(from_the_disk(failure(records)))


def test_tensorflows_writers_say_it_too(tmp_path: Path) -> None:
    with pytest.raises(tf.errors.OpError) as raised, tf.io.TFRecordWriter("/dev/full") as writer:
        writer.write(b"x" * 1_000_000)
    assert str(from_the_disk(raised.value)).startswith("No space left on device. Received: /dev/full. Make room")


def test_an_unfinished_file_that_cannot_be_read_back_leaves_the_old_one(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.json", "old")
    with pytest.raises(FileNotFoundError), staged(tmp_path / "a.json"):
        pass  # a writer that wrote nothing
    assert (tmp_path / "a.json").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
