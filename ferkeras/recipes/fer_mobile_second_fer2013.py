"""`fer_mobile` on FER2013 a second time: from its own weights, taught by the better network of a second cycle.

Source: this library, see `ferkeras.recipes.fer_mobile_fer2013`, whose cycle comes before this one, and
`ferkeras.recipes.fer_vgg_distilled_fer2013`, whose run teaches. A smaller rate keeps what the first cycle learned.

Command: python train.py fer_mobile_second_fer2013 --name fer_mobile --init-from RUN --manual-dir DIR, where RUN is the
run of the first cycle, in another folder than the runs, and `fer_vgg_distilled_fer2013` is among the runs.
Cost: 26 epochs of 225 steps; 60 to 80 s an epoch on two cores of an Intel Xeon (AMX).
Measured: PublicTest accuracy 0.6854 (n = 3,589; 95 % interval 0.6718 to 0.7002), epoch 26, seed 0; mirrored too 0.6874,
with three sizes 0.6957 (`--tta scales`). Where it began: 0.6762. The run is in `saved_models/fer_mobile`.
PrivateTest (1,796 images): 0.6854, with three sizes 0.6988.
"""

import dataclasses

from ferkeras.recipe import Schedule
from ferkeras.recipe_data import Distill
from ferkeras.recipes import fer_mobile_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="fer_mobile_second_fer2013",
    distill=Distill(("fer_vgg_distilled_fer2013",), temperature=3.0, weight=0.8),
    optimizer=dataclasses.replace(parent.RECIPE.optimizer, learning_rate=2e-3),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="26ep",
)
