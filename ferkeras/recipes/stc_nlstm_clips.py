"""Emotion of generated clips: convolutions over space and time and nested LSTMs over time and over their levels.

Source: Yu et al., Neurocomputing 317, 2018, see `ferkeras.models.stc_nlstm`, with channels halved; the training is this
package's own. The steps are many and small, and the pictures are only mirrored: from random weights the loss stays
for some six hundred steps where it begins, and with batches of 32 for the whole run.

Command: python train.py stc_nlstm_clips
Cost: ten minutes on two CPU cores.
Measured: test accuracy 0.891 (350 clips, 95 % interval over subjects 0.860 to 0.922),
by python benchmarks/sequences.py.
"""

import dataclasses

from ferkeras.recipe import Augment, Model
from ferkeras.recipes.two_stream_bilstm_clips import RECIPE as STREAMS

RECIPE = dataclasses.replace(
    STREAMS,
    name="stc_nlstm_clips",
    model=Model("stc_nlstm", {"width": 0.5, "hidden": 128, "dropout": 0.2}),
    augment=Augment(flip=True),
    duration="20ep",
    batch_size=8,
)
