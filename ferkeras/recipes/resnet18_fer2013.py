"""ResNet18 on FER2013, the baseline of the third report.

Source: the third report on facial expressions: pictures of 64x64 pixels, grey repeated three times, Adam at 1e-3. Its
published code notes 72.4 % on a test split of six emotions.
Deviations: as in `gimefive5_fer2013`. For the deeper one: `--set model.name=resnet34`.

Command: python train.py resnet18_fer2013 --manual-dir DIR
Measured: not yet run.
"""

import dataclasses

from ferkeras.recipe import Model, Optimizer
from ferkeras.recipes import gimefive5_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="resnet18_fer2013",
    model=Model("resnet18"),
    optimizer=Optimizer("adam", learning_rate=1e-3),
)
