"""The VGG of eight convolutions on FER2013, from random weights: an accurate single network and a teacher.

Source: Khaireddin & Chen, 2021 (arXiv 2105.03588) for the network, Nesterov's momentum and the kinds of augmentation;
73.28 % there, with 300 epochs of batches of 64 at a rate of 0.01 that falls on plateaus, and ten-crop testing. Here one
cycle of 40 epochs takes the place of their schedule: a linear rise to a rate of 0.05 over five epochs and a cosine to
zero, label smoothing, a moving average of the weights, bfloat16, and the slim head, see `ferkeras.models.fer_vgg`. The
weight decay is decoupled and so is not divided by the momentum: 5e-3 acts like their kind's 5e-4 at a momentum of 0.9.

Command: python train.py fer_vgg_fer2013 --manual-dir DIR
Cost: 40 epochs of 225 steps; 107 s an epoch on two cores of an Intel Xeon (AMX), 209 s on two of an AMD EPYC (Zen 4).
Measured: PublicTest accuracy 0.6882 (n = 3,589; 95 % interval 0.6732 to 0.7024), epoch 38, seed 0. With
50 epochs it was 0.6932, and with the mirror image 0.6991. `fer_vgg_distilled_fer2013` goes on from here.
PrivateTest: not read.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule

RECIPE = Recipe(
    name="fer_vgg_fer2013",
    model=Model("fer_vgg"),
    data=Data("fer2013"),
    augment=Augment(
        flip=True,
        rotation=15.0,
        translation=0.12,
        zoom=0.15,
        brightness=0.1,
        contrast=0.2,
        erasing=0.5,
        erasing_area=(0.02, 0.2),
    ),
    loss=Loss("cross_entropy", label_smoothing=0.1),
    optimizer=Optimizer("nesterov", learning_rate=0.05, momentum=0.9, weight_decay=5e-3, clip_norm=5.0, ema=0.998),
    schedule=Schedule("cosine", warmup="5ep"),
    duration="40ep",
    batch_size=128,
    monitor="accuracy",
    dtype="mixed_bfloat16",
)
