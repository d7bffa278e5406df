"""Emotion of generated clips: small encoders of picture and optical flow per frame and a bidirectional LSTM.

Sources: after Simonyan & Zisserman, NeurIPS 2014, and Schuster & Paliwal, 1997, see
`ferkeras.models.two_stream_bilstm`; the training is that of `stc_nlstm_clips`.

Command: python train.py two_stream_bilstm_clips
Cost: ten minutes on two CPU cores.
Measured: not measured.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.stc_nlstm_clips import RECIPE as NESTED

RECIPE = dataclasses.replace(
    NESTED,
    name="two_stream_bilstm_clips",
    model=Model("two_stream_bilstm", {"width": 0.5, "hidden": 128, "dropout": 0.4}),
)
