"""The small network on FER2013, distilled from `fer_vgg_fer2013`.

Source: this library; the loss is that of Hinton et al., 2015 (arXiv 1503.02531), see `ferkeras.recipe_data.Distill`.
The soft labels tell what a picture could also be, which FER2013's own noisy labels do not, so they get most of the
weight; and long training does not overfit to them as to the labels. No smoothing: the soft labels are smooth.

Command: python train.py fer_mobile_fer2013 --name fer_mobile --manual-dir DIR, with the run `fer_vgg_fer2013` in the
same folder of runs; `--set "distill.teachers=('RUN', 'RUN')"` names others or several. Without a teacher:
`--set distill=none`.
Cost: 34 epochs of 225 steps; 52 s an epoch on two cores of an Intel Xeon (AMX), 100 s on two of an AMD EPYC (Zen 4).
Measured: PublicTest accuracy 0.6762 (n = 3,589; 95 % interval 0.6612 to 0.6910), epoch 24, seed 0; its teacher has
0.6882. With 60 epochs, and a teacher of 0.6932, it was 0.6888. `fer_mobile_second_fer2013` goes on from here.
PrivateTest: not read.
"""

import dataclasses

from ferkeras.recipe import Augment, Loss, Model, Optimizer, Schedule
from ferkeras.recipe_data import Distill
from ferkeras.recipes import fer_vgg_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="fer_mobile_fer2013",
    model=Model("fer_mobile"),
    # Milder than the teacher's: a small network has less to spare.
    augment=Augment(
        flip=True,
        rotation=12.0,
        translation=0.1,
        zoom=0.12,
        brightness=0.1,
        contrast=0.2,
        erasing=0.25,
        erasing_area=(0.02, 0.15),
    ),
    loss=Loss("cross_entropy"),
    distill=Distill(("fer_vgg_fer2013",), temperature=3.0, weight=0.8),
    optimizer=Optimizer("adamw", learning_rate=3e-3, weight_decay=2e-2, clip_norm=5.0, ema=0.998),
    schedule=Schedule("cosine", warmup="3ep"),
    duration="34ep",
)
