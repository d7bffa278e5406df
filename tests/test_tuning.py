"""The grid: what it takes, that every trial is an ordinary run, and that what is done is never done again."""

import csv
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.tuning import Result, Trial, make_trials, parse_grid, ranked, run_grid


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("batch_size=32,64", ("32", "64")),
        ("batch_size = 32 , 64", ("32", "64")),
        ("data.image_size=[48,48],(64, 64)", ("[48,48]", "(64, 64)")),
        ("""data.dataset="a,b",'c',d""", ('"a,b"', "'c'", "d")),
        ("schedule.warmup=0st", ("0st",)),
        ("optimizer.ema=none,0.99", ("none", "0.99")),
    ],
)
def test_values_are_split_at_commas_outside_of_brackets(word: str, values: tuple[str, ...]) -> None:
    assert parse_grid([word, "seed=1"]) == {word.partition("=")[0].strip(): values, "seed": ("1",)}


@pytest.mark.parametrize(
    "word", ["batch_size", "batch_size=", "batch_size=32,,64", "a=1,", "a=[1,2", 'a="1,2', "a=1, "]
)
def test_what_cannot_be_split(word: str) -> None:
    with pytest.raises(InputError, match=r"key=value,value"):
        parse_grid([word])


def test_a_key_may_stand_once() -> None:
    with pytest.raises(InputError, match=r"stands twice in the grid\. Received: seed"):
        parse_grid(["seed=1", "seed=2"])


def test_all_combinations(tiny_recipe: Recipe) -> None:
    grid = parse_grid(["optimizer.learning_rate=1e-3,1e-2", "data.image_size=[32,32],[48,48],[64,64]"])
    trials = make_trials(tiny_recipe, grid)
    assert len({trial.name for trial in trials}) == 6
    assert trials[1].name == "2_image_size=32_32,learning_rate=1e-2"
    assert trials[1].values == {"data.image_size": "[32,32]", "optimizer.learning_rate": "1e-2"}
    found = {(trial.recipe.data.image_size, trial.recipe.optimizer.learning_rate) for trial in trials}
    assert found == {((side, side), rate) for side in (32, 48, 64) for rate in (1e-3, 1e-2)}
    for trial in trials:
        changed = dataclasses.replace(trial.recipe, data=tiny_recipe.data, optimizer=tiny_recipe.optimizer)
        assert changed == tiny_recipe
    (long,) = make_trials(tiny_recipe, {"data.dataset": ["x" * 300]})
    assert len(long.name) <= 100


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({"optimizer.learning_rat": ["1"]}, "Did you mean learning_rate?"),
        ({"batch_size": ["32", "many"]}, "batch_size must be int"),
        ({"batch_size": ["32", "0"]}, "batch_size must be at least 1"),
        ({"optimizer.learning_rate": ["1e-3", "0.001"]}, "are the same recipe"),
    ],
)
def test_every_recipe_is_checked(grid: dict[str, list[str]], told: str, tiny_recipe: Recipe) -> None:
    with pytest.raises(InputError) as caught:
        make_trials(tiny_recipe, grid)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("grid", "told"),
    [
        ({"model.name": ["vgg11", "vgg12"]}, "Unknown model"),
        ({"model.options.dropout": ["0.1", "often"]}, "cannot be built"),
        ({"model.options.drop": ["0.1"]}, "Did you mean dropout?"),
        ({"data.validation": ["validation", "valid"]}, "no split of this name"),
        ({"data.dataset": ["tiny_faces", "tiny_face"]}, "Unknown data set"),
    ],
)
def test_models_and_data_are_checked_before_anything_is_written(
    grid: dict[str, list[str]], told: str, tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told.replace("?", r"\?")):
        run_grid(tiny_recipe, grid, tmp_path / "grid", data_dir=tiny_data_dir)
    assert list(tmp_path.iterdir()) == []


