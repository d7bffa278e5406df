"""A training run that is hit, and resumed: it reaches what it would have reached undisturbed."""

import csv
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.lock import run_lock
from tests.faults.dying import is_killed, writes

Train = Callable[[Path], None]


@pytest.fixture(scope="module")
def train(tiny_recipe: Recipe, tiny_data_dir: Path) -> Train:
    """Trains the run in a folder to its end, from where it stands."""

    def run(folder: Path) -> None:
        with run_lock(folder):
            loop.run(tiny_recipe, folder, data_dir=tiny_data_dir, resume=True)

    return run


@pytest.fixture(scope="module")
def undisturbed(train: Train, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of a finished run, and how many writes it took."""
    root = tmp_path_factory.mktemp("undisturbed")
    count = writes(lambda: train(root / "run"), below=root)
    return root / "run", count


def result(folder: Path) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """History without times, and weights."""
    rows = list(csv.DictReader((folder / "history.csv").open()))
    apart = ("seconds", "images_per_second")
    kept = [{name: value for name, value in row.items() if name not in apart} for row in rows]
    return kept, RunFolder(folder).load_model().get_weights()


def assert_same(one: Path, other: Path) -> None:
    (left_rows, left), (right_rows, right) = result(one), result(other)
    assert left_rows == right_rows
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sorted(p.name for p in one.rglob("*")) == sorted(p.name for p in other.rglob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("kill", range(20))
def test_killed_at_any_write_it_goes_on(train: Train, undisturbed: tuple[Path, int], tmp_path: Path, kill: int) -> None:
    at = random.Random(kill).randint(1, undisturbed[1])
    assert is_killed(lambda: train(tmp_path / "run"), below=tmp_path, at=at)
    train(tmp_path / "run")
    assert_same(tmp_path / "run", undisturbed[0])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_damaged_checkpoint_and_a_clock_set_back_change_nothing(
    train: Train, undisturbed: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(undisturbed[0], tmp_path / "run")
    checkpoint = tmp_path / "run" / loop.CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    now, calls = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: now() - 1e7 * next(calls))  # back by months at every look
    with pytest.warns(UserWarning, match="is damaged: going on from the one before it"):
        train(tmp_path / "run")
    assert_same(tmp_path / "run", undisturbed[0])
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    assert all(0.0 < float(row["seconds"]) < 600.0 for row in rows)


@pytest.mark.slow
def test_one_batch_with_a_nan_stops_the_run_and_costs_one_epoch(
    train: Train, undisturbed: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StillPipeline.training

    def with_a_nan(self: StillPipeline, epoch: int) -> tf.data.Dataset:
        def spoil(index: tf.Tensor, batch: tuple[Any, ...]) -> tuple[Any, ...]:
            spoiled = tf.logical_and(epoch == 1, index == 1)
            factor = tf.where(spoiled, np.nan, 1.0)
            return tf.nest.map_structure(lambda x: tf.cast(x, tf.float32) * factor, batch[0]), *batch[1:]

        return whole(self, epoch).enumerate().map(spoil)

    with monkeypatch.context() as patch:
        patch.setattr(StillPipeline, "training", with_a_nan)
        with pytest.raises(InputError, match=r"not finite (at|after) epoch 2"):
            train(tmp_path / "run")
    assert len(result(tmp_path / "run")[0]) == 1
    train(tmp_path / "run")
    assert_same(tmp_path / "run", undisturbed[0])
