"""Valence and arousal of every frame of generated clips: the network of `efficientnet_lstm_clips`, frame by frame.

Source: as `efficientnet_lstm_clips`; each frame has its own output and label, for continuous annotation.

Command: python train.py efficientnet_frames_clips
Cost: a few minutes on two CPU cores.
Measured: CCC on the test split 0.950 for valence and 0.931 for arousal, mean 0.940
(95 % interval over subjects 0.926 to 0.952), by python benchmarks/sequences.py.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipe_data import ClipWindows
from ferkeras.recipes.efficientnet_lstm_clips import RECIPE as WINDOWS

RECIPE = dataclasses.replace(
    WINDOWS,
    name="efficientnet_frames_clips",
    model=Model("efficientnet_lstm_frames", WINDOWS.model.options),
    data=dataclasses.replace(WINDOWS.data, target="valence_arousal_frames", clips=ClipWindows(16, 8)),
)
