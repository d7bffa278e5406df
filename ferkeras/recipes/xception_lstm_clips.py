"""Emotion of generated clips: a small encoder per frame and an LSTM, the last state.

Source: the Xception-LSTM report, see `xception_lstm_segments`, made small: the encoder is `small_cnn` in the place of
Xception, the frames are grey and of 48 pixels, and the classes are the seven of the clips.

Command: python train.py xception_lstm_clips
Cost: a few minutes on two CPU cores.
Measured: not measured.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import ClipWindows

RECIPE = Recipe(
    name="xception_lstm_clips",
    model=Model("xception_lstm", {"backbone": "small_cnn", "width": 0.5, "hidden": 128, "dropout": 0.4}),
    data=Data("synthetic_faces/clips", clips=ClipWindows(frames=16, min_frames=8)),
    augment=Augment(flip=True, rotation=10.0, translation=0.05, brightness=0.1),
    loss=Loss(class_weights="balanced"),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-2, clip_norm=1.0),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="20ep",
    batch_size=32,
    monitor="accuracy",
    dtype="mixed_bfloat16",
)
