"""A grid of recipes: every combination of some values is trained, one after another, and compared.

`<folder>/` holds `grid.json`, a run folder for each trial, `results.csv`, `results.png`, and `best.json`, the best
trial's recipe.
"""

import dataclasses
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

from ferkeras.errors import InputError
from ferkeras.recipe import Recipe
from ferkeras.tuning.results import Result, ranked, read_result, result_rows, write_results
from ferkeras.tuning.trials import Trial, check_trials, claim, make_trials

#: A recipe key -> the texts of its values, as for `--set`.
Grid = Mapping[str, Sequence[str]]

#: A value of a list: anything without a comma, and commas where quotes or brackets enclose them.
_VALUE = re.compile(r"""(?:[^,()\[\]"']|"[^"]*"|'[^']*'|\([^()]*\)|\[[^\[\]]*\])+""")


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
    from ferkeras.training.lock import run_lock

    trials = make_trials(recipe, grid)
    check_trials(trials, data_dir=data_dir, manual_dir=manual_dir)
    with run_lock(folder):
        claim(folder, {"grid": dict(grid), "recipe": dataclasses.asdict(recipe)}, kind="grid")
        results = [read_result(trial, folder) for trial in trials]
        for index, trial in enumerate(trials):
            if results[index].status == "finished":
                continue
            print(f"trial {index + 1}/{len(trials)}  {trial.name}", file=sys.stderr, flush=True)
            failure = None
            try:
                failure = _train(trial, folder, data_dir=data_dir, manual_dir=manual_dir)
            finally:  # an interruption too
                results[index] = read_result(trial, folder, failure=failure)
                _write(folder, recipe, results)
        _write(folder, recipe, results)
    return ranked(results, monitor=recipe.monitor)


def _train(trial: Trial, folder: Path, *, data_dir: Path | None, manual_dir: Path | None) -> str | None:
    """Trains `trial` to its end; returns why it failed."""
    import keras

    from ferkeras.training.finish import finish
    from ferkeras.training.lock import run_lock
    from ferkeras.training.loop import run

    keras.utils.clear_session()  # frees the trial before
    path = folder / trial.name
    try:
        with run_lock(path):
            finish(run(trial.recipe, path, data_dir=data_dir, manual_dir=manual_dir, resume=True), data_dir=data_dir)
    except InputError as error:  # the loss is not finite
        return str(error)
    except Exception as error:  # memory, or an error of ours: either way the other trials are still of interest
        traceback.print_exc()
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return None


def _write(folder: Path, recipe: Recipe, results: Sequence[Result]) -> None:
    best = write_results(folder, recipe, results)
    if best is None:
        return
    from ferkeras.plots import plot_grid

    rows = list(result_rows(results))
    keys = list(best.trial.values)
    plot_grid(rows, folder / "results.png", keys=keys, best=results.index(best), quantity=recipe.score)
