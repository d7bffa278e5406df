"""The search: its file, its draws, that what is done is never done again, and its plot."""

import csv
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.tuning import search as searching
from ferkeras.tuning.plot import plot_parallel
from ferkeras.tuning.results import Result, ranked, read_result
from ferkeras.tuning.search import fail, plan_search, run_search, stop
from ferkeras.tuning.space import Asha, Resources, Search, Space, read_search
from ferkeras.tuning.trials import Trial
from tests.commands import call

RATE = "optimizer.learning_rate"
SPACES = {RATE: Space("loguniform", (1e-4, 1e-1)), "batch_size": Space("choice", (4, 8, 16))}

TOML = """
seed = 3
[space]
optimizer.learning_rate = {loguniform = [1e-5, 1e-2]}
"model.options.dropout" = {uniform = [0, 0.5]}
batch_size = {choice = [16, 32]}
patience = {int = [3, 10]}
[asha]
grace = 2
[resources]
cpu = 1
gpu = 0.5
"""


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TOML)
    nested = {
        "seed": 3,
        "space": {
            RATE: {"loguniform": [1e-5, 1e-2]},
            "model": {"options": {"dropout": {"uniform": [0, 0.5]}}},
            "batch_size": {"choice": [16, 32]},
            "patience": {"int": [3, 10]},
        },
        "asha": {"grace": 2},
        "resources": {"cpu": 1, "gpu": 0.5},
    }
    (tmp_path / "a.json").write_text(json.dumps(nested))
    search = read_search(tmp_path / "a.toml")
    assert search == read_search(tmp_path / "a.json")
    assert search.spaces[RATE] == Space("loguniform", (1e-5, 1e-2))
    assert (search.seed, search.asha, search.resources) == (3, Asha(2, 3), Resources(1, 0.5))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[space", "neither JSON nor TOML"),
        ("seed = 1", "has a group `space`"),
        ("[spaces]", "Unknown key spaces"),
        ("space = 1", "space must be a group"),
        ("seed = 1.5\n[space]\nseed = {int = [0, 2]}", "seed must be a whole number"),
        ("[space]\nseed = 3", "seed has no search space"),
        ("[space]\nseed = {}", "seed has no search space"),
        ("[space]\nseed = {choise = [1, 2]}", "seed.choise has no search space"),
        ("[space]\nseed = {choice = []}", "choice of seed must be a list"),
        ("[space]\nseed = {int = [0, 1.5]}", "must have whole numbers"),
        ("[space]\nseed = {int = [2, 2]}", "two rising numbers"),
        ("[space]\nseed = {uniform = [0, inf]}", "two rising numbers"),
        ("[space]\nseed = {uniform = [false, true]}", "two rising numbers"),
        ("[space]\nseed = {loguniform = [0, 1]}", "must be above 0"),
        ("[space]\nseed = {int = [0, 2]}\n[asha]\ngrace = 0", "asha.grace must be a whole number, at least 1"),
        ("[space]\nseed = {int = [0, 2]}\n[asha]\nreduction = 1", "asha.reduction must be"),
        ("[space]\nseed = {int = [0, 2]}\n[resources]\ncpu = 0", "resources.cpu must be"),
        ("[space]\nseed = {int = [0, 2]}\n[resources]\ntpu = 1", "Unknown key tpu in resources"),
    ],
)
def test_mistakes_in_the_file(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        read_search(tmp_path / "a.toml")
    assert told in str(caught.value)
    with pytest.raises(InputError, match=r"cannot be read.*No such file"):
        read_search(tmp_path / "b.toml")


def test_draws_fill_their_space() -> None:
    shares = np.linspace(0, 1, 1001)[:-1]
    rates = [float(Space("loguniform", (1e-4, 1e-1)).draw(share)) for share in shares]
    assert rates[0] == 1e-4
    assert max(rates) <= 1e-1
    assert math.isclose(np.median(rates), 10**-2.5, rel_tol=0.02)
    narrow = Space("uniform", (0.12345678, 0.12345679))  # six digits lie outside
    assert {narrow.draw(share) for share in shares} <= {"0.12345678", "0.12345679"}
    numbers = [Space("int", (3, 5)).draw(share) for share in shares]
    assert [numbers.count(str(number)) for number in (3, 4, 5)] == [334, 333, 333]
    words = Space("choice", ("30ep", [48, 48], None, True))
    assert [words.draw(share) for share in (0, 0.25, 0.5, 0.99)] == ["30ep", "[48, 48]", "None", "True"]


def test_a_draw_depends_on_seed_number_and_key_alone(tiny_recipe: Recipe) -> None:
    search = Search(SPACES)
    five = plan_search(tiny_recipe, search, method="random", count=5)
    assert plan_search(tiny_recipe, search, method="asha", count=9)[:5] == five
    assert len({trial.values[RATE] for trial in five}) == 5
    turned = Search(dict(reversed(SPACES.items())))
    assert [trial.recipe for trial in plan_search(tiny_recipe, turned, method="random", count=5)] == [
        trial.recipe for trial in five
    ]
    other = plan_search(tiny_recipe, dataclasses.replace(search, seed=1), method="random", count=5)
    assert not {trial.values[RATE] for trial in five} & {trial.values[RATE] for trial in other}


def test_trials_are_different_recipes(tiny_recipe: Recipe) -> None:
    search = Search({"batch_size": Space("choice", (4, 8, 16)), "seed": Space("int", (0, 1))})
    six = plan_search(tiny_recipe, search, method="random", count=6)
    assert len({(trial.recipe.batch_size, trial.recipe.seed) for trial in six}) == 6
    with pytest.raises(InputError, match=r"too few different recipes\. Received: 7 trials, of which 6"):
        plan_search(tiny_recipe, search, method="random", count=7)
    grid = plan_search(tiny_recipe, search, method="grid", count=0)
    assert {trial.recipe.batch_size * 10 + trial.recipe.seed for trial in grid} == {40, 41, 80, 81, 160, 161}
    with pytest.raises(InputError, match=r"needs a list of values\. Received: optimizer.learning_rate is loguniform"):
        plan_search(tiny_recipe, Search(SPACES), method="grid", count=0)
    with pytest.raises(InputError, match="at least one trial"):
        plan_search(tiny_recipe, search, method="random", count=0)
    with pytest.raises(InputError, match="Did you mean batch_size"):
        plan_search(tiny_recipe, Search({"batch_sze": Space("int", (1, 2))}), method="random", count=1)


def pretend(trial: Trial, folder: Path, *, losses: Sequence[float], finished: bool = True) -> None:
    """A run folder as training leaves it, as far as a search looks at it."""
    run = RunFolder(folder / trial.name)
    run.write_history(
        [
            {"epoch": epoch, "val_loss": loss, "val_accuracy": 1 - loss, "seconds": 1.5}
            for epoch, loss in enumerate(losses, start=1)
        ]
    )
    if finished:
        (run.path / "README.md").write_text("done")


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_search_that_is_interrupted_and_goes_on(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "check_trials", lambda trials, **_: None)
    search, folder = Search(SPACES), tmp_path / "search"
    trials = plan_search(tiny_recipe, search, method="asha", count=5)
    asked: list[list[str]] = []

    def first(given: Sequence[Trial], *, ended: Callable[[Trial], None]) -> None:
        asked.append([trial.name for trial in given])
        pretend(given[0], folder, losses=[0.9, 0.5, 0.6])
        ended(given[0])
        assert [row["status"] for row in table(folder)] == ["finished"] + ["waiting"] * 4
        pretend(given[1], folder, losses=[0.4], finished=False)  # better, but nobody knows where it would have ended
        stop(given[1], folder, epoch=1)
        ended(given[1])
        fail(given[2], folder, why="No memory\n\nTraceback ...")
        pretend(given[3], folder, losses=[0.8], finished=False)
        raise KeyboardInterrupt

    def start(runner: Any, chosen: Sequence[Trial] = trials) -> list[Result]:
        return run_search(tiny_recipe, search, chosen, folder, method="asha", runner=runner)

    with pytest.raises(KeyboardInterrupt):
        start(first)
    states = ["finished", "stopped after epoch 1", "failed: No memory", "interrupted", "waiting"]
    assert [row["status"] for row in table(folder)] == states
    assert [row["val_loss"] for row in table(folder)] == ["0.5", "0.4", "", "", ""]
    assert Recipe.from_json((folder / "best.json").read_text()) == trials[0].recipe
    with Image.open(folder / "parallel_coordinates.png") as picture:
        assert min(picture.size) > 500

    def second(given: Sequence[Trial], *, ended: Callable[[Trial], None]) -> None:
        asked.append([trial.name for trial in given])
        (folder / trials[2].name / "error.txt").unlink()
        for trial in given[2:]:
            pretend(trial, folder, losses=[0.7, 0.3 if trial == trials[4] else 0.6])
            ended(trial)

    results = start(second)
    # With ASHA those that are done come first: their epochs fill the rungs.
    assert asked[1] == [trial.name for trial in trials]
    assert [result.trial for result in results] == [trials[index] for index in (4, 0, 2, 3, 1)]
    assert (results[0].best_epoch, results[0].val_loss, results[0].seconds) == (2, 0.3, 3.0)
    assert Recipe.from_json((folder / "best.json").read_text()) == trials[4].recipe
    start(None)  # nothing is left to do

    more = plan_search(tiny_recipe, search, method="asha", count=6)
    start(lambda given, ended: asked.append([trial.name for trial in given]), more)
    assert asked[2] == [trial.name for trial in more]
    with pytest.raises(InputError, match="holds another search"):
        run_search(tiny_recipe, search, trials, folder, method="random", runner=second)
    other = dataclasses.replace(search, seed=9)
    with pytest.raises(InputError, match="holds another search"):
        run_search(tiny_recipe, other, trials, folder, method="asha", runner=second)
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "file").touch()
    with pytest.raises(InputError, match="holds something else"):
        run_search(tiny_recipe, search, trials, tmp_path / "else", method="asha", runner=second)


