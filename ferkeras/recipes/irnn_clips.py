"""Emotion of generated clips: rectified linear recurrent units over the vectors of an encoder of stills.

Source: Ebrahimi Kahou et al., ICMI 2015, see `ferkeras.models.irnn`: as in the paper the encoder is trained on still
images first. It is then fixed; encoder and training are those of `xception_lstm_clips`, which clips the gradients, as
the paper does.

Command: python train.py irnn_clips, after python train.py xception_dense_stills
Cost: a minute on two CPU cores after the first.
Measured: test accuracy 0.931 (350 clips, 95 % interval over subjects 0.897 to 0.961),
by python benchmarks/sequences.py.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.xception_lstm_clips import RECIPE as LSTM

RECIPE = dataclasses.replace(LSTM, name="irnn_clips", model=Model("irnn", LSTM.model.options))
