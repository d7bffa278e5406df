"""Where a run stands: its history and the counters that decide how it goes on, and the bar that shows it."""

import sys
from dataclasses import dataclass, field
from typing import Any

import keras
from tqdm import tqdm

from ferkeras.recipe import Recipe
from ferkeras.training.stopping import EarlyStopping, Plateau


@dataclass
class Progress:
    """The part of a run's state that is not in variables; a checkpoint holds `state()` as JSON.

    Attributes:
        history: One row per finished epoch, the columns of `history.csv`.
        stopping: Best epoch and early stopping.
        plateau: The learning-rate drop, used where the recipe's schedule is `plateau`.
    """

    recipe: Recipe
    stopping: EarlyStopping
    plateau: Plateau
    history: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def begin(recipe: Recipe) -> "Progress":
        schedule = recipe.schedule
        plateau = Plateau(schedule.factor, schedule.patience, schedule.floor)
        return Progress(recipe, EarlyStopping(recipe.patience), plateau)

    def take(self, row: dict[str, Any]) -> bool:
        """Takes the row of a finished epoch; True if it is the best so far by the recipe's `monitor`."""
        self.history.append(row)
        monitor = self.recipe.monitor
        value = row["val_loss"] if monitor == "loss" else -row[f"val_{monitor}"]
        return self.stopping.improved(value, epoch=row["epoch"])

    def state(self) -> dict[str, Any]:
        return {
            "history": self.history,
            "stopping": self.stopping.state(),
            "plateau": self.plateau.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.history = state["history"]
        self.stopping.restore(state["stopping"])
        self.plateau.restore(state["plateau"])

    def line(self, *, epochs: int) -> str:
        """The last epoch in one line."""
        row = self.history[-1]
        best = "  best so far" if self.stopping.best_epoch == row["epoch"] else ""
        apart = ("epoch", "learning_rate", "seconds", "images_per_second")
        scores = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name not in apart)
        return (
            f"epoch {row['epoch']}/{epochs}  {scores}  "
            f"rate {row['learning_rate']:.2e}  {row['images_per_second']:.0f} images/s{best}"
        )


class ProgressBar(keras.callbacks.Callback):
    """One bar an epoch on standard error, so that standard output holds results alone: steps, time left, loss.

    Where standard error is no terminal, the bar is renewed every half minute instead of in place.
    """

    def __init__(self, *, title: str, steps: int, done: int = 0) -> None:
        super().__init__()
        interval = 0.2 if sys.stderr.isatty() else 30.0
        self._bar = tqdm(
            total=steps, initial=done, desc=title, unit="step", file=sys.stderr, mininterval=interval, leave=False
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if "loss" in logs:
            text = " ".join(f"{name} {float(logs[name]):.4f}" for name in ("loss", "accuracy") if name in logs)
            self._bar.set_postfix_str(text, refresh=False)
        self._bar.update()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.close()
