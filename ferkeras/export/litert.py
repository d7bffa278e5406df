"""LiteRT (TFLite), the form that runs on phones and in browsers: one `.tflite` file of builtin operators."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export.archive import (
    Endpoint,
    Runner,
    as_batch,
    as_clips,
    call,
    model_outputs,
    named_outputs,
    write_archive,
)
from ferkeras.export.inference_form import inference_form
from ferkeras.export.interface import Interface
from ferkeras.export.litert_convert import ConversionError, convert_in_child
from ferkeras.export.litert_metadata import embed_metadata, operators
from ferkeras.export.litert_quantize import require_quantizer, write_representative
from ferkeras.export.litert_streaming import STEP, step_endpoint
from ferkeras.export.plan import QUANTIZE, Quantize
from ferkeras.files import staged

__all__ = ["ConversionError", "export_litert", "load_litert", "operators", "step_file"]

SIGNATURE = "serving_default"


def export_litert(
    model: keras.Model,
    path: str | Path,
    *,
    interface: Interface,
    quantize: Quantize = "none",
    representative: Iterable[Any] | None = None,
    streaming: bool = False,
) -> Path:
    """Writes `model` as a `.tflite` file for one image or clip at a time, with builtin operators only.

    The signature `serving_default` takes `image`, float32 (1, H, W, C) in [0, 255], or `frames` (1, T, H, W, C) and
    `frame_mask` (1, T) bool, and returns the outputs of `ferkeras.export.archive.named_outputs`. All shapes are
    static: with a free batch size recurrent layers do not convert. Colour and size are brought to (H, W, C) by the
    app: the resizing with antialiasing that training uses has no builtin operator, and with static shapes a
    file could take pictures of one size alone. What the file takes and gives is written in it, see `read_metadata`.

    Args:
        model: A functional model.
        path: The file to write; one that is there is replaced once the new one is complete.
        interface: Of `interface_of(model, ...)`.
        quantize: How weights are stored and multiplied. Rounding costs accuracy: measure it before you ship the file.
        representative: For `int8`, batches of the training split, see `litert_quantize.write_representative`.
        streaming: Add the signature `step` that reads frame by frame, see `litert_streaming`. With `int8` it stands in
            a second file, `step_file(path)`, since the two signatures cannot share rounded weights.

    Returns:
        The path.

    Raises:
        InputError: If the model does not read frame by frame and should, or there are no representative images.
        MissingExtraError: If `int8` is asked for and ai-edge-quantizer is not installed.
        ConversionError: If the model has an operation without builtin form, or the converter crashes.
    """
    path = Path(path)
    if quantize not in QUANTIZE:
        raise InputError(f"Weights are stored in one of {', '.join(QUANTIZE)}", received=quantize)
    if path.is_dir():
        raise InputError(
            "Expected the path of a file, not of a directory",
            received=str(path),
            action="Add a name such as float32.tflite.",
        )
    if quantize == "int8":
        require_quantizer()  # now, and not in the converter's process after minutes
    model = inference_form(model)
    endpoints = {SIGNATURE: _endpoint(model, interface)}
    if streaming:
        endpoints[STEP] = step_endpoint(model, interface)
    files = {path: list(endpoints)}
    if streaming and quantize == "int8":
        files = {path: [SIGNATURE], step_file(path): [STEP]}
    with staged(path) as unfinished:
        static = unfinished.with_name(f"{path.name}.saved_model")
        data = unfinished.with_name(f"{path.name}.npz") if quantize == "int8" else None
        if data is not None:
            write_representative(data, representative, model=model, interface=interface)
        write_archive(model, static, endpoints)
        for file, signatures in files.items():
            part = unfinished.with_name(file.name)
            convert_in_child(static, part, signatures=signatures, quantize=quantize, representative=data)
            foreign = [name for name in operators(part) if name.startswith("CUSTOM")]
            if foreign:
                raise ConversionError(
                    f"The converted model needs operators that are not builtin: {', '.join(foreign)}."
                )
            embed_metadata(part, interface, weights="float32" if quantize == "none" else quantize)
        for file in set(files) - {path}:
            unfinished.with_name(file.name).replace(file)
    return path


def step_file(path: str | Path) -> Path:
    """Where the signature `step` of an `int8` file stands: `litert/int8.tflite` -> `litert/int8_step.tflite`."""
    path = Path(path)
    return path.with_name(f"{path.stem}_step{path.suffix}")


def load_litert(path: str | Path, *, num_threads: int = 2) -> Runner:
    """Loads a file of `export_litert` with the LiteRT interpreter, as an app would.

    Args:
        path: The `.tflite` file.
        num_threads: Processor threads for one image or clip.

    Returns:
        A function from images (B, H, W, C), or {"frames", "frame_mask"}, to `{head: logits}`, see `Runner`, which
        runs them one after another. It is not safe to call from two threads at a time.

    Raises:
        MissingExtraError: If ai-edge-litert is not installed.
        InputError: If the file is no LiteRT model, or one of single steps; by the function, if the images have
            another shape.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError("ai-edge-litert", extra="litert") from error
    operators(path)  # a clear error for what is no model
    interpreter = Interpreter(model_path=str(path), num_threads=num_threads)
    if SIGNATURE not in interpreter.get_signature_list():
        raise InputError(f"Expected a LiteRT file with the signature {SIGNATURE}", received=str(path))
    run_one: Any = interpreter.get_signature_runner(SIGNATURE)
    shapes = {name: tuple(details["shape"][1:]) for name, details in run_one.get_input_details().items()}

    def run(images: Any) -> dict[str, np.ndarray]:
        if "frames" in shapes:
            inputs = as_clips(images, shapes["frames"])
        else:
            inputs = {"image": as_batch(images, shapes["image"])}
        count = len(next(iter(inputs.values())))
        rows = [
            model_outputs(run_one(**{name: values[row : row + 1] for name, values in inputs.items()}))
            for row in range(count)
        ]
        return {head: np.concatenate([row[head] for row in rows]) for head in rows[0]}

    return run


def _endpoint(model: keras.Model, interface: Interface) -> Endpoint:
    if interface.kind == "still":
        image = tf.TensorSpec((1, *interface.image_shape), tf.float32, name="image")
        return lambda image: named_outputs(call(model, image), interface), image
    frames = tf.TensorSpec((1, interface.frames, *interface.image_shape), tf.float32, name="frames")
    frame_mask = tf.TensorSpec((1, interface.frames), tf.bool, name="frame_mask")

    def of_clip(frames: tf.Tensor, frame_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        return named_outputs(call(model, {"frames": frames, "frame_mask": frame_mask}), interface)

    return of_clip, (frames, frame_mask)
