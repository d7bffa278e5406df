"""A grid of recipes: every combination of some values is trained, one after another, and compared.

`<folder>/` holds `grid.json`, a run folder for each trial, `results.csv`, `results.png`, and `best.json`, the best
trial's recipe. What is done is read from the run folders, so that a grid that was killed goes on where it stopped.
Trials are compared on the validation split alone.
"""

import csv
import dataclasses
import io
import json
import math
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.recipe import Recipe, override, resolve
from ferkeras.runs import RunFolder

#: A recipe key -> the texts of its values, as for `--set`.
Grid = Mapping[str, Sequence[str]]

#: A value of a list: anything without a comma, and commas where quotes or brackets enclose them.
_VALUE = re.compile(r"""(?:[^,()\[\]"']|"[^"]*"|'[^']*'|\([^()]*\)|\[[^\[\]]*\])+""")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Trial:
    """One combination: the name of its run folder, its value of each key, and the resolved recipe."""

    name: str
    values: dict[str, str]
    recipe: Recipe


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes:
        status: `finished`, `interrupted`, `waiting`, or `failed: <why>`. The numbers are there once it is finished.
        best_epoch: Which the recipe's `monitor` chose; the validation values are of this epoch.
        val_score: Of `Recipe.score`: accuracy, or mean CCC of valence and arousal.
        seconds: Of training, all epochs together.
    """

    trial: Trial
    status: str
    best_epoch: int | None = None
    val_loss: float | None = None
    val_score: float | None = None
    seconds: float | None = None


def parse_grid(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`["batch_size=32,64", "data.image_size=[48,48],[64,64]"]` -> each key with its values.

    A comma inside quotes, round or square brackets belongs to the value.

    Raises:
        InputError: for a word without `=`, a value that is empty or whose brackets do not close, a repeated key.
    """
    grid: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, equals, text = (part.strip() for part in word.partition("="))
        values = _VALUE.findall(text)
        if not equals or ",".join(values) != text or not all(value.strip() for value in values) or not values:
            action = 'Values that hold commas go in brackets or quotes: data.image_size="[48,48],[64,64]".'
            raise InputError("--grid takes key=value,value,...", received=word, action=action)
        if key in grid:
            raise InputError("A key stands twice in the grid", received=key, action=f"Write {key}=a,b,c once.")
        grid[key] = tuple(value.strip() for value in values)
    return grid


def make_trials(recipe: Recipe, grid: Grid) -> list[Trial]:
    """All combinations, in the order of scikit-learn's `ParameterGrid`, each recipe overridden and checked.

    Raises:
        InputError: for an unknown key, a value that a recipe refuses, or two combinations that are one recipe.
    """
    from sklearn.model_selection import ParameterGrid

    points = list(ParameterGrid({key: list(values) for key, values in grid.items()}))
    digits = len(str(len(points)))
    trials: list[Trial] = []
    for number, values in enumerate(points, start=1):
        changed = resolve(override(recipe, [f"{key}={value}" for key, value in values.items()]))
        name = f"{number:0{digits}d}_" + ",".join(_brief(key, value) for key, value in values.items())
        for other in trials:
            if other.recipe == changed:
                raise InputError(
                    "Two combinations of the grid are the same recipe", received=f"{other.values}, {values}"
                )
        trials.append(Trial(name[:_LONGEST_NAME], values, changed))
    return trials


def _brief(key: str, value: str) -> str:
    """`optimizer.learning_rate`, `1e-3` -> `learning_rate=1e-3`, without what file names should not hold."""
    return f"{key.rpartition('.')[2]}={re.sub(r'[^A-Za-z0-9.+-]+', '_', value).strip('_')}"


def run_grid(
    recipe: Recipe, grid: Grid, folder: Path, *, data_dir: Path | None = None, manual_dir: Path | None = None
) -> list[Result]:
    """Trains every combination of `grid` that is not finished yet; a trial that fails does not end the others.

    An interrupted trial goes on from its last epoch, and so does a failed one, which fails again at once where the
    reason lies in its values. `results.csv`, `results.png` and `best.json` are renewed after each trial.

    Args:
        recipe: What the combinations change.
        grid: See `parse_grid`.
        folder: Of the grid; it is made, or holds this grid already.
        data_dir: Where prepared data lies.
        manual_dir: Where the official files lie, for data that is not prepared yet.

    Returns:
        A result for each combination, best first by the recipe's `monitor`.

    Raises:
        InputError: before anything is written, for a mistake in any of the recipes, models or data, or a folder
            that holds something else.
    """
    trials = make_trials(recipe, grid)
    _check(trials, data_dir=data_dir, manual_dir=manual_dir)
    _claim(folder, recipe, grid)
    results = [_result(trial, folder) for trial in trials]
    for index, trial in enumerate(trials):
        if results[index].status == "finished":
            continue
        print(f"trial {index + 1}/{len(trials)}  {trial.name}", file=sys.stderr, flush=True)
        failure = None
        try:
            failure = _train(trial, folder, data_dir=data_dir, manual_dir=manual_dir)
        finally:  # an interruption too
            results[index] = _result(trial, folder, failure=failure)
            _write(folder, recipe, results)
    _write(folder, recipe, results)
    return ranked(results, monitor=recipe.monitor)


