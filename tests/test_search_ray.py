"""The search by Ray, where it is installed, and what is told where it is not."""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.tuning import search as searching
from ferkeras.tuning.search import fail, plan_search, run_search, train_trial
from ferkeras.tuning.space import Asha, Resources, Search, Space
from ferkeras.tuning.trials import Trial
from tests.commands import assert_one_line, call
from tests.test_search import RATE, SPACES, pretend

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("[space]\nseed = {int = [0, 2]}")
    words = ["--search", tmp_path / "a.toml", "--trials", "2", "--output", tmp_path / "out"]
    assert_one_line(call(capsys, "tune", "quickstart", *words), "package ray", 'pip install "ferkeras[tune]"')
    assert not (tmp_path / "out").exists()


def train_by_number(trial: Trial, folder: Path, *, on_epoch: Callable[[Any], bool]) -> None:
    """Stands in for training: the first trials are the best; one fails and one takes its process with it."""
    number = int(trial.name[:4])
    (folder / trial.name / "error.txt").unlink(missing_ok=True)
    log = folder.parent / "trained.txt"
    losses: list[float] = []
    for epoch in range(1, 5):
        if losses and on_epoch({"epoch": epoch - 1, "val_loss": losses[-1], "val_accuracy": 0.5}):
            return
        with log.open("a") as file:
            file.write(f"{number} {epoch} {os.environ['TF_NUM_INTRAOP_THREADS']}\n")
        losses.append(number / 10 + 1 / epoch)
        pretend(trial, folder, losses=losses, finished=epoch == 4)
        if number == 2:
            os._exit(1)
        if number == 3:
            fail(trial, folder, why="No luck")
            return


@needs_ray
@pytest.mark.slow
def test_ray_stops_reports_and_goes_on(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ferkeras.tuning.ray_runner import RayRunner

    monkeypatch.setattr(searching, "check_trials", lambda trials, **_: None)
    search = Search(SPACES, asha=Asha(1, 2), resources=Resources(cpu=1))
    folder = tmp_path / "search"
    runner = RayRunner(search, folder, workers=1, asha=True, train=train_by_number)

    def start(count: int) -> dict[int, str]:
        trials = plan_search(tiny_recipe, search, method="asha", count=count)
        results = run_search(tiny_recipe, search, trials, folder, method="asha", runner=runner)
        return {int(result.trial.name[:4]): result.status for result in results}

    died = "failed: Its process ended, perhaps for want of memory"
    assert start(4) == {1: "finished", 4: "stopped after epoch 1", 2: died, 3: "failed: No luck"}
    lines = (tmp_path / "trained.txt").read_text().split("\n")[:-1]
    assert lines == ["1 1 1", "1 2 1", "1 3 1", "1 4 1", "2 1 1", "3 1 1", "4 1 1"]
    assert "epoch 3  val_loss 0.4333" in capfd.readouterr().err
    # Two more: the rungs know the trials before, which are not trained again.
    assert start(6) == {
        1: "finished",
        **{number: "stopped after epoch 1" for number in (4, 5, 6)},
        2: died,
        3: "failed: No luck",
    }
    more = (tmp_path / "trained.txt").read_text().split("\n")[len(lines) : -1]
    assert sorted(more) == ["2 1 1", "3 1 1", "5 1 1", "6 1 1"]
    assert processes_of_ray() == []


def processes_of_ray() -> list[str]:
    return [p.name() for p in psutil.Process().children(recursive=True) if "ray" in p.name() or "gcs" in p.name()]


class TinyTraining:
    """`train_trial` in a worker, which has to be told of `tiny_faces`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir

    def __call__(self, trial: Trial, folder: Path, *, on_epoch: Callable[[Any], bool]) -> None:
        from ferkeras.data import sources

        sources.DATASETS["tiny_faces"] = "tests.tiny_faces"  # this process ends with the search
        train_trial(trial, folder, on_epoch=on_epoch, data_dir=self.data_dir)


@needs_ray
@pytest.mark.slow
def test_ray_trains_what_training_alone_gives(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    from ferkeras.tuning.ray_runner import RayRunner

    search = Search({RATE: Space("choice", (1e-3, 1e38))}, resources=Resources(cpu=1))
    trials = plan_search(tiny_recipe, search, method="grid", count=0)
    runner = RayRunner(search, tmp_path / "s", workers=1, asha=False, train=TinyTraining(tiny_data_dir))
    good, wild = run_search(
        tiny_recipe, search, trials, tmp_path / "s", method="grid", runner=runner, data_dir=tiny_data_dir
    )
    assert good.status == "finished"
    assert "The loss is not finite" in wild.status
    run = RunFolder(tmp_path / "s" / good.trial.name)
    assert [row["epoch"] for row in run.history()] == ["1", "2"]
    assert run.recipe() == good.trial.recipe == Recipe.from_json((tmp_path / "s" / "best.json").read_text())
