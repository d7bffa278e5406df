"""Checkpoints: a round trip, and files that are broken or foreign, which change nothing."""

import math
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint


def variables(value: float, shape: tuple[int, ...] = (2, 3)) -> list[keras.Variable]:
    return [keras.Variable(np.full(shape, value, "float32")), keras.Variable(7, dtype="int32", trainable=False)]


def test_round_trip(tmp_path: Path) -> None:
    state = {"history": [{"epoch": 1, "val_loss": 0.1}], "best": math.inf, "alpha": [1.0, 2.5]}
    save_checkpoint(tmp_path / "a" / "last.npz", variables=variables(3.0), state=state)
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["last.npz"]
    others = variables(0.0)
    others[1].assign(0)
    assert load_checkpoint(tmp_path / "a" / "last.npz", variables=others) == state
    np.testing.assert_array_equal(others[0].numpy(), 3.0)
    assert int(others[1].numpy()) == 7


@pytest.mark.parametrize("kept", [0, 1, 100, -30])
def test_a_file_cut_short_is_told_and_changes_nothing(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "last.npz"
    save_checkpoint(path, variables=variables(3.0), state={})
    path.write_bytes(path.read_bytes()[:kept])
    unchanged = variables(0.0)
    with pytest.raises(InputError, match=r"The checkpoint cannot be read\. Received: .*last\.npz\."):
        load_checkpoint(path, variables=unchanged)
    np.testing.assert_array_equal(unchanged[0].numpy(), 0.0)


@pytest.mark.parametrize("other", [variables(0.0, (3, 2)), variables(0.0)[:1], variables(0.0) * 2], ids=len)
def test_another_models_checkpoint_is_told_and_changes_nothing(tmp_path: Path, other: list[keras.Variable]) -> None:
    save_checkpoint(tmp_path / "last.npz", variables=variables(3.0), state={})
    with pytest.raises(InputError, match="another model or optimiser"):
        load_checkpoint(tmp_path / "last.npz", variables=other)
    np.testing.assert_array_equal(other[0].numpy(), 0.0)
