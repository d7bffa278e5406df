"""Emotion of segments of one's own videos: Xception per frame and an LSTM, the last state.

Source: the report on segments of conversations in three classes: windows of 16 frames, shorter segments down to 8 kept,
windows of the rarer classes overlapping in training and validation; the 512-vectors of Xception with dense layers as
encodings of the frames, computed once and kept; LSTM of 128 with dropout 0.4 at a learning rate of 0.03, the best of
its grid of rates .1 to .001, sizes 64 to 256 and dropout .4 to .8; cross-entropy with class weights, Adam, stopped
after 10 epochs without gain.
Deviations: the encoder begins with ImageNet weights and is frozen, unless `model.options.encoder_weights` names a
trained `xception_dense`, which is the report's way; half of a window of any class but neutral overlaps, since the
report gives no values. The splits are those of the list of segments; for one without, set folds of subjects, such as
`data.train=train@0-7/10 data.validation=train@8/10 data.test=train@9/10`.

Command: python train.py xception_lstm_segments --manual-dir DIR, with DIR as `ferkeras datasets` tells.
Cost and result: not measured; the recordings of the report are not public.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe
from ferkeras.recipe_data import ClipWindows

RECIPE = Recipe(
    name="xception_lstm_segments",
    model=Model("xception_lstm", {"weights": "imagenet", "freeze_encoder": True, "hidden": 128, "dropout": 0.4}),
    data=Data(
        "annotated_segments/aligned_224",
        clips=ClipWindows(frames=16, min_frames=8, overlap={"default": 0.5, "neutral": 0.0}),
        image_size=(224, 224),
        channels=3,
    ),
    augment=Augment(flip=False),
    loss=Loss(class_weights="balanced"),
    optimizer=Optimizer("adam", learning_rate=0.03),
    duration="100ep",
    batch_size=32,
    patience=10,
    cache_features=True,
)
