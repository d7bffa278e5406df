"""`fer_vgg` on FER2013 once more from random weights, taught by the run of its third cycle.

Source: Furlanello et al., "Born-Again Neural Networks", ICML 2018 (arXiv 1805.04770): a network that begins anew and is
taught by one of its own kind becomes better than it there, not here. A further cycle of the same weights does not
(docs/experiments.md). The soft labels take the place of the smoothing; a little MixUp as in `fer_vgg_third_fer2013`.

Command: python train.py fer_vgg_born_again_fer2013 --manual-dir DIR, with the run `fer_vgg` among the runs, as
`fer_vgg_third_fer2013` trains it.
Cost: 48 epochs of 225 steps; 115 to 147 s an epoch on two cores of an Intel Xeon (AMX).
Measured: PublicTest accuracy 0.6921 (n = 3,589; 95 % interval 0.6771 to 0.7069), epoch 40, seed 1; mirrored too 0.6907.
That is 0.4 points above `fer_vgg_fer2013`, which has labels alone and 40 epochs, and below its teacher's 0.6985.
PrivateTest: not read.
"""

import dataclasses

from ferkeras.recipe import Loss, Schedule
from ferkeras.recipe_data import Distill
from ferkeras.recipes import fer_vgg_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="fer_vgg_born_again_fer2013",
    augment=dataclasses.replace(parent.RECIPE.augment, mixup=0.2),
    loss=Loss("cross_entropy"),
    distill=Distill(("fer_vgg",), temperature=2.0, weight=0.8),
    schedule=Schedule("cosine", warmup="3ep"),
    duration="48ep",
    seed=1,
)
