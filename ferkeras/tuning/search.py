"""A search: trials with values drawn from ranges, several at once, where bad ones may be stopped early.

`<folder>/` holds `search.json`, a run folder for each trial, `results.csv`, `parallel_coordinates.png`, and
`best.json`, the best trial's recipe, which `train.py` takes. Nothing else is kept of a search: what is finished, was
stopped or failed stands in the trials' folders, and Ray's own state goes with the process.
"""

import dataclasses
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.tuning.results import FAILED, STOPPED, Result, ranked, read_result, result_rows, write_results
from ferkeras.tuning.space import Search
from ferkeras.tuning.trials import Trial, check_trials, claim, make_trial, make_trials

Method = Literal["random", "grid", "asha"]
METHODS: tuple[Method, ...] = ("random", "grid", "asha")
#: Of a trial's number, so that its name stays when there are more trials.
_DIGITS = 4
_ATTEMPTS = 100


class Runner(Protocol):
    """Trains trials, several at once, and calls `ended` in this process whenever one has ended in any way."""

    def __call__(self, trials: Sequence[Trial], *, ended: Callable[[Trial], None]) -> None: ...


def plan_search(recipe: Recipe, search: Search, *, method: Method, count: int) -> list[Trial]:
    """The trials: `count` different draws, or for a grid all combinations.

    Raises:
        InputError: for an unknown key, a value that a recipe refuses, a grid over a range of fractions, or a space
            with fewer than `count` recipes.
    """
    if method == "grid":
        return make_trials(recipe, {key: space.all(key) for key, space in search.spaces.items()})
    if count < 1:
        raise InputError("A search has at least one trial", received=count, action="Give another --trials.")
    trials: list[Trial] = []
    for number in range(1, count + 1):
        for attempt, values in enumerate(search.draws(number)):
            trial = make_trial(recipe, values, number=number, digits=_DIGITS)
            if all(other.recipe != trial.recipe for other in trials):
                trials.append(trial)
                break
            if attempt == _ATTEMPTS:
                raise InputError(
                    "The search space has too few different recipes",
                    received=f"{count} trials, of which {len(trials)} were found",
                    action="Give a smaller --trials, or --method grid.",
                )
    return trials


def run_search(
    recipe: Recipe,
    search: Search,
    trials: Sequence[Trial],
    folder: Path,
    *,
    method: Method,
    runner: Runner,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
) -> list[Result]:
    """Trains what is not done yet of `trials`; one that fails does not end the others.

    An interrupted trial goes on from its last epoch, and so does a failed one. A trial that ASHA stopped stays so.
    Table, plot and `best.json` are renewed whenever a trial ends, and when the search is interrupted.

    Args:
        recipe: What the trials change.
        search: Where their values come from.
        trials: See `plan_search`; the same search may go on with more of them.
        folder: Of the search; it is made, or holds this search already.
        method: With `asha` the runner gets the trials that are done too, see `ferkeras.tuning.ray_runner`.
        runner: Who trains them.
        data_dir: Where prepared data lies.
        manual_dir: Where the official files lie, for data that is not prepared yet.

    Returns:
        A result for each trial, best first by the recipe's `monitor`.

    Raises:
        InputError: before anything is written, for a mistake in the model or the data, or a folder that holds
            something else.
    """
    from ferkeras.training.lock import run_lock

    check_trials(_one_of_each_kind(trials), data_dir=data_dir, manual_dir=manual_dir)
    with run_lock(folder):
        claim(folder, {**search.record(), "method": method, "recipe": dataclasses.asdict(recipe)}, kind="search")
        results = {trial.name: read_result(trial, folder) for trial in trials}

        def ended(trial: Trial) -> None:
            results[trial.name] = read_result(trial, folder)
            _write(folder, recipe, search, list(results.values()))

        done = [trial for trial in trials if is_done(trial, folder)]
        begun = [trial for trial in trials if trial not in done and results[trial.name].status != "waiting"]
        waiting = [trial for trial in trials if trial not in done and trial not in begun]
        try:
            if begun or waiting:
                runner([*(done if method == "asha" else []), *begun, *waiting], ended=ended)
        finally:  # an interruption too
            for trial in trials:
                results[trial.name] = read_result(trial, folder)
            _write(folder, recipe, search, list(results.values()))
    return ranked(list(results.values()), monitor=recipe.monitor)


def train_trial(
    trial: Trial,
    folder: Path,
    *,
    on_epoch: Callable[[Mapping[str, Any]], bool],
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
) -> None:
    """Trains `trial` to its end, or records why it failed; the arguments are those of `ferkeras.training.loop.run`."""
    import keras

    from ferkeras.training.finish import finish
    from ferkeras.training.lock import run_lock
    from ferkeras.training.loop import run

    keras.utils.clear_session()  # frees the trial before
    workdir = folder / trial.name
    (workdir / FAILED).unlink(missing_ok=True)
    try:
        with run_lock(workdir):
            run(trial.recipe, workdir, data_dir=data_dir, manual_dir=manual_dir, resume=True, on_epoch=on_epoch)
            finish(RunFolder(workdir), data_dir=data_dir)
    except InputError as error:  # the loss is not finite, or a value that the model refuses
        fail(trial, folder, why=str(error))
    except Exception as error:  # memory, or an error of ours: either way the other trials are still of interest
        first = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        fail(trial, folder, why=f"{first}\n\n{traceback.format_exc()}")


def is_done(trial: Trial, folder: Path) -> bool:
    """Whether `trial` is finished or was stopped."""
    return any((folder / trial.name / name).exists() for name in ("README.md", STOPPED))


def stop(trial: Trial, folder: Path, *, epoch: int) -> None:
    """Records that `trial` was stopped after `epoch`, unless it is done. Its checkpoint, the largest file, goes."""
    if not is_done(trial, folder):
        write_atomically(folder / trial.name / STOPPED, f'{{"epoch": {epoch}}}\n')
    shutil.rmtree(folder / trial.name / "checkpoints", ignore_errors=True)


def fail(trial: Trial, folder: Path, *, why: str) -> None:
    """Records why `trial` failed; the first line goes into the table."""
    write_atomically(folder / trial.name / FAILED, why.strip() + "\n")


def _one_of_each_kind(trials: Sequence[Trial]) -> list[Trial]:
    """Ranges make every network a little different; one for each model and data set shows what is wrong with all."""
    return list({(trial.recipe.model.name, repr(trial.recipe.data)): trial for trial in reversed(trials)}.values())


def _write(folder: Path, recipe: Recipe, search: Search, results: Sequence[Result]) -> None:
    best = write_results(folder, recipe, results)
    if best is None:
        return
    from ferkeras.tuning.plot import plot_parallel

    plot_parallel(
        list(result_rows(results)),
        folder / "parallel_coordinates.png",
        kinds={key: space.kind for key, space in search.spaces.items()},
        best=results.index(best),
        quantity=recipe.score,
    )
