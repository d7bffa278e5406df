"""EmoNeXt tiny on FER2013 at 224 pixels, after the report that trains it.

Source: the fourth report on FER2013: Adam at 1e-4, batches of 64, 50 epochs, stochastic depth, label smoothing, a
moving average of the weights, mixed precision, random crop and rotation. It states 73.9 % from ImageNet-22k weights.
Deviations: keras.applications holds the ImageNet-1k weights; a file of others is taken by
`--set model.options.weights=FILE`, and `=none` begins at random. The report gives no values for smoothing (0.1 here),
the moving average (0.999) and the rotation (20 degrees); mixed precision is bfloat16.

Command: python train.py emonext_tiny_fer2013 --manual-dir DIR
Cost: made for an accelerator. Two CPU cores would need days; `emonext_tiny_short_fer2013` is what they can do.
Measured: not yet run.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe

RECIPE = Recipe(
    name="emonext_tiny_fer2013",
    model=Model("emonext_tiny", {"weights": "imagenet"}),
    data=Data("fer2013", image_size=(224, 224), channels=1),
    augment=Augment(flip=True, rotation=20.0, crop=224 / 236),
    loss=Loss("cross_entropy", label_smoothing=0.1),
    optimizer=Optimizer("adam", learning_rate=1e-4, ema=0.999),
    duration="50ep",
    batch_size=64,
    monitor="accuracy",
    dtype="mixed_bfloat16",
)
