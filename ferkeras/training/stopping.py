"""When to stop and when to slow down: small counters with a state that a checkpoint can hold."""

import math
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from ferkeras.errors import InputError


@dataclass
class EarlyStopping:
    """Remembers the best validation value (smaller is better) and stops after too many worse ones.

    best = inf; if value < best: best = value, trigger = 0; else trigger += 1; stop when trigger > patience.

    Attributes:
        patience: Epochs without improvement that are tolerated; None never stops.
    """

    patience: int | None
    best: float = math.inf
    best_epoch: int = 0
    trigger: int = 0

    def improved(self, value: float, *, epoch: int) -> bool:
        """Takes the value of `epoch`; True if it is the best so far."""
        if value < self.best:
            self.best, self.best_epoch, self.trigger = value, epoch, 0
            return True
        self.trigger += 1
        return False

    @property
    def stop(self) -> bool:
        return self.patience is not None and self.trigger > self.patience

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch, "trigger": self.trigger}

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch, self.trigger = state["best"], state["best_epoch"], state["trigger"]


@dataclass
class Plateau:
    """Multiplies the learning rate by `factor` after `patience` epochs in a row without a lower validation loss."""

    factor: float
    patience: int
    floor: float
    best: float = math.inf
    waited: int = 0

    def next_rate(self, loss: float, rate: float) -> float:
        """Takes an epoch's validation loss and the present rate; returns the rate to go on with."""
        if loss < self.best:
            self.best, self.waited = loss, 0
            return rate
        self.waited += 1
        if self.waited < self.patience:
            return rate
        self.waited = 0
        return min(rate, max(rate * self.factor, self.floor))  # a floor above the rate does not lift it

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state["best"], state["waited"]


class StopOnNaN(keras.callbacks.Callback):
    """Ends training with an `InputError` when the loss stops being finite, naming the step, or a weight, the epoch.

    The loss alone does not tell: ReLU may turn NaN into zero, so that broken weights give a finite loss for ever.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # Keras reports the running mean of the epoch, which one value that is not finite turns for good.
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            raise InputError(
                f"The loss is not finite at epoch {self._epoch + 1}, step {batch + 1}",
                received=f"loss={loss}",
                action="Lower optimizer.learning_rate, or set optimizer.clip_norm; the last checkpoint is kept.",
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        for variable in self.model.weights:
            if "float" in variable.dtype and not bool(ops.all(ops.isfinite(variable))):
                raise InputError(
                    f"The weights are not finite after epoch {self._epoch + 1}",
                    received=variable.path,
                    action="Lower optimizer.learning_rate, or set optimizer.clip_norm; the last checkpoint is kept.",
                )
