"""EmoNeXt tiny on FER2013 as its paper's code trains it.

Source: El Boudouri & Bohi, "EmoNeXt", MMSP 2023, and its published code: AdamW at 1e-4, batches of 32, gradients
clipped at norm 1, cosine cycles of 1,024 steps with 128 steps of warm-up in each, label smoothing 0.2, pictures scaled
to 236 pixels, turned by up to 20 degrees and cropped to 224, mirror images, early stopping after 12 epochs, and a
ten-crop test: `python evaluate.py RUN --tta ten_crop`.
Deviations: no upside-down pictures in training, validation on whole pictures and not on random crops; weight decay
leaves out biases and normalisation; the moving average of 0.99 every 16 steps is 0.99 ** (1 / 16) every step;
arithmetic in bfloat16.

Command: python train.py emonext_tiny_paper_fer2013 --manual-dir DIR
Cost: made for an accelerator, see `emonext_tiny_fer2013`.
Measured: not yet run.
"""

import dataclasses

from ferkeras.recipe import Loss, Optimizer, Schedule
from ferkeras.recipes import emonext_tiny_fer2013 as parent

RECIPE = dataclasses.replace(
    parent.RECIPE,
    name="emonext_tiny_paper_fer2013",
    loss=Loss("cross_entropy", label_smoothing=0.2),
    optimizer=Optimizer("adamw", learning_rate=1e-4, weight_decay=1e-2, clip_norm=1.0, ema=0.99 ** (1 / 16)),
    schedule=Schedule("cosine_restarts", warmup="128st", every="1024st"),
    duration="200ep",
    batch_size=32,
    patience=12,
)
