"""A kill at every single write of the file functions: the old or the new is there, whole, and the next try works."""

import itertools
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras import files
from ferkeras.files import remove_unfinished, staged, write_atomically
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint
from tests.faults.dying import is_killed


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file(tmp_path: Path) -> None:
    found = set()
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        target = folder / "a.json"
        write_atomically(target, "old")
        killed = is_killed(lambda target=target: write_atomically(target, "new"), below=folder, at=at)
        found.add(target.read_text())
        assert target.read_text() in ("old", "new")
        if not killed:
            break
        write_atomically(target, "newer")
        remove_unfinished(folder)
        assert names(folder) == ["a.json"]
        assert target.read_text() == "newer"
    assert found == {"old", "new"}
    assert at > 3


def write_folder(target: Path, text: str) -> None:
    with staged(target) as unfinished:
        unfinished.mkdir()
        for name in ("one", "two"):
            (unfinished / name).write_text(text)


@pytest.mark.parametrize("in_one_step", [True, False])
def test_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_one_step: bool) -> None:
    """Without the exchange of names the old folder may be gone from its place, but what is there is whole."""
    if not in_one_step:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    found = []
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        target = folder / "model"
        write_folder(target, "old")
        killed = is_killed(lambda target=target: write_folder(target, "new"), below=folder, at=at)
        found.append({path.read_text() for path in target.iterdir()} if target.exists() else set())
        if not killed:
            break
        write_folder(target, "newer")
        remove_unfinished(folder)
        assert names(folder) == ["model"]
    assert all(texts in ({"old"}, {"new"}) for texts in found if texts)
    assert ({"old"} in found, found[-1]) == (True, {"new"})
    if in_one_step and files._exchange(tmp_path / "1", tmp_path / "2"):  # does this file system have it?
        assert set() not in found


def variables(value: float) -> list[keras.Variable]:
    return [keras.Variable(np.full((2, 3), value, "float32"))]


def test_a_checkpoint(tmp_path: Path) -> None:
    found = set()
    for at in itertools.count(1):
        path = tmp_path / str(at) / "last.npz"
        for epoch in (1, 2):
            save_checkpoint(path, variables=variables(epoch), state={"epoch": epoch})
        save = lambda path=path: save_checkpoint(path, variables=variables(3.0), state={"epoch": 3})  # noqa: E731
        killed = is_killed(save, below=path.parent, at=at)
        assert path.exists()  # by this a run knows that it has begun
        read = variables(0.0)
        epoch = load_checkpoint(path, variables=read)["epoch"]
        np.testing.assert_array_equal(read[0].numpy(), float(epoch))
        found.add(epoch)
        if not killed:
            break
    assert found == {2, 3}