def test_best_first(tiny_recipe: Recipe) -> None:
    def result(name: str, *numbers: float) -> Result:
        return Result(Trial(name, {}, tiny_recipe), "finished" if numbers else "waiting", 1, *numbers)

    results = [result("none"), result("sure", 0.9, 0.5), result("right", 1.1, 0.6), result("equal", 1.1, 0.6)]
    assert [x.trial.name for x in ranked(results, monitor="loss")] == ["sure", "right", "equal", "none"]
    assert [x.trial.name for x in ranked(results, monitor="accuracy")] == ["right", "equal", "sure", "none"]


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_grid_that_fails_and_is_interrupted_and_goes_on(
    tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = parse_grid(["optimizer.learning_rate=1e-3,1e38,3e-3"])
    folder = tmp_path / "grid"
    good, wild, cut = make_trials(tiny_recipe, grid)

    with monkeypatch.context() as patch:
        save = loop.save_checkpoint

        def save_and_stop(path: Path, **rest: Any) -> None:
            save(path, **rest)
            if cut.name in str(path):
                raise KeyboardInterrupt

        patch.setattr(loop, "save_checkpoint", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            run_grid(tiny_recipe, grid, folder, data_dir=tiny_data_dir)
    rows = table(folder)
    assert list(rows[0]) == [
        *("trial", "optimizer.learning_rate", "best_epoch", "val_loss", "val_accuracy", "seconds", "status")
    ]
    assert [row["trial"] for row in rows] == [good.name, wild.name, cut.name]
    assert [row["status"].partition(":")[0] for row in rows] == ["finished", "failed", "interrupted"]
    assert "The loss is not finite at epoch 1" in rows[1]["status"]
    assert rows[1]["val_loss"] == rows[2]["val_loss"] == ""
    assert len(RunFolder(folder / cut.name).history()) == 1
    assert Recipe.from_json((folder / "best.json").read_text()) == good.recipe
    assert (folder / "results.png").stat().st_size > 0

    before = {path: path.stat().st_mtime_ns for path in (folder / good.name).rglob("*")}
    results = run_grid(tiny_recipe, grid, folder, data_dir=tiny_data_dir)
    assert {path: path.stat().st_mtime_ns for path in (folder / good.name).rglob("*")} == before
    assert [x.trial.name for x in results][2] == wild.name
    assert [row["status"].partition(":")[0] for row in table(folder)] == ["finished", "failed", "finished"]
    for result in results[:2]:
        history = RunFolder(folder / result.trial.name).history()
        losses = [float(row["val_loss"]) for row in history]
        assert result.val_loss == min(losses)
        assert result.best_epoch == 1 + losses.index(min(losses))
        assert result.val_score == float(history[losses.index(min(losses))]["val_accuracy"])
        assert math.isclose(result.seconds or 0, sum(float(row["seconds"]) for row in history), abs_tol=0.1)
    assert Recipe.from_json((folder / "best.json").read_text()) == results[0].trial.recipe

    # A trial, its interruption included, is bit for bit what its recipe gives by itself.
    alone = loop.run(cut.recipe, tmp_path / "alone", data_dir=tiny_data_dir).load_model()
    trial = RunFolder(folder / cut.name).load_model()
    for left, right in zip(alone.get_weights(), trial.get_weights(), strict=True):
        np.testing.assert_array_equal(left, right)

    with pytest.raises(InputError, match=r"holds another grid.*--name"):
        run_grid(tiny_recipe, parse_grid(["batch_size=8,16"]), folder, data_dir=tiny_data_dir)
    with pytest.raises(InputError, match=r"holds another grid"):
        run_grid(dataclasses.replace(tiny_recipe, seed=1), grid, folder, data_dir=tiny_data_dir)
    with pytest.raises(InputError, match=r"holds something else"):
        run_grid(tiny_recipe, grid, tmp_path / "alone", data_dir=tiny_data_dir)


def test_an_error_of_any_kind_ends_its_trial_alone(
    tiny_recipe: Recipe,
    tiny_data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(recipe: Recipe, workdir: Path, **_: Any) -> RunFolder:
        raise RuntimeError(f"no memory for batches of {recipe.batch_size}\nand so on")

    monkeypatch.setattr(loop, "run", broken)
    results = run_grid(tiny_recipe, {"batch_size": ["4", "8"]}, tmp_path / "grid", data_dir=tiny_data_dir)
    whys = [f"failed: RuntimeError: no memory for batches of {size}" for size in (4, 8)]
    assert [result.status for result in results] == whys == [row["status"] for row in table(tmp_path / "grid")]
    assert "Traceback" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "grid").iterdir()) == ["grid.json", "results.csv"]
