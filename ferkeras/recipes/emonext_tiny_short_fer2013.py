"""EmoNeXt tiny from random weights on FER2013 at 64 pixels, in a few epochs on two CPU cores.

Source: this library. The network of `emonext_tiny_fer2013` on small pictures and a rate ten times as high, with a
short warm-up and a cosine to zero; chosen on experience, not searched. It shows that the network learns, not how far
it comes: the published results begin with ImageNet weights, see 224 pixels and train for 20 to 50 epochs.

Command: python train.py emonext_tiny_short_fer2013 --manual-dir DIR
Cost: 4 epochs of 449 steps; 516 s for the first on two cores of an AMD EPYC (Zen 4), longer for the others, which
shared them with other work.
Measured: PublicTest accuracy 0.4216 (n = 3,589, 95 % interval 0.4062 to 0.4358; always naming the largest class gives
0.2494), macro F1 0.2975, seed 0. PrivateTest: not read. The regularisation's keys had a bias in that run, which changes
no output and has been left out since. History and plots: docs/results/emonext_tiny_short_fer2013.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule

RECIPE = Recipe(
    name="emonext_tiny_short_fer2013",
    model=Model("emonext_tiny"),
    data=Data("fer2013", image_size=(64, 64)),
    augment=Augment(flip=True, rotation=10.0, translation=0.06, zoom=0.1),
    loss=Loss("cross_entropy", label_smoothing=0.1),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=0.05, clip_norm=1.0, ema=0.995),
    schedule=Schedule("cosine", warmup="200st"),
    duration="4ep",
    batch_size=64,
    monitor="accuracy",
    dtype="mixed_bfloat16",
)