def test_without_asha_what_is_done_is_not_asked_for(
    tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "check_trials", lambda trials, **_: None)
    trials = plan_search(tiny_recipe, Search(SPACES), method="random", count=3)
    asked: list[str] = []

    def runner(given: Sequence[Trial], *, ended: Callable[[Trial], None]) -> None:
        asked.extend(trial.name for trial in given)
        for trial in given:
            pretend(trial, tmp_path / "s", losses=[0.5], finished=trial != trials[0])

    for _ in range(2):
        run_search(tiny_recipe, Search(SPACES), trials, tmp_path / "s", method="random", runner=runner)
    assert asked == [trial.name for trial in [*trials, trials[0]]]


def test_stopping_what_is_finished_changes_nothing(tiny_recipe: Recipe, tmp_path: Path) -> None:
    (trial,) = plan_search(tiny_recipe, Search(SPACES), method="random", count=1)
    pretend(trial, tmp_path, losses=[0.5])
    stop(trial, tmp_path, epoch=1)
    assert read_result(trial, tmp_path).status == "finished"


def test_a_stopped_trial_ranks_below_every_finished_one(tiny_recipe: Recipe) -> None:
    trial = Trial("t", {}, tiny_recipe)
    finished, stopped = Result(trial, "finished", 1, 0.9, 0.1), Result(trial, "stopped after epoch 2", 2, 0.2, 0.8)
    waiting = Result(trial, "waiting")
    for monitor in ("loss", "accuracy"):
        assert ranked([waiting, stopped, finished], monitor=monitor) == [finished, stopped, waiting]


