"""The same as `xception_lstm_clips` with a GRU.

Source: the report named there; the GRU is an addition.

Command: python train.py xception_gru_clips, after python train.py xception_dense_stills
Cost: as there.
Measured: test accuracy 0.969 (350 clips, 95 % interval over subjects 0.952 to 0.983),
by python benchmarks/sequences.py.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.xception_lstm_clips import RECIPE as PLAIN

RECIPE = dataclasses.replace(PLAIN, name="xception_gru_clips", model=Model("xception_gru", PLAIN.model.options))
