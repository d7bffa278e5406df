"""VGG11 and a row LSTM with attention on FER2013, after the report.

Source: the VGG-LSTM-attention report on FER2013: mirror images and rotation by up to 30 degrees, pixels with mean
0.5 and standard deviation 0.5, cross-entropy, AdamW at 1e-4 with weight decay 1e-3, batches of 32, two LSTM layers
of 128. The report states 65.99 % on its test split.
Deviations: arithmetic in bfloat16; what a rotation brings into view is mirrored, not black; biases and
normalisation are left out of the weight decay; the length (the report gives none) is 60 epochs with early stopping.

Command: python train.py vgg11_lstm_attention_fer2013 --manual-dir DIR
Cost: one epoch is 898 steps. For a schedule that is measured, see `vgg11_lstm_attention_short_fer2013`.
Measured: not yet run to its end.
"""

from ferkeras.recipe import Augment, Data, Model, Optimizer, Recipe

RECIPE = Recipe(
    name="vgg11_lstm_attention_fer2013",
    model=Model("vgg11_lstm_attention"),
    data=Data("fer2013"),
    augment=Augment(flip=True, rotation=30.0),
    optimizer=Optimizer("adamw", learning_rate=1e-4, weight_decay=1e-3),
    duration="60ep",
    batch_size=32,
    patience=10,
    dtype="mixed_bfloat16",
)
