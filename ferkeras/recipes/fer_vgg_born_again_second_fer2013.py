"""`fer_vgg` on FER2013: the born-again network's second cycle, taught by itself and by the one that taught it.

Source: as `fer_vgg_distilled_fer2013`, which is the second cycle of the first network. The two teachers began from
different random weights, so their errors differ, and the mean of their answers is better than either
(docs/experiments.md).

Command: python train.py fer_vgg_born_again_second_fer2013 --init-from RUN --manual-dir DIR, where RUN is
`fer_vgg_born_again_fer2013`; it and `fer_vgg`, as `fer_vgg_third_fer2013` trains it, are among the runs.
"""

import dataclasses

from ferkeras.recipe_data import Distill
from ferkeras.recipes import fer_vgg_distilled_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="fer_vgg_born_again_second_fer2013",
    augment=dataclasses.replace(parent.RECIPE.augment, mixup=0.2),
    distill=Distill(("fer_vgg_born_again_fer2013", "fer_vgg"), temperature=2.0, weight=0.8),
)