def ranked(results: Sequence[Result], *, monitor: str) -> list[Result]:
    """Best first by the validation value that `monitor` names; those without one last, in their order."""

    def rank(result: Result) -> float:
        if result.val_loss is None or result.val_score is None:
            return math.inf
        return result.val_loss if monitor == "loss" else -result.val_score

    return sorted(results, key=rank)


def _check(trials: Sequence[Trial], *, data_dir: Path | None, manual_dir: Path | None) -> None:
    """Opens the data and builds the network of every trial, each kind once: a mistake in the last one shows now."""
    import keras

    from ferkeras.training.loop import make_model
    from ferkeras.training.task import open_examples

    seen = []
    for recipe in (trial.recipe for trial in trials):
        if (recipe.model, recipe.data) in seen:
            continue
        seen.append((recipe.model, recipe.data))
        data = open_examples(recipe, data_dir=data_dir, manual_dir=manual_dir)
        for split in (recipe.data.train, recipe.data.validation):
            data.size(split)
        make_model(recipe, data, pretrained=False)
        keras.utils.clear_session()


def _claim(folder: Path, recipe: Recipe, grid: Grid) -> None:
    """Writes `grid.json`, by which the folder is this grid's from then on."""
    path = folder / "grid.json"
    text = json.dumps({"grid": dict(grid), "recipe": dataclasses.asdict(recipe)}, indent=2, sort_keys=True)
    if path.exists():
        if path.read_text(encoding="utf-8") != text + "\n":
            raise InputError("The folder holds another grid", received=str(folder), action="Choose another --name.")
    elif folder.exists() and any(folder.iterdir()):
        raise InputError("The folder holds something else", received=str(folder), action="Choose another --name.")
    else:
        write_atomically(path, text + "\n")


def _train(trial: Trial, folder: Path, *, data_dir: Path | None, manual_dir: Path | None) -> str | None:
    """Trains `trial` to its end; returns why it failed."""
    import keras

    from ferkeras.training.finish import finish
    from ferkeras.training.loop import run

    keras.utils.clear_session()  # frees the trial before
    try:
        finish(
            run(trial.recipe, folder / trial.name, data_dir=data_dir, manual_dir=manual_dir, resume=True),
            data_dir=data_dir,
        )
    except InputError as error:  # the loss is not finite
        return str(error)
    except Exception as error:  # memory, or an error of ours: either way the other trials are still of interest
        traceback.print_exc()
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return None


def _result(trial: Trial, folder: Path, *, failure: str | None = None) -> Result:
    """Read from the trial's run folder."""
    from ferkeras.training.progress import Progress

    run = RunFolder(folder / trial.name)
    if failure is not None:
        return Result(trial, f"failed: {failure}")
    if not run.is_finished():
        return Result(trial, "interrupted" if run.path.exists() else "waiting")
    progress = Progress.begin(trial.recipe)  # chooses the epoch as training did
    for row in run.history():
        progress.take({name: float(row[name]) for name in ("epoch", "val_loss", trial.recipe.score, "seconds")})
    best = progress.history[int(progress.stopping.best_epoch) - 1]
    seconds = sum(row["seconds"] for row in progress.history)
    return Result(trial, "finished", int(best["epoch"]), best["val_loss"], best[trial.recipe.score], round(seconds, 1))


def _write(folder: Path, recipe: Recipe, results: Sequence[Result]) -> None:
    rows = list(_rows(results))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "results.csv", text.getvalue())
    best = ranked(results, monitor=recipe.monitor)[0]
    if best.status != "finished":
        return
    write_atomically(folder / "best.json", best.trial.recipe.to_json() + "\n")
    from ferkeras.plots import plot_grid

    keys = list(best.trial.values)
    plot_grid(rows, folder / "results.png", keys=keys, best=results.index(best), quantity=recipe.score)


def _rows(results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """`results.csv`: trial, a column for each key, and the rest of the result."""
    for result in results:
        numbers = {
            "best_epoch": result.best_epoch,
            "val_loss": result.val_loss,
            result.trial.recipe.score: result.val_score,
            "seconds": result.seconds,
        }
        yield {"trial": result.trial.name, **result.trial.values, **numbers, "status": result.status}
