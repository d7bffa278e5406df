"""Emotion of generated clips: the vectors of single frames as one Gaussian a clip, and a support vector machine.

Source: the Xception-LSTM report, in which the aggregation of frames is what the recurrent networks are held against;
the Gaussian and its geometry are those of Liu et al., ICMI 2014, see `ferkeras.aggregation.feature`. Windows and
encoder are those of `xception_lstm_clips`.

Command: python train.py xception_aggregation_clips, after python train.py xception_dense_stills
Cost: half a minute on two CPU cores after the first.
Measured: test accuracy 0.674 (350 clips, 95 % interval over subjects 0.633 to 0.711),
by python benchmarks/sequences.py.
"""

from ferkeras.recipe import Aggregation, Recipe
from ferkeras.recipes.xception_dense_stills import RECIPE as STILLS
from ferkeras.recipes.xception_lstm_clips import RECIPE as WINDOWS

RECIPE = Recipe(
    name="xception_aggregation_clips",
    model=STILLS.model,
    data=WINDOWS.data,
    aggregation=Aggregation(STILLS.name, method="gaussian", classifier="svm"),
)
