"""What a server needs beside the SavedModel: warm-up requests, configuration, a container image, a deployment."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import tensorflow as tf

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export import serving_templates as templates
from ferkeras.files import staged
from ferkeras.runs import RunFolder

#: TensorFlow Serving of the TensorFlow that wrote the SavedModel.
SERVING_VERSION = "2.21.0"
#: Sizes of the batches in the warm-up requests.
WARM_UP_BATCHES = (1, 8)

#: A request: signature and inputs by name.
Request = tuple[str, dict[str, np.ndarray]]


def write_serving(folder: RunFolder, *, examples: Any = None) -> Path:
    """Writes `<run>/serving/`, and warm-up requests into the SavedModel of the run.

    Args:
        folder: A run with `saved_model/1`.
        examples: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}, uint8 in [0, 255], for the
            warm-up requests, at most the first 8; by default random pixels.

    Returns:
        The folder `serving`.

    Raises:
        InputError: If the run has no SavedModel, or the examples have another shape.
        MissingExtraError: If tensorflow-serving-api is not installed.
    """
    saved_model = folder.path / "saved_model" / "1"
    if not (saved_model / "saved_model.pb").is_file():
        raise InputError(
            "The run has no SavedModel yet",
            received=str(saved_model),
            action="Write it first: ferkeras export RUN --format saved_model serving",
        )
    signatures = tf.saved_model.load(str(saved_model)).signatures
    if examples is None:
        examples = _random_pixels(signatures, steps=folder.preprocessing().get("frames"))
    requests = list(warm_up_requests(signatures, examples))
    _write_warm_up(requests, saved_model / "assets.extra" / "tf_serving_warmup_requests", model=_name(folder))
    fields = _fields(folder, signatures) | {"records": str(len(requests))}
    texts = {
        "models.config": templates.MODELS,
        "monitoring.config": templates.MONITORING,
        "batching.config": templates.BATCHING,
        "Dockerfile": templates.DOCKERFILE,
        "Dockerfile.dockerignore": templates.DOCKERIGNORE,
        "kubernetes.yaml": templates.KUBERNETES,
        "README.md": templates.README,
    }
    target = folder.path / "serving"
    with staged(target) as unfinished:
        unfinished.mkdir()
        for name, text in texts.items():
            # safe: a ${...} of the Dockerfile is Docker's to fill in
            (unfinished / name).write_text(Template(text).safe_substitute(fields), encoding="utf-8")
    return target


def warm_up_requests(signatures: Mapping[str, Any], examples: Any) -> Iterator[Request]:
    """One request for each signature and each size of `WARM_UP_BATCHES`, on the examples."""
    clips = isinstance(examples, Mapping)
    pixels = np.asarray(examples["frames"] if clips else examples)[: max(WARM_UP_BATCHES)].astype(np.uint8)
    mask = np.asarray(examples["frame_mask"], bool)[: len(pixels)] if clips else None
    spec = _inputs(signatures["serving_default"])["frames" if clips else "image"]
    if not spec.shape.is_compatible_with(pixels.shape) or not len(pixels):
        raise InputError(f"Expected examples of shape {spec.shape}, at least one", received=f"shape {pixels.shape}")
    for batch in WARM_UP_BATCHES:
        index = np.arange(batch) % len(pixels)
        images = pixels[index]
        flat = images.reshape(-1, *images.shape[-3:])
        encoded = np.array([tf.io.encode_png(image).numpy() for image in flat], object)
        given = {
            "image": images[:, 0] if clips else images,
            "image_bytes": encoded,
            "frames": images,
            "frame_bytes": encoded.reshape(images.shape[:-3]),
        }
        if mask is not None:
            given["frame_mask"] = mask[index]
        for name, signature in signatures.items():
            yield name, {key: _value(given.get(key), spec, batch) for key, spec in _inputs(signature).items()}


def _value(value: np.ndarray | None, spec: tf.TensorSpec, batch: int) -> np.ndarray:
    if value is None:  # features and states of `step`
        return np.zeros((batch, *spec.shape[1:]), np.float32)
    return value if spec.dtype == tf.string else value.astype(spec.dtype.as_numpy_dtype)


def _write_warm_up(requests: list[Request], path: Path, *, model: str) -> None:
    try:
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
    except ImportError as error:
        raise MissingExtraError("tensorflow-serving-api", extra="serving") from error
    with staged(path) as unfinished, tf.io.TFRecordWriter(str(unfinished)) as writer:
        for signature, inputs in requests:
            log = PredictionLog()
            request = log.predict_log.request
            request.model_spec.name, request.model_spec.signature_name = model, signature
            for name, value in inputs.items():
                request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())


def _random_pixels(signatures: Mapping[str, Any], *, steps: int | None) -> Any:
    inputs = _inputs(signatures["serving_default"])
    clips = "frames" in inputs
    spec = inputs["frames" if clips else "image"]
    size = (max(WARM_UP_BATCHES), *(spec.shape[1:] if not clips else (spec.shape[1] or steps or 1, *spec.shape[2:])))
    pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
    return {"frames": pixels, "frame_mask": np.ones(size[:2], bool)} if clips else pixels


def _inputs(signature: Any) -> dict[str, tf.TensorSpec]:
    return signature.structured_input_signature[1]


def _fields(folder: RunFolder, signatures: Mapping[str, Any]) -> dict[str, str]:
    name = _name(folder)
    clips = "frames" in _inputs(signatures["serving_default"])
    rows = ["| signature | inputs | outputs |", "|---|---|---|"]
    for key, signature in signatures.items():
        rows.append(f"| `{key}` | {_tensors(_inputs(signature))} | {_tensors(signature.structured_outputs)} |")
    instance = '[{"b64": "\'$(base64 -w0 face.jpg)\'"}]' if clips else '{"b64": "\'$(base64 -w0 face.jpg)\'"}'
    body = '{"signature_name": "serve_bytes", "instances": [' + instance + "]}"
    picture = 'Path("face.jpg").read_bytes()'
    return {
        "name": name,
        "image": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60],
        "version": SERVING_VERSION,
        "signatures": "\n".join(rows),
        "example": f"[[{picture}]]" if clips else picture,
        "curl": f"curl -d '{body}' http://127.0.0.1:8501/v1/models/{name}:predict",
    }


def _name(folder: RunFolder) -> str:
    """The name of the run's folder, with what a URL or a configuration file would misread replaced."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", folder.path.resolve().name)


def _tensors(specs: Mapping[str, Any]) -> str:
    def shape(spec: Any) -> str:
        return ", ".join("?" if size is None else str(size) for size in spec.shape)

    return "<br>".join(f"`{name}` {spec.dtype.name} ({shape(spec)})" for name, spec in sorted(specs.items()))
