"""The network of `vgg11_lstm_attention_fer2013`, distilled from `fer_vgg_distilled_fer2013`.

Source: this library. The augmentation and the batches of `vgg11_lstm_attention_long_fer2013`, and the loss of
`fer_mobile_fer2013`. It is barely better than `vgg11_lstm_attention_short_fer2013`, which learns from the labels alone:
from the twelfth epoch on it learns the Training images by heart.

Command: python train.py vgg11_lstm_attention_distilled_fer2013 --name vgg11_lstm_attention_fer2013 --manual-dir DIR,
with the run `fer_vgg_distilled_fer2013` in the same folder of runs; `--set "distill.teachers=('RUN',)"` names another.
Cost: 16 epochs of 225 steps; 145 to 155 s an epoch on two cores of an Intel Xeon (AMX).
Measured: PublicTest accuracy 0.6643 (n = 3,589; 95 % interval 0.6489 to 0.6785), epoch 16, seed 0; mirrored too
0.6693, with three sizes 0.6796 (`--tta scales`). The run is in `saved_models/vgg11_lstm_attention_fer2013`.
PrivateTest (1,796 images): 0.6837, with three sizes 0.6854.
"""

import dataclasses

from ferkeras.recipe import Loss, Schedule
from ferkeras.recipe_data import Distill
from ferkeras.recipes import vgg11_lstm_attention_long_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="vgg11_lstm_attention_distilled_fer2013",
    loss=Loss("cross_entropy"),
    distill=Distill(("fer_vgg_distilled_fer2013",), temperature=3.0, weight=0.8),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="16ep",
)
