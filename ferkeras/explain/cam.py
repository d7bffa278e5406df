"""Class activation maps: what each place adds to the score, where the network is a mean over places and one layer."""

import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.explain.network import Inputs, call, cut, with_pixels
from ferkeras.explain.target import Target

#: Largest difference between the logits and what the map says of them, as a fraction of the largest logit.
TOLERANCE = 1e-3


def cam(model: keras.Model, inputs: Inputs, target: Target) -> np.ndarray:
    """The layer `feature_map` through the weights of the class.

    Source: Zhou et al., "Learning deep features for discriminative localization", CVPR 2016, equation 2. The mean of
    the map over its places and the bias of the class are the logit: that this holds for the images given is how the
    network is recognised as one that has such a map.

    Args:
        model: Of images, whose head is global average pooling and one dense layer.
        inputs: Images (B, H, W, C), pixels in [0, 255].
        target: A class, or a head of a single number.

    Returns:
        (B, h, w) float32 of both signs.

    Raises:
        InputError: for any other network.
    """
    names = {part.name for part in model.layers}
    if len(model.inputs) != 1 or not {"feature_map", target.head} <= names:
        raise _unfit(model)
    kernel, *bias = (keras.ops.convert_to_numpy(weight) for weight in model.get_layer(target.head).get_weights())
    maps = keras.ops.convert_to_numpy(cut(model, "feature_map").maps(with_pixels(inputs, inputs)))
    if kernel.ndim != 2 or kernel.shape[0] != maps.shape[-1] or (target.index is None and kernel.shape[1] != 1):
        raise _unfit(model)
    raw = maps @ kernel  # (B, h, w, K)
    logits = keras.ops.convert_to_numpy(call(model, inputs)[target.head])
    error = np.abs(raw.mean(axis=(1, 2)) + (bias[0] if bias else 0) - logits).max()
    if not error <= TOLERANCE * max(1.0, np.abs(logits).max()):
        raise _unfit(model)
    return raw[..., target.index or 0].astype(np.float32)


def _unfit(model: keras.Model) -> InputError:
    what = "Class activation maps need a head of global average pooling and one dense layer on `feature_map`"
    return InputError(what, received=model.name, action="Take --method gradcam, which needs neither.")
