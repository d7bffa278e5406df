"""Emotion of generated clips: convolutions over space and time and nested LSTMs over time and over their levels.

Source: Yu et al., Neurocomputing 317, 2018, see `ferkeras.models.stc_nlstm`, with channels halved; the training is this
package's own.

Command: python train.py stc_nlstm_clips
Cost: five minutes on two CPU cores.
Measured: not measured.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import ClipWindows

RECIPE = Recipe(
    name="stc_nlstm_clips",
    model=Model("stc_nlstm", {"width": 0.5, "hidden": 128, "dropout": 0.4}),
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
