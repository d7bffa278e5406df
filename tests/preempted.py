"""A run that SIGTERM stops in the middle of an epoch, and the same run undisturbed."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.preemption import PreemptedError, Preemption

COMPARED = ("epoch", "loss", "accuracy", "val_loss")


class _AtOnce(loop.StopOnNaN):
    """Tells the process to stop after the second step of the second epoch."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._epoch == 1 and batch == 1:
            os.kill(os.getpid(), signal.SIGTERM)


def assert_resume_is_exact(
    recipe: Recipe, folder: Path, *, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> RunFolder:
    """Stopped and resumed, `recipe`, of four steps an epoch, ends like its uninterrupted run, which is returned."""
    with monkeypatch.context() as patch, Preemption() as preemption:
        patch.setattr(loop, "StopOnNaN", _AtOnce)
        with pytest.raises(PreemptedError, match=r"after step [23] of 4 of epoch 2"):
            loop.run(recipe, folder / "stopped", data_dir=data_dir, preemption=preemption)
    loop.run(recipe, folder / "stopped", data_dir=data_dir, resume=True)
    loop.run(recipe, folder / "whole", data_dir=data_dir)
    stopped, whole = (RunFolder(folder / name) for name in ("stopped", "whole"))
    for a, b in zip(stopped.load_model().get_weights(), whole.load_model().get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    rows, expected = ([[row[name] for name in COMPARED] for row in run.history()] for run in (stopped, whole))
    assert rows == expected
    return whole
