"""The network of `vgg11_lstm_attention_fer2013` on a schedule that two CPU cores finish in an hour.

Source: this library. One warm-up epoch to a rate of 1e-3 and a cosine to zero, label smoothing, a moving average
of the weights, and small shifts and scalings beside the rotation, chosen on experience, not searched.

Command: python train.py vgg11_lstm_attention_short_fer2013 --manual-dir DIR
"""

import dataclasses

from ferkeras.recipe import Augment, Loss, Optimizer, Schedule
from ferkeras.recipes import vgg11_lstm_attention_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="vgg11_lstm_attention_short_fer2013",
    augment=Augment(flip=True, rotation=15.0, translation=0.08, zoom=0.1),
    loss=Loss("cross_entropy", label_smoothing=0.1),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-2, ema=0.998),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="14ep",
    batch_size=64,
    patience=None,
    monitor="accuracy",
)
