"""`fer_vgg` on FER2013 a second time: from its own weights, taught by itself and by the small network it taught.

Source: Furlanello et al., ICML 2018 (arXiv 1805.04770), where a network taught by one of its own kind becomes better
than its teacher. Theirs begins from random weights; here it begins from the teacher's, in a second cycle of a smaller
rate, which is what a CPU has time for. The mean of two teachers is better than either (docs/experiments.md), and the
soft labels take the place of the smoothing.

Command: python train.py fer_vgg_distilled_fer2013 --init-from RUN --manual-dir DIR, where RUN is `fer_vgg_fer2013`; it
and `fer_mobile`, as `fer_mobile_fer2013` trains it, are in the same folder of runs.
Cost: 28 epochs of 225 steps; 127 to 148 s an epoch on two cores of an Intel Xeon (AMX).
Measured: PublicTest accuracy 0.6971 (n = 3,589; 95 % interval 0.6832 to 0.7133), epoch 20, seed 0; mirrored too
0.6960, with three sizes 0.7021 (`--tta scales`). Where it began: 0.6882. The run is in `saved_models/`.
PrivateTest (1,796 images): 0.7016, with three sizes 0.7121.
"""

import dataclasses

from ferkeras.recipe import Loss, Schedule
from ferkeras.recipe_data import Distill
from ferkeras.recipes import fer_vgg_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="fer_vgg_distilled_fer2013",
    loss=Loss("cross_entropy"),
    distill=Distill(("fer_vgg_fer2013", "fer_mobile"), temperature=2.0, weight=0.7),
    optimizer=dataclasses.replace(parent.RECIPE.optimizer, learning_rate=0.03),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="28ep",
)
