"""The same as `xception_lstm_clips` with two layers of LSTM.

Source: the report named there.

Command: python train.py xception_deep_lstm_clips, after python train.py xception_dense_stills
Cost: as there.
Measured: test accuracy 0.966 (350 clips, 95 % interval over subjects 0.949 to 0.983),
by python benchmarks/sequences.py.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.xception_lstm_clips import RECIPE as PLAIN

RECIPE = dataclasses.replace(
    PLAIN, name="xception_deep_lstm_clips", model=Model("xception_deep_lstm", PLAIN.model.options)
)
