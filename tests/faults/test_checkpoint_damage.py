"""Damaged checkpoints: found out whatever byte is wrong, and the one before takes their place."""

import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.training.checkpoint import load_checkpoint, previous, save_checkpoint


def variables(value: float) -> list[keras.Variable]:
    return [keras.Variable(np.full((2, 3), value, "float32")), keras.Variable(7, dtype="int32", trainable=False)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of a checkpoint of epoch 2, with that of epoch 1 before it."""
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "last.npz", variables=variables(epoch), state={"epoch": epoch})
    return tmp_path / "last.npz"


def test_one_wrong_byte_anywhere_is_harmless_or_found_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda _: None)  # some hundred times over
    whole, old = path.read_bytes(), 0
    places = range(0, len(whole), 7)
    read = variables(0.0)
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x5A]) + whole[at + 1 :])
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            epoch = load_checkpoint(path, variables=read)["epoch"]
        np.testing.assert_array_equal(read[0].numpy(), float(epoch))
        assert int(read[1].numpy()) == 7
        told_so = any("is damaged: going on from the one before it" in str(warning.message) for warning in told)
        assert told_so == (epoch == 1)
        old += epoch == 1
    assert old > len(places) / 2  # the rest is padding, and times and modes that a zip file keeps


@pytest.mark.parametrize("kept", [0, 1, 300, -1])
def test_a_file_cut_short_gives_way_to_the_one_before(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.warns(UserWarning, match=r"last\.npz is damaged"):
        assert load_checkpoint(path, variables=variables(0.0)) == {"epoch": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_checkpoint(path, variables=variables(0.0)) == {"epoch": 1}  # it has been put in its place


def test_the_damaged_one_never_takes_the_place_of_the_good_one_before(path: Path) -> None:
    path.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"):
        load_checkpoint(path, variables=variables(0.0))
    save_checkpoint(path, variables=variables(2.0), state={"epoch": 2})
    assert load_checkpoint(previous(path), variables=variables(0.0)) == {"epoch": 1}
    assert sorted(p.name for p in path.parent.iterdir()) == ["last.npz", "last.previous.npz"]


def test_both_damaged_is_told_and_changes_nothing(path: Path) -> None:
    path.write_bytes(b"")
    previous(path).write_bytes(b"PK")
    unchanged = variables(0.0)
    with pytest.raises(InputError, match=r"cannot be read.*no good one before it"):
        load_checkpoint(path, variables=unchanged)
    np.testing.assert_array_equal(unchanged[0].numpy(), 0.0)


def test_another_networks_checkpoint_is_no_damage(path: Path) -> None:
    with pytest.raises(InputError, match="another model or optimiser"):
        load_checkpoint(path, variables=variables(0.0)[:1])


def test_a_checkpoint_without_digest_is_of_an_earlier_version(path: Path) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "sha256"}
    np.savez(path, **arrays)
    assert load_checkpoint(path, variables=variables(0.0)) == {"epoch": 2}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_not_kept(path: Path, value: float) -> None:
    with pytest.raises(InputError, match=r"not finite after the last step.*checkpoint before is kept"):
        save_checkpoint(path, variables=variables(value), state={"epoch": 3})
    assert load_checkpoint(path, variables=variables(0.0)) == {"epoch": 2}


def test_without_hard_links_the_one_before_is_a_copy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("os.link", refuse)
    save_checkpoint(path, variables=variables(3.0), state={"epoch": 3})
    assert load_checkpoint(previous(path), variables=variables(0.0)) == {"epoch": 2}
    assert path.stat().st_nlink == 1
