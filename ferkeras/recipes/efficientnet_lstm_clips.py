"""Valence and arousal of generated clips: an encoder that has learned from generated stills, two LSTM layers.

Source: the report on valence and arousal from AFEW-VA, see `efficientnet_lstm_afew_va`, made small: the encoder is
`small_cnn` in the place of EfficientNet-B0, the frames are grey and of 48 pixels. The loss joins cross-entropy over the
21 bins, with soft targets, and 1 - CCC. The encoder begins as that of `efficientnet_va_stills` and is trained on.

Command: python train.py efficientnet_lstm_clips, after python train.py efficientnet_va_stills
Cost: two minutes on two CPU cores for the stills, five for the clips.
Measured: CCC on the test split 0.974 for valence and 0.948 for arousal, mean 0.961
(95 % interval over subjects 0.951 to 0.969), by python benchmarks/sequences.py. With
`--name efficientnet_lstm_synthetic` it is the demonstration in `saved_models/`.
"""

from ferkeras.recipe import AffectTerms, Augment, Data, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import ClipWindows

#: Where `python train.py efficientnet_va_stills` leaves the encoder.
ENCODER = "saved_models/efficientnet_va_stills/model.keras"

RECIPE = Recipe(
    name="efficientnet_lstm_clips",
    model=Model(
        "efficientnet_lstm", {"backbone": "small_cnn", "encoder_weights": ENCODER, "hidden": 128, "dropout": 0.3}
    ),
    data=Data(
        "synthetic_faces/clips",
        target="valence_arousal",
        clips=ClipWindows(frames=8, min_frames=8, overlap={"default": 0.5}),
    ),
    augment=Augment(flip=True, rotation=10.0, translation=0.05),
    loss=Loss(affect=AffectTerms(cross_entropy=1.0, soft_sigma=1.0, ccc=1.0)),
    optimizer=Optimizer("adamw", learning_rate=5e-4, weight_decay=1e-2, clip_norm=1.0),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="12ep",
    batch_size=32,
    monitor="ccc",
    dtype="mixed_bfloat16",
)
