"""A LiteRT model that reads a video frame by frame: one frame and the states in, outputs and the new states out.

A frame costs the same however long the video is, and the outputs are those of the whole clip up to that frame. A
frame without a face is no step: leave it out, and the states stay.
"""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export.archive import Endpoint, as_batch, call, model_outputs, named_outputs
from ferkeras.export.interface import Interface
from ferkeras.export.step import state_sizes, step

STEP = "step"


def step_endpoint(model: keras.Model, interface: Interface) -> Endpoint:
    """The signature `step` of `model`, for one frame of one video.

    It takes `image`, float32 (1, H, W, C) in [0, 255], and the states, float32 (1, hidden) by name, such as `lstm1_h`
    and `lstm1_c`, and returns the outputs of `named_outputs` for that frame and the new states under the same names.

    Raises:
        InputError: If the model needs the whole clip, as a bidirectional one does.
    """
    sizes = state_sizes(model)
    encoder = model.get_layer("encoder")

    def one_step(image: tf.Tensor, *states: tf.Tensor) -> dict[str, tf.Tensor]:
        logits, new_states = step(model, call(encoder, image), dict(zip(sizes, states, strict=True)))
        return named_outputs(logits, interface) | new_states

    image = tf.TensorSpec((1, *interface.image_shape), tf.float32, name="image")
    return one_step, (image, *(tf.TensorSpec((1, size), tf.float32, name=name) for name, size in sizes.items()))


class Stream:
    """One video that is read by the signature `step` of a LiteRT file.

    Args:
        path: A file of `export_litert(..., streaming=True)`.
        num_threads: Processor threads.

    Raises:
        MissingExtraError: If ai-edge-litert is not installed.
        InputError: If the file has no such signature.
    """

    def __init__(self, path: str | Path, *, num_threads: int = 2) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtraError("ai-edge-litert", extra="litert") from error
        interpreter = Interpreter(model_path=str(path), num_threads=num_threads)
        if STEP not in interpreter.get_signature_list():
            raise InputError(
                "The file does not read frame by frame",
                received=f"{path}, with the signatures {', '.join(interpreter.get_signature_list())}",
                action="Write one with: ferkeras export RUN --format litert --streaming",
            )
        self._step: Any = interpreter.get_signature_runner(STEP)
        inputs = self._step.get_input_details()
        self._image_shape = tuple(inputs["image"]["shape"][1:])
        self._zeros = {name: np.zeros(x["shape"], np.float32) for name, x in inputs.items() if name != "image"}
        self.reset()

    def reset(self) -> None:
        """Begins another video."""
        self._states = dict(self._zeros)

    def __call__(self, frame: np.ndarray) -> dict[str, np.ndarray]:
        """One frame (H, W, C), uint8 or float32 in [0, 255], to `{head: logits (K,)}` under the model's own names.

        Raises:
            InputError: If the frame has another shape.
        """
        outputs = self._step(image=as_batch(np.asarray(frame)[None], self._image_shape), **self._states)
        self._states = {name: outputs[name] for name in self._zeros}
        return {head: values[0] for head, values in model_outputs(outputs).items()}
