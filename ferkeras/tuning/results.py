"""What came of trials: read from their run folders, ranked, and written as a table with the best one's recipe."""

import csv
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferkeras.files import write_atomically
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.tuning.trials import Trial

#: In a trial's folder: that a search ended it early, and why it failed.
STOPPED, FAILED = "stopped.json", "error.txt"


@dataclass(frozen=True)
class Result:
    """What came of a trial.

    Attributes:
        status: `finished`, `interrupted`, `waiting`, `stopped after epoch <n>`, or `failed: <why>`. The numbers are
            there once it is finished or stopped.
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


def read_result(trial: Trial, folder: Path, *, failure: str | None = None) -> Result:
    """Read from the trial's run folder in `folder`; `failure` is a reason that is not recorded there."""
    from ferkeras.training.progress import Progress

    run = RunFolder(folder / trial.name)
    if failure is None and (run.path / FAILED).exists():
        failure = (run.path / FAILED).read_text(encoding="utf-8").partition("\n")[0]
    if failure is not None:
        return Result(trial, f"failed: {failure}")
    stopped = (run.path / STOPPED).exists()
    if not stopped and not run.is_finished():
        return Result(trial, "interrupted" if run.path.exists() else "waiting")
    progress = Progress.begin(trial.recipe)  # chooses the epoch as training did
    for row in run.history():
        progress.take({name: float(row[name]) for name in ("epoch", "val_loss", trial.recipe.score, "seconds")})
    best = progress.history[int(progress.stopping.best_epoch) - 1]
    seconds = sum(row["seconds"] for row in progress.history)
    status = f"stopped after epoch {len(progress.history)}" if stopped else "finished"
    return Result(trial, status, int(best["epoch"]), best["val_loss"], best[trial.recipe.score], round(seconds, 1))


def ranked(results: Sequence[Result], *, monitor: str) -> list[Result]:
    """Best first by the validation value that `monitor` names: finished ones, then those that were stopped, then those
    without a value in their order."""

    def rank(result: Result) -> tuple[bool, float]:
        if result.val_loss is None or result.val_score is None:
            return True, math.inf
        return result.status != "finished", result.val_loss if monitor == "loss" else -result.val_score

    return sorted(results, key=rank)


def write_results(folder: Path, recipe: Recipe, results: Sequence[Result]) -> Result | None:
    """Writes `results.csv` and, once a trial is finished, the best one's recipe to `best.json`; returns that one."""
    rows = list(result_rows(results))
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(folder / "results.csv", text.getvalue())
    best = ranked(results, monitor=recipe.monitor)[0]
    if best.status != "finished":
        return None
    write_atomically(folder / "best.json", best.trial.recipe.to_json() + "\n")
    return best


def result_rows(results: Sequence[Result]) -> Iterator[dict[str, Any]]:
    """`results.csv`: trial, a column for each key, and the rest of the result."""
    for result in results:
        numbers = {
            "best_epoch": result.best_epoch,
            "val_loss": result.val_loss,
            result.trial.recipe.score: result.val_score,
            "seconds": result.seconds,
        }
        yield {"trial": result.trial.name, **result.trial.values, **numbers, "status": result.status}
