"""Emotion of generated clips: an LSTM over the vectors of an encoder that has learned from generated stills.

Source: the Xception-LSTM report, see `xception_lstm_segments`, made small: the encoder is `small_cnn` in the place of
Xception, the frames are grey and of 48 pixels, and the classes are the seven of the clips. As in the report, the
encoder is trained first, on single pictures, and then fixed; its vectors are computed once and kept.

Command: python train.py xception_lstm_clips, after python train.py xception_dense_stills
Cost: two minutes on two CPU cores for the encoder, less than one for the LSTM.
Measured: test accuracy 0.969 (350 clips, 95 % interval over subjects 0.949 to 0.986),
by python benchmarks/sequences.py.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import ClipWindows

#: Where `python train.py xception_dense_stills` leaves the encoder.
ENCODER = "saved_models/xception_dense_stills/model.keras"

RECIPE = Recipe(
    name="xception_lstm_clips",
    model=Model(
        "xception_lstm",
        {
            "backbone": "small_cnn",
            "encoder_weights": ENCODER,
            "freeze_encoder": True,
            "hidden": 128,
            "dropout": 0.4,
        },
    ),
    data=Data("synthetic_faces/clips", clips=ClipWindows(frames=16, min_frames=8)),
    augment=Augment(flip=False),
    loss=Loss(class_weights="balanced"),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-2, clip_norm=1.0),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="30ep",
    batch_size=32,
    monitor="accuracy",
    cache_features=True,
)
