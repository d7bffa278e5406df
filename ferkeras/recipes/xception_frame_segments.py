"""Emotion of single frames of one's own videos: Xception and dense layers, the encoder of the LSTM.

Source: the report named in `xception_lstm_segments`, in which this network is trained first: Xception, global average
pooling, dense layers of 1024, 512 and 256, and the softmax; the frames have the class of their segment. Its
512-vectors are what the recurrent networks read (`model.options.encoder_weights`) and what `ferkeras aggregate` puts
together.
Deviations: the report gives neither rate nor epochs for this network, and those here are this library's, for
fine-tuning from ImageNet; every fourth frame is taken, as neighbours are alike.

Command: python train.py xception_frame_segments --manual-dir DIR, with DIR as `ferkeras datasets` tells.
Then: ferkeras aggregate xception_frame_segments --data xception_lstm_segments --method statistics --classifier svm
--output saved_models/xception_aggregation_segments
Cost and result: not measured; the recordings of the report are not public.
"""

from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe

RECIPE = Recipe(
    name="xception_frame_segments",
    model=Model("xception_dense", {"weights": "imagenet"}),
    data=Data("annotated_segments/aligned_224", frame_stride=4, image_size=(224, 224), channels=3),
    augment=Augment(flip=True),
    loss=Loss(class_weights="balanced"),
    optimizer=Optimizer("adam", learning_rate=1e-4),
    duration="30ep",
    batch_size=32,
    patience=10,
)
