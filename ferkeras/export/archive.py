"""What SavedModel and LiteRT have in common: endpoints, the names of the outputs, checks of what a runner is given."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.errors import InputError
from ferkeras.export.interface import Interface, all_layers
from ferkeras.labels import VALENCE_AROUSAL_BINS

#: Runs an exported file: images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T) bool}, pixels in
#: [0, 255], to {head: (B, K) or (B, T, K) float32} under the model's own names.
Runner = Callable[[Any], dict[str, np.ndarray]]

#: A function of tensors and the specs of its arguments, whose names are those of the inputs.
Endpoint = tuple[Callable[..., dict[str, tf.Tensor]], tf.TensorSpec | Sequence[tf.TensorSpec]]

#: What follows the name of a valence or arousal head where its output is not the value itself.
_SUFFIXES = ("_logits", "_raw")


def write_archive(model: keras.Model, directory: Path, endpoints: Mapping[str, Endpoint]) -> None:
    """Writes a SavedModel with the given endpoints, by name."""
    archive = keras.export.ExportArchive()
    with _without_cudnn(model):  # the endpoints are traced when they are written
        for name, (function, specs) in endpoints.items():
            signature = [specs] if isinstance(specs, tf.TensorSpec) else list(specs)
            archive.add_endpoint(name, function, input_signature=signature)
        # Exported files only infer, and the gradients of custom layers need not be storable.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        archive.write_out(str(directory), options=options, verbose=False)


def call(model: keras.Model, inputs: tf.Tensor | Mapping[str, tf.Tensor]) -> Any:
    """Applies a model in inference, whether it was built on a tensor, a list or a dict.

    Args:
        inputs: The one tensor of a model of one input, or tensors by name.
    """
    if not isinstance(inputs, Mapping):
        return model(keras.tree.map_structure(lambda _: inputs, model.input), training=False)
    return model(keras.tree.map_structure(lambda tensor: inputs[tensor.name], model.input), training=False)


def named_outputs(logits: Mapping[str, tf.Tensor], interface: Interface) -> dict[str, tf.Tensor]:
    """The outputs of an exported network, from those of the model, (B, K) or (B, T, K) float32 each.

    * `emotion`: the logits, and `probabilities`, their softmax.
    * `valence_logits`, `arousal_logits`: (..., 21), and `valence`, `arousal` (...,) in [-1, 1]: the expectation of
      the bin under the softmax, divided by 10.
    * `valence_raw`, `arousal_raw`: (..., 1), of a network that gives the number itself, and `valence`, `arousal` (...,)
      clipped to [-1, 1].
    """
    outputs: dict[str, tf.Tensor] = {}
    for head, meanings in interface.heads.items():
        values = logits[head]
        if head == "emotion":
            outputs |= {"emotion": values, "probabilities": tf.nn.softmax(values)}
        elif meanings == tuple(VALENCE_AROUSAL_BINS):
            bins = tf.constant(VALENCE_AROUSAL_BINS, tf.float32) / VALENCE_AROUSAL_BINS[-1]
            outputs |= {f"{head}_logits": values, head: tf.reduce_sum(tf.nn.softmax(values) * bins, axis=-1)}
        else:
            outputs |= {f"{head}_raw": values, head: tf.clip_by_value(values[..., 0], -1.0, 1.0)}
    return outputs


def model_outputs(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The way back: of the named outputs those that the model itself gives, under the names of its heads."""
    found = {"emotion": outputs["emotion"]} if "emotion" in outputs else {}
    for name, values in outputs.items():
        for suffix in _SUFFIXES:
            if name.endswith(suffix):
                found[name.removesuffix(suffix)] = values
    return found


def as_batch(images: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Returns images (B, H, W, C) as float32 after checking (H, W, C) and that there is one at all."""
    images = np.asarray(images)
    # Some of TensorFlow's convolutions on CPU fail on an empty batch, with a message about other shapes.
    if images.ndim != 4 or images.shape[1:] != tuple(shape) or len(images) == 0:
        raise InputError(
            f"Expected images of shape (B, {', '.join(map(str, shape))}), B at least 1",
            received=f"shape {images.shape}",
        )
    return images.astype(np.float32)


def as_clips(clips: Any, shape: Sequence[int | None]) -> dict[str, np.ndarray]:
    """Returns {"frames": (B, T, H, W, C) float32, "frame_mask": (B, T) bool} after checking them.

    Args:
        shape: T, H, W, C; T is None where any is taken.
    """
    if not isinstance(clips, Mapping) or set(clips) != {"frames", "frame_mask"}:
        received = f"the names {', '.join(clips)}" if isinstance(clips, Mapping) else type(clips).__name__
        raise InputError("Expected clips as a dict of frames and frame_mask", received=received)
    frames, mask = np.asarray(clips["frames"]), np.asarray(clips["frame_mask"])
    steps = "T" if shape[0] is None else shape[0]
    fits = frames.ndim == 5 and frames.shape[2:] == tuple(shape[1:]) and shape[0] in (None, frames.shape[1])
    if not fits or mask.shape != frames.shape[:2] or 0 in mask.shape:
        raise InputError(
            f"Expected frames of shape (B, {steps}, {', '.join(map(str, shape[1:]))}) and a mask (B, {steps}), "
            "B and T at least 1",
            received=f"frames {frames.shape} and mask {mask.shape}",
        )
    return {"frames": frames.astype(np.float32), "frame_mask": mask.astype(bool)}


@contextmanager
def _without_cudnn(model: keras.Model) -> Iterator[None]:
    """Makes recurrent layers trace their portable form: near a GPU Keras takes one that runs on no CPU."""
    recurrent = [layer for layer in all_layers(model) if hasattr(layer, "use_cudnn")]
    chosen = [layer.use_cudnn for layer in recurrent]
    try:
        for layer in recurrent:
            layer.use_cudnn = False
        yield
    finally:
        for layer, use_cudnn in zip(recurrent, chosen, strict=True):
            layer.use_cudnn = use_cudnn
