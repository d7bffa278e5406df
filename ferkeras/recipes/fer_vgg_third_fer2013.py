"""`fer_vgg` on FER2013 a third time: mixed images, and nearly all of what is learned comes from the teachers.

Source: Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022 (arXiv 2106.05237):
teachers that see the very images of the student, MixUp among their changes, and little else than the soft labels. By
the end of its second cycle the network knew the Training images better than new ones (0.76 against 0.69); mixtures of
two cannot be learned by heart.

Command: python train.py fer_vgg_third_fer2013 --name fer_vgg --init-from RUN --manual-dir DIR, where RUN is
`fer_vgg_distilled_fer2013`; it and `fer_mobile`, as `fer_mobile_second_fer2013` trains it, are among the runs.
Cost: 30 epochs of 225 steps; 130 s an epoch on two cores of an Intel Xeon (AMX).
Measured: PublicTest accuracy 0.6985 (n = 3,589; 95 % interval 0.6838 to 0.7136), epoch 23, seed 0; mirrored too
0.6980. Where it began: 0.6971, the same within the noise; the mean negative log-likelihood fell from 0.855 to 0.851.
PrivateTest: not read.
"""

import dataclasses

from ferkeras.recipe_data import Distill
from ferkeras.recipes import fer_vgg_distilled_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="fer_vgg_third_fer2013",
    augment=dataclasses.replace(parent.RECIPE.augment, mixup=0.4),
    distill=Distill(("fer_vgg_distilled_fer2013", "fer_mobile"), temperature=2.0, weight=0.85),
    duration="30ep",
)
