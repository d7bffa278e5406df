"""The SE-CNN of five convolutions on FER2013, after the third report.

Source: the third report on facial expressions: pictures of 64x64 pixels, grey repeated three times, SGD at 0.01 with
momentum 0.9 and weight decay 1e-4. Its published code notes 72.5 % on a test split of six emotions.
Deviations: FER2013 alone with its seven classes, so the result is not comparable; mirror images; 60 epochs with early
stopping; a plateau schedule; arithmetic in bfloat16. For the residual version: `--set model.name=gimefive_res`.

Command: python train.py gimefive5_fer2013 --manual-dir DIR
Measured: not yet run.
"""

from ferkeras.recipe import Augment, Data, Model, Optimizer, Recipe, Schedule

RECIPE = Recipe(
    name="gimefive5_fer2013",
    model=Model("gimefive5"),
    data=Data("fer2013", image_size=(64, 64), channels=3),
    augment=Augment(flip=True),
    optimizer=Optimizer("sgd", learning_rate=1e-2, momentum=0.9, weight_decay=1e-4),
    schedule=Schedule("plateau", factor=0.5, patience=5),
    duration="60ep",
    batch_size=32,
    patience=12,
    dtype="mixed_bfloat16",
)
