"""The network of `vgg11_lstm_attention_fer2013` on a longer schedule.

Source: this library. As `vgg11_lstm_attention_short_fer2013`, with 30 epochs of larger batches in the place of 14, and
stronger augmentation and weight decay, which a longer training needs: it would learn the Training images by heart
otherwise.

Command: python train.py vgg11_lstm_attention_long_fer2013 --name vgg11_lstm_attention_fer2013 --manual-dir DIR
Cost: 30 epochs of 225 steps.
Measured: not yet run to its end.
"""

import dataclasses

from ferkeras.recipe import Augment, Optimizer, Schedule
from ferkeras.recipes import vgg11_lstm_attention_short_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="vgg11_lstm_attention_long_fer2013",
    augment=Augment(
        flip=True,
        rotation=15.0,
        translation=0.1,
        zoom=0.12,
        brightness=0.1,
        contrast=0.2,
        erasing=0.3,
        erasing_area=(0.02, 0.2),
    ),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=3e-2, ema=0.998),
    schedule=Schedule("cosine", warmup="2ep"),
    duration="30ep",
    batch_size=128,
)
