"""SavedModel, the form that TensorFlow Serving runs: float images or JPEG and PNG bytes in, names out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.export.inference_form import inference_form
from ferkeras.files import staged

#: Runs an exported file: images (B, H, W, C) in [0, 255] to logits by head, `{"emotion": (B, K) float32}`.
Runner = Callable[[np.ndarray], dict[str, np.ndarray]]

#: What the SavedModel adds to the logits of the model.
DERIVED_OUTPUTS = ("probabilities", "label")


def export_saved_model(model: keras.Model, directory: str | Path, *, labels: Sequence[str]) -> Path:
    """Writes `model` as a SavedModel with two endpoints and a free batch size.

    * `serving_default` takes `image`, float32 (B, H, W, C) in [0, 255].
    * `serve_bytes` takes `image_bytes`, string (B,), each one encoded JPEG or PNG (or what else
      `tf.io.decode_image` reads), brought to (H, W, C) as in training,
      by `ferkeras.data.preprocess`. The picture should be the face crop itself, upright:
      no face is searched and the EXIF orientation is not read. Bytes that are no picture raise
      `tf.errors.InvalidArgumentError` and fail the whole request.

    Both return `emotion`, the logits, and `probabilities`, their softmax, each float32 (B, K), and `label`,
    string (B,), the name of the largest. The names are in the graph, and in `assets.extra/labels.txt`, one
    per line in the order of the K classes.

    Args:
        model: A functional model, see `check_model`.
        directory: Where to write, by the custom of TensorFlow Serving `<name>/<version number>`. A SavedModel
            that is there is replaced once the new one is complete.
        labels: The K class names in the order of the logits.

    Returns:
        The directory.

    Raises:
        InputError: If the model or the labels do not fit, or `directory` holds something else.
    """
    directory = Path(directory)
    shape = check_model(model, labels)
    model = inference_form(model)
    if directory.exists() and not (directory / "saved_model.pb").is_file():
        raise InputError(
            "The export directory must be new or hold an earlier SavedModel",
            received=str(directory),
            action="Choose another directory, or move what is there.",
        )

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = call(model, image)["emotion"]
        label = tf.gather(tf.constant(list(labels)), tf.argmax(logits, axis=-1))
        return {"emotion": logits, "probabilities": tf.nn.softmax(logits), "label": label}

    def serve_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        one_image = tf.TensorSpec(shape, tf.uint8)
        images = tf.map_fn(Preprocessing(*shape).decode, image_bytes, fn_output_signature=one_image)
        return serve(tf.cast(images, tf.float32))

    with staged(directory) as unfinished:
        write_archive(
            model,
            unfinished,
            {
                "serving_default": (serve, tf.TensorSpec((None, *shape), tf.float32, name="image")),
                "serve_bytes": (serve_bytes, tf.TensorSpec((None,), tf.string, name="image_bytes")),
            },
        )
        # assets.extra is the place for files that travel with a SavedModel and that its graph does not read.
        extra = unfinished / "assets.extra"
        extra.mkdir()
        (extra / "labels.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    return directory


def load_saved_model(directory: str | Path) -> Runner:
    """Loads a SavedModel of `export_saved_model` as a server would, by TensorFlow alone.

    Returns:
        A function from images (B, H, W, C), uint8 or float32 in [0, 255], to `{"emotion": logits}`.

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
    image = loaded.signatures["serving_default"].structured_input_signature[1]["image"]

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        # Through `loaded`: a signature kept alone does not keep its variables alive.
        outputs = loaded.signatures["serving_default"](image=tf.constant(as_batch(images, image.shape[1:])))
        return {name: value.numpy() for name, value in outputs.items() if name not in DERIVED_OUTPUTS}

    return run


def check_model(model: keras.Model, labels: Sequence[str]) -> tuple[int, int, int]:
    """Checks that a model can be exported and returns its image shape (H, W, C).

    Exportable is a functional model on the TensorFlow backend with one input `image` (B, H, W, C) of fixed
    H, W and C in {1, 3}, the output `{"emotion": (B, K)}`, K names in `labels`, and float32 arithmetic
    throughout: LSTM layers in bfloat16 do not convert to LiteRT, and rounding would hide real differences
    from the check of parity.

    Raises:
        InputError: If one of these does not hold.
    """
    if keras.config.backend() != "tensorflow":
        raise InputError(
            "Models are exported with the TensorFlow backend of Keras",
            received=f"backend {keras.config.backend()}",
            action="Set KERAS_BACKEND=tensorflow and load the model again; the weights are the same.",
        )
    inputs = {tensor.name: tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()}
    shape = inputs.get("image", ())
    if len(inputs) != 1 or len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise InputError(
            "Expected a functional model with one input 'image' (B, H, W, C), H and W fixed, C 1 or 3",
            received=f"inputs {inputs}",
            action="Build the model with a fixed image size.",
        )
    outputs = model.output if isinstance(model.output, dict) else {"(not a dict)": model.output}
    if list(outputs) != ["emotion"] or len(outputs["emotion"].shape) != 2:
        raise InputError(
            "Expected a model with the one output {'emotion': logits (B, K)}",
            received=f"outputs {keras.tree.map_structure(lambda tensor: tensor.shape, outputs)}",
        )
    classes = outputs["emotion"].shape[1]
    if len(labels) != classes or len(set(labels)) != classes:
        raise InputError(f"Expected {classes} different labels, one per logit", received=list(labels))
    # The policy of the model itself says nothing: a loaded mixed-precision model has the current global one.
    policies = {layer.name: layer.compute_dtype for layer in all_layers(model)}
    reduced = {name: dtype for name, dtype in policies.items() if dtype != "float32"}
    if reduced:
        name, dtype = next(iter(reduced.items()))
        raise InputError(
            "A model is exported in float32",
            received=f"{len(reduced)} layers that compute in another type, such as {name} in {dtype}",
            action="Build it under the policy float32 and load the same weights.",
        )
    return shape[1:]


def write_archive(
    model: keras.Model,
    directory: Path,
    endpoints: dict[str, tuple[Callable[[tf.Tensor], dict[str, tf.Tensor]], tf.TensorSpec]],
) -> None:
    """Writes a SavedModel with the given endpoints, each a function of one tensor and that tensor's spec."""
    archive = keras.export.ExportArchive()
    with _without_cudnn(model):  # the endpoints are traced when they are written
        for name, (function, spec) in endpoints.items():
            archive.add_endpoint(name, function, input_signature=[spec])
        # Exported files only infer, and the gradients of custom layers need not be storable.
        options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
        archive.write_out(str(directory), options=options, verbose=False)


def call(model: keras.Model, image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Applies a model of one input, in inference, whether it was built on a tensor, a list or a dict."""
    return model(keras.tree.map_structure(lambda _: image, model.input), training=False)


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """The model and every layer in it, those inside wrappers, cells and nested models included."""
    return list(model._flatten_layers())  # `model.layers` stops at the first level


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
