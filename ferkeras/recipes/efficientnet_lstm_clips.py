"""Valence and arousal of generated clips: a small encoder per frame, two LSTM layers, the last state.

Source: the report on valence and arousal from AFEW-VA, see `efficientnet_lstm_afew_va`, made small: the encoder is
`small_cnn`, which learns from nothing within minutes, in the place of EfficientNet-B0, and the frames are grey and of
48 pixels. The loss joins the report's two: cross-entropy over the 21 bins, with soft targets, and 1 - CCC.

Command: python train.py efficientnet_lstm_clips
Cost: a few minutes on two CPU cores.
Measured: not measured.
"""

from ferkeras.recipe import AffectTerms, Augment, Data, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import ClipWindows

RECIPE = Recipe(
    name="efficientnet_lstm_clips",
    model=Model("efficientnet_lstm", {"backbone": "small_cnn", "width": 0.5, "hidden": 128, "dropout": 0.2}),
    data=Data(
        "synthetic_faces/clips",
        target="valence_arousal",
        clips=ClipWindows(frames=8, min_frames=8, overlap={"default": 0.5}),
    ),
    augment=Augment(flip=True, rotation=10.0, translation=0.05, brightness=0.1),
    loss=Loss(affect=AffectTerms(cross_entropy=1.0, soft_sigma=1.0, ccc=1.0)),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-2, clip_norm=1.0),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="12ep",
    batch_size=32,
    monitor="ccc",
    dtype="mixed_bfloat16",
)
