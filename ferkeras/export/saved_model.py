"""SavedModel, the form that TensorFlow Serving runs: arrays or JPEG and PNG bytes in, names out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.export.any_length import any_length
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
from ferkeras.export.step import obstacle_to_steps, state_sizes, step
from ferkeras.files import staged

DEFAULT = "serving_default"


def export_saved_model(model: keras.Model, directory: str | Path, *, interface: Interface) -> Path:
    """Writes `model` as a SavedModel with a free batch size, and a free number of frames where the model has it.

    * `serving_default` takes `image`, float32 (B, H, W, C) in [0, 255]; of clips `frames`, float32 (B, T, H, W, C),
      and `frame_mask`, bool (B, T), False where a frame is to count for nothing.
    * `serve_uint8` takes the same with pixels in uint8, a quarter of the bytes.
    * `serve_bytes` takes `image_bytes`, string (B,), or `frame_bytes`, string (B, T), each one encoded JPEG, PNG, GIF
      (first frame) or BMP, brought to (H, W, C) as in training, by `ferkeras.data.preprocess`. An empty string among
      the frames is one without a face, so shorter clips are filled up with them. A picture should be the face crop
      itself, upright: no face is searched and the EXIF orientation is not read. Bytes that are no picture, or are cut
      off, raise `tf.errors.InvalidArgumentError` and fail the whole request.
    * `encode`, of models with an encoder of single frames: `image`, float32 (B, H, W, C), to `features` (B, D).
    * `step`, where the temporal part can be read frame by frame: see `ferkeras.export.step`.

    All but `encode` return the outputs of `ferkeras.export.archive.named_outputs`, and for emotions also `label`,
    string (B,) or (B, T), the name of the largest. The names are in the graph, and in `assets.extra/labels.txt`, one
    per line in the order of the K classes.

    Args:
        model: A functional model.
        directory: Where to write, by the custom of TensorFlow Serving `<name>/<version number>`. A SavedModel
            that is there is replaced once the new one is complete.
        interface: Of `interface_of(model, ...)`.

    Returns:
        The directory.

    Raises:
        InputError: If `directory` holds something else.
    """
    directory = Path(directory)
    if directory.exists() and not (directory / "saved_model.pb").is_file():
        raise InputError(
            "The export directory must be new or hold an earlier SavedModel",
            received=str(directory),
            action="Choose another directory, or move what is there.",
        )
    model = inference_form(model)
    if interface.kind == "clip":
        model = any_length(model)
    endpoints = _of_clips(model, interface) if interface.kind == "clip" else _of_stills(model, interface)
    if interface.streams:
        endpoints |= _of_streams(model, interface)
    with staged(directory) as unfinished:
        write_archive(model, unfinished, endpoints)
        if interface.labels:
            # assets.extra is the place for files that travel with a SavedModel and that its graph does not read.
            extra = unfinished / "assets.extra"
            extra.mkdir()
            lines = "".join(f"{label}\n" for label in interface.labels)
            (extra / "labels.txt").write_text(lines, encoding="utf-8")
    return directory


def load_saved_model(directory: str | Path) -> Runner:
    """Loads a SavedModel of `export_saved_model` as a server would, by TensorFlow alone.

    Returns:
        A function of images (B, H, W, C), or of {"frames", "frame_mask"}, to `{head: logits}`, see `Runner`.

    Raises:
        InputError: If `directory` holds no SavedModel; by the function, if the images have another shape.
    """
    directory = Path(directory)
    if not (directory / "saved_model.pb").is_file():
        raise InputError(
            "Expected the directory of a SavedModel, with a file saved_model.pb",
            received=str(directory),
            action="Write one with: ferkeras export RUN --format saved_model",
        )
    loaded = tf.saved_model.load(str(directory))
    specs = loaded.signatures[DEFAULT].structured_input_signature[1]

    def run(images: Any) -> dict[str, np.ndarray]:
        if "frames" in specs:
            inputs = as_clips(images, specs["frames"].shape[1:])
        else:
            inputs = {"image": as_batch(images, specs["image"].shape[1:])}
        # Through `loaded`: a signature kept alone does not keep its variables alive.
        outputs = loaded.signatures[DEFAULT](**{name: tf.constant(value) for name, value in inputs.items()})
        return {name: value.numpy() for name, value in model_outputs(outputs).items()}

    return run


def _of_stills(model: keras.Model, interface: Interface) -> dict[str, Endpoint]:
    shape = interface.image_shape
    decode = Preprocessing(*shape).decode

    @tf.function(input_signature=[tf.TensorSpec((None, *shape), tf.float32)])
    def network(image: tf.Tensor) -> dict[str, tf.Tensor]:  # traced once, for all endpoints
        return _with_labels(named_outputs(call(model, image), interface), interface)

    def serve_uint8(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(tf.cast(image, tf.float32))

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        images = tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec(shape, tf.uint8))
        return serve_uint8(images)

    return {
        DEFAULT: (lambda image: network(image), tf.TensorSpec((None, *shape), tf.float32, name="image")),
        "serve_uint8": (serve_uint8, tf.TensorSpec((None, *shape), tf.uint8, name="image")),
        "serve_bytes": (serve_bytes, tf.TensorSpec((None,), tf.string, name="image_bytes")),
    }


def _of_clips(model: keras.Model, interface: Interface) -> dict[str, Endpoint]:
    shape = interface.image_shape
    steps = next(tensor.shape[1] for tensor in model.inputs if tensor.name == "frames")
    mask_spec = tf.TensorSpec((None, steps), tf.bool, name="frame_mask")
    decode = Preprocessing(*shape).decode

    @tf.function(input_signature=[tf.TensorSpec((None, steps, *shape), tf.float32), mask_spec])
    def network(frames: tf.Tensor, frame_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = call(model, {"frames": frames, "frame_mask": frame_mask})
        return _with_labels(named_outputs(logits, interface), interface)

    def serve_uint8(frames: tf.Tensor, frame_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        return network(tf.cast(frames, tf.float32), frame_mask)

    def serve_bytes(frame_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def frame(data: tf.Tensor) -> tf.Tensor:
            black = tf.zeros(shape, tf.uint8)
            return tf.cond(tf.equal(tf.strings.length(data), 0), lambda: black, lambda: decode(data))

        one_frame = tf.TensorSpec(shape, tf.uint8)
        images = tf.map_fn(frame, tf.reshape(frame_bytes, [-1]), fn_output_signature=one_frame)
        frames = tf.reshape(images, tf.concat([tf.shape(frame_bytes), shape], axis=0))
        return serve_uint8(tf.ensure_shape(frames, (None, steps, *shape)), tf.strings.length(frame_bytes) > 0)

    def frames_spec(dtype: tf.DType) -> tf.TensorSpec:
        return tf.TensorSpec((None, steps, *shape), dtype, name="frames")

    return {
        DEFAULT: (lambda frames, frame_mask: network(frames, frame_mask), (frames_spec(tf.float32), mask_spec)),
        "serve_uint8": (serve_uint8, (frames_spec(tf.uint8), mask_spec)),
        "serve_bytes": (serve_bytes, tf.TensorSpec((None, steps), tf.string, name="frame_bytes")),
    }


def _of_streams(model: keras.Model, interface: Interface) -> dict[str, Endpoint]:
    encoder = model.get_layer("encoder")
    image = tf.TensorSpec((None, *interface.image_shape), tf.float32, name="image")
    endpoints: dict[str, Endpoint] = {"encode": (lambda image: {"features": call(encoder, image)}, image)}
    if obstacle_to_steps(model) is None:
        sizes = {"features": encoder.output.shape[-1], **state_sizes(model)}

        def one_step(features: tf.Tensor, *states: tf.Tensor) -> dict[str, tf.Tensor]:
            logits, new_states = step(model, features, dict(zip(list(sizes)[1:], states, strict=True)))
            return _with_labels(named_outputs(logits, interface), interface) | new_states

        specs = [tf.TensorSpec((None, size), tf.float32, name=name) for name, size in sizes.items()]
        endpoints["step"] = (one_step, specs)
    return endpoints


def _with_labels(outputs: Mapping[str, tf.Tensor], interface: Interface) -> dict[str, tf.Tensor]:
    if not interface.labels:
        return dict(outputs)
    names = tf.constant(list(interface.labels))
    return {**outputs, "label": tf.gather(names, tf.argmax(outputs["emotion"], axis=-1))}
