"""Emotion of generated clips: one convolution over space and time and two dense layers.

Source: Reddy et al., IJCNN 2019, see `ferkeras.models.microexp_stcnn`. The paper trains on 96 grey frames of 64x64 with
kernels of 15 frames and plain gradient descent; here are 16 frames of 48x48, kernels of 3, the same share of the
clip, and the training of `stc_nlstm_clips` with a third of its learning rate: the dense layer has 28,800 inputs,
and at the full rate Adam's first steps leave its units dead.

Command: python train.py microexp_stcnn_clips
Cost: a quarter of an hour on two CPU cores.
Measured: test accuracy 0.151 (350 clips, 95 % interval over subjects 0.137 to 0.166),
by python benchmarks/sequences.py,
which is chance (0.143): without normalised pictures it does not get from these people to others.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.stc_nlstm_clips import RECIPE as NESTED

RECIPE = dataclasses.replace(
    NESTED,
    name="microexp_stcnn_clips",
    model=Model("microexp_stcnn", {"kernel_frames": 3, "dropout": 0.5}),
    duration="30ep",
    optimizer=dataclasses.replace(NESTED.optimizer, learning_rate=3e-4),
)
