"""Valence and arousal of AFEW-VA: EfficientNet-B0 per frame, two LSTM layers of 256, 21 classes each.

Source: the report on valence and arousal from AFEW-VA: the pooled 1280-vector of each frame, two LSTM layers of 256,
the last step, and two parallel dense layers of 21 classes, -10 to 10, trained by cross-entropy; the label of a window
is that of its last frame. AFEW-VA has no official split. Here the actors are parted into five folds: three train, one
validates, one tests.
Deviations: soft targets of one bin and 1 - CCC join the cross-entropy; the report's loss is that of
`--set loss.affect.soft_sigma=0 loss.affect.ccc=0`. The encoder begins with ImageNet weights and is trained on;
`model.options.encoder_weights` takes a trained `efficientnet_va`. Rate, schedule, windows and augmentation are this
library's.

Command: python train.py efficientnet_lstm_afew_va --manual-dir DIR, or for all five tests and their pooled scores
ferkeras crossvalidate efficientnet_lstm_afew_va --manual-dir DIR
Cost: made for an accelerator.
Measured: not measured; AFEW-VA is given to researchers on request only.
"""

from ferkeras.recipe import AffectTerms, Augment, Data, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import ClipWindows

RECIPE = Recipe(
    name="efficientnet_lstm_afew_va",
    model=Model("efficientnet_lstm", {"weights": "imagenet", "dropout": 0.3}),
    data=Data(
        "afew_va/aligned_224",
        train="train@0-2/5",
        validation="train@3/5",
        test="train@4/5",
        target="valence_arousal",
        clips=ClipWindows(frames=16, min_frames=8, overlap={"default": 0.75}),
        image_size=(224, 224),
        channels=3,
    ),
    augment=Augment(flip=True, rotation=10.0, translation=0.05, brightness=0.1, contrast=0.1),
    loss=Loss(affect=AffectTerms(cross_entropy=1.0, soft_sigma=1.0, ccc=1.0)),
    optimizer=Optimizer("adamw", learning_rate=1e-4, weight_decay=1e-2, clip_norm=1.0),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="15ep",
    batch_size=8,
    patience=5,
    monitor="ccc",
)
