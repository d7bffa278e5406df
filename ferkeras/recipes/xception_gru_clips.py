"""The same as `xception_lstm_clips` with a GRU.

Source: the report named there; the GRU is an addition.

Command: python train.py xception_gru_clips, after python train.py xception_dense_stills
Cost: as there.
Measured: not measured.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.xception_lstm_clips import RECIPE as PLAIN

RECIPE = dataclasses.replace(PLAIN, name="xception_gru_clips", model=Model("xception_gru", PLAIN.model.options))
