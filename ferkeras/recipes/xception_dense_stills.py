"""Emotion of generated pictures: the small encoder of `xception_lstm_clips` and the dense layers of Xception's.

Source: the Xception-LSTM report, see `xception_frame_segments`, for the dense layers. The generated stills show more
people than the clips, and their faces are told apart one by one: an encoder learns action units here, as it would
from a data set of photographs, and then serves the clips.

Command: python train.py xception_dense_stills
Cost: two minutes on two CPU cores.
Measured: validation accuracy 0.929 after the last epoch.
"""

from ferkeras.recipe import Augment, Data, Model, Optimizer, Recipe, Schedule

RECIPE = Recipe(
    name="xception_dense_stills",
    model=Model("xception_dense", {"backbone": "small_cnn", "dropout": 0.3}),
    data=Data("synthetic_faces/still"),
    augment=Augment(flip=True, rotation=10.0, translation=0.05),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-2),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="12ep",
    batch_size=64,
    monitor="accuracy",
    dtype="mixed_bfloat16",
)
