"""A clip model that takes clips of any length, where its layers allow it."""

from typing import Any

import keras
import tensorflow as tf

#: Inputs (B, T, ...) of a clip model and of the temporal part in it.
_OVER_TIME = ("frames", "frame_mask", "features")


def any_length(model: keras.Model) -> keras.Model:
    """`model`, trained on clips of T frames, built again for any T with the same weights; itself if that cannot be.

    It cannot where a weight belongs to a moment of the clip, as in a dense layer over all moments, or where a layer
    does its arithmetic with T.
    """
    if all(tensor.shape[1] is None for tensor in model.inputs):
        return model
    config = model.get_config()
    _open_time(config)
    try:
        rebuilt = type(model).from_config(config)
        rebuilt.set_weights(model.get_weights())
        # Some layers, such as a reshape to T frames, fail only when they are run.
        rebuilt(keras.tree.map_structure(_one_frame_more, model.input), training=False)
    except (TypeError, ValueError, tf.errors.InvalidArgumentError):  # of a layer that needs to know T, or its weights
        return model
    return rebuilt


def _one_frame_more(tensor: keras.KerasTensor) -> tf.Tensor:
    return tf.zeros((1, tensor.shape[1] + 1, *tensor.shape[2:]), tensor.dtype)


def _open_time(config: dict[str, Any]) -> None:
    """Replaces T by None in the input layers of a functional model's config and of the models in it."""
    for layer in config["layers"]:
        inner = layer["config"]
        # Else a dense layer over all moments is built from the shape it once had.
        layer.pop("build_config", None)
        if layer["class_name"] == "InputLayer" and inner["name"] in _OVER_TIME:
            inner["batch_shape"] = (inner["batch_shape"][0], None, *inner["batch_shape"][2:])
        elif isinstance(inner.get("layers"), list):
            _open_time(inner)
