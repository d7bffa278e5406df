"""Features of faces by the network of a run."""

from collections.abc import Sequence

import keras
import numpy as np

from ferkeras.cleaning.examine import Encode
from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.runs import RunFolder

#: The layer that every network here ends in before its heads.
LAYER = "features"


def run_encoder(folder: RunFolder) -> Encode:
    """The encoder of a run, up to its layer `features`, in inference mode.

    Raises:
        InputError: if the model does not take single images, or lacks the layer.
    """
    model = folder.load_model()
    image_input = isinstance(model.input, keras.KerasTensor) and len(model.input.shape) == 4
    if not image_input or all(layer.name != LAYER for layer in model.layers):
        raise InputError(
            f"Labels are checked by a network that takes single images and has a layer {LAYER}",
            received=str(folder.path),
        )
    encoder = keras.Model(model.input, model.get_layer(LAYER).output)
    settings = folder.preprocessing()
    preprocessing = Preprocessing(settings["height"], settings["width"], settings["channels"])

    def encode(faces: Sequence[np.ndarray]) -> np.ndarray:
        images = np.stack([np.asarray(preprocessing(face)) for face in faces])
        return np.asarray(encoder.predict_on_batch(images), np.float32).reshape(len(images), -1)

    return encode
