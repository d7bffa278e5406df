"""Emotion of single frames of generated clips: a small encoder and the dense layers of Xception's.

Source: the Xception-LSTM report, see `xception_frame_segments`, made small as in `xception_lstm_clips`: the network
learns the class of a clip from each of its frames. Most of these clips differ in time alone, so that a single frame
cannot tell their class.

Command: python train.py xception_frame_clips
Then: ferkeras aggregate xception_frame_clips --data xception_lstm_clips --method mean --output
saved_models/xception_aggregation_clips
Cost: three minutes on two CPU cores.
Measured: test accuracy 0.455 (2741 frames, 95 % interval over subjects 0.433 to 0.477),
by python benchmarks/sequences.py.
"""

from ferkeras.recipe import Augment, Data, Model, Optimizer, Recipe, Schedule

RECIPE = Recipe(
    name="xception_frame_clips",
    model=Model("xception_dense", {"backbone": "small_cnn", "dropout": 0.3}),
    data=Data("synthetic_faces/clips", frame_stride=2),
    augment=Augment(flip=True, rotation=10.0, translation=0.05),
    optimizer=Optimizer("adamw", learning_rate=1e-3, weight_decay=1e-2),
    schedule=Schedule("cosine", warmup="1ep"),
    duration="8ep",
    batch_size=128,
    monitor="accuracy",
    dtype="mixed_bfloat16",
)
