"""The same as `xception_lstm_segments` with two LSTM layers, dropout between and after them.

Source: the report named there.

Command: python train.py xception_deep_lstm_segments --manual-dir DIR
Cost and result: not measured.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.xception_lstm_segments import RECIPE as PLAIN

RECIPE = dataclasses.replace(
    PLAIN, name="xception_deep_lstm_segments", model=Model("xception_deep_lstm", PLAIN.model.options)
)