def test_a_mistake_shows_before_anything_is_written(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    search = Search({"model.options.drop": Space("uniform", (0.0, 0.5))})
    trials = plan_search(tiny_recipe, search, method="random", count=2)
    with pytest.raises(InputError, match=r"Did you mean dropout\?"):
        run_search(tiny_recipe, search, trials, tmp_path / "s", method="random", runner=None, data_dir=tiny_data_dir)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


ROWS = [
    {RATE: "0.01", "model.name": "vgg11", "val_accuracy": 0.5, "status": "finished"},
    {RATE: "0.0001", "model.name": "vgg19", "val_accuracy": 0.7, "status": "finished"},
    {RATE: "0.001", "model.name": "vgg19", "val_accuracy": 0.3, "status": "stopped after epoch 1"},
    {RATE: "0.1", "model.name": "vgg19", "val_accuracy": None, "status": "failed: x"},
]
KINDS = {RATE: "loguniform", "model.name": "choice"}


def test_parallel_coordinates(tmp_path: Path) -> None:
    plot_parallel(ROWS, tmp_path / "a.png", kinds=KINDS, best=1)
    with Image.open(tmp_path / "a.png") as picture:
        colours = np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)
    assert [0xD5, 0x5E, 0x00] in colours.tolist()  # the best trial's
    plot_parallel(ROWS[:1], tmp_path / "b.png", kinds=KINDS, best=0)  # every axis has one value
    for kinds, best in (({}, 1), (KINDS, 3)):
        with pytest.raises(InputError, match="must have a key, and a best trial"):
            plot_parallel(ROWS, tmp_path / "c.png", kinds=kinds, best=best)
    assert not (tmp_path / "c.png").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--grid", "seed=1,2", "--workers", "2"], "These go with --search. Received: --workers"),
        (["--search", "FILE", "--workers", "0"], "at least one worker"),
        (["--search", "FILE", "--method", "grid", "--trials", "3"], "as many trials as combinations"),
        (["--search", "FILE", "--grid", "seed=1,2"], "not allowed with"),
        ([], "one of the arguments --grid --search is required"),
    ],
)
def test_wrong_usage(words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("[space]\nseed = {int = [0, 2]}")
    words = [str(tmp_path / "a.toml") if word == "FILE" else word for word in words]
    code, out, err = call(capsys, "tune", "quickstart", *words)
    assert (code, out) == (2, "")
    assert told in err


def test_a_dry_run_lists_the_trials(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.toml").write_text("[space]\nseed = {int = [0, 2]}")
    words = ["--search", tmp_path / "a.toml", "--trials", "3", "--output", tmp_path, "--dry-run"]
    _, out, _ = call(capsys, "tune", "quickstart", *words)
    assert sorted(line.split()[1] for line in out.splitlines()[2:]) == ["0", "1", "2"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]
