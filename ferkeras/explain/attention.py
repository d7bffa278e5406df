"""Attention: the weights that a network itself gives to the rows of a picture or the frames of a clip."""

from collections.abc import Mapping

import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.explain.network import Inputs, mask_of, pixels_of, sequence_parts, with_pixels
from ferkeras.layers import AdditiveAttention


def attention(model: keras.Model, inputs: Inputs) -> np.ndarray:
    """The weights of the layer of additive attention (`ferkeras.layers.AdditiveAttention`).

    They say which steps the network mixed into its context, not which decided the class, and are the same for every
    class; in vgg11_lstm_attention a second branch does not pass through them at all (Jain & Wallace, "Attention is
    not explanation", NAACL 2019).

    Args:
        model: Of images, with attention over rows; or of clips, with attention over frames in `temporal`.
        inputs: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}, pixels in [0, 255].

    Returns:
        (B, H) or (B, T) float32; each example's weights sum to 1.

    Raises:
        InputError: for a network without such a layer.
    """
    clips = isinstance(inputs, Mapping)
    body, tensors = model, with_pixels(inputs, pixels_of(inputs))
    if clips:
        parts = sequence_parts(model)
        images = parts["fold"](tensors["frames"], tensors["frame_mask"])
        vectors = parts["unfold"](parts["encoder"](images, training=False), tensors["frame_mask"])
        body, tensors = parts["temporal"], {"features": vectors, "frame_mask": tensors["frame_mask"]}
    layer = next((part for part in body.layers if isinstance(part, AdditiveAttention)), None)
    if layer is None:
        action = "For the importance of frames take --method occlusion." if clips else "Take --method gradcam."
        raise InputError("The network has no layer of additive attention", received=model.name, action=action)
    weights = keras.Model(body.input, layer.output[1])
    found = keras.ops.convert_to_numpy(weights(tensors, training=False)).astype(np.float32)
    mask = mask_of(inputs)
    return found if mask is None else np.where(np.asarray(mask, bool), found, 0).astype(np.float32)
