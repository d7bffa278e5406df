"""NaN that the loss does not show, and clocks: nothing may depend on the time of day."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.training.stopping import StopOnNaN

ROOT = Path(__file__).resolve().parents[2]
TIMES_OF_DAY = {"time.time", "time.time_ns", "datetime.now", "datetime.today", "datetime.utcnow", "date.today"}


def test_a_weight_that_is_not_finite_is_found_though_the_loss_is() -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="dense")])
    callback = StopOnNaN(4)
    callback.set_model(model)
    callback.on_epoch_end(0, {"loss": 0.5})
    model.layers[0].bias.assign(np.array([0.0, np.nan, 0.0]))
    with pytest.raises(InputError, match=r"not finite after epoch 5\. Received: .*dense/bias\. Lower optimizer"):
        callback.on_epoch_end(0, {"loss": 0.5})


def test_nothing_asks_for_the_time_of_day() -> None:
    for path in [*(ROOT / "ferkeras").rglob("*.py"), *(ROOT / "tfds_builders").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                called = ".".join(ast.unparse(node).split(".")[-2:])
                assert called not in TIMES_OF_DAY, f"{path.relative_to(ROOT)} line {node.lineno}: {called}"
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                assert not {alias.name for alias in node.names} & {"time", "time_ns"}, path
