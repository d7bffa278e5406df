"""The same as `xception_lstm_segments` with a bidirectional LSTM.

Source: the report named there.

Command: python train.py xception_bilstm_segments --manual-dir DIR
Cost and result: not measured.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.xception_lstm_segments import RECIPE as PLAIN

RECIPE = dataclasses.replace(
    PLAIN, name="xception_bilstm_segments", model=Model("xception_bilstm", PLAIN.model.options)
)
