"""LiteRT (TFLite), the form that runs on phones and in browsers: one `.tflite` file of builtin operators."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export.inference_form import inference_form
from ferkeras.export.saved_model import Runner, as_batch, call, check_model, write_archive
from ferkeras.files import staged

SIGNATURE = "serving_default"


class ConversionError(RuntimeError):
    """The converter failed, or wrote a file that needs more than the builtin operators."""


def export_litert(model: keras.Model, path: str | Path, *, labels: Sequence[str]) -> Path:
    """Writes `model` as a float32 `.tflite` file for one image at a time, with builtin operators only.

    The signature `serving_default` takes `image`, float32 (1, H, W, C) in [0, 255], and returns `emotion`,
    the logits, float32 (1, K). All shapes are static: with a free batch size recurrent layers do not convert.

    Args:
        model: A functional model, see `ferkeras.export.saved_model.check_model`.
        path: The file to write; one that is there is replaced once the new one is complete.
        labels: The K class names in the order of the logits. They are checked; the file does not hold them.

    Returns:
        The path.

    Raises:
        InputError: If the model or the labels do not fit.
        ConversionError: If the model has an operation without builtin form, or the converter crashes.
    """
    path = Path(path)
    shape = check_model(model, labels)
    model = inference_form(model)
    if path.is_dir():
        raise InputError(
            "Expected the path of a file, not of a directory",
            received=str(path),
            action="Add a name such as float32.tflite.",
        )
    image = tf.TensorSpec((1, *shape), tf.float32, name="image")
    with staged(path) as unfinished:
        static = unfinished.with_name(f"{path.name}.saved_model")
        write_archive(model, static, {SIGNATURE: (lambda image: call(model, image), image)})
        _convert_in_child(static, unfinished)
        foreign = [name for name in operators(unfinished) if name.startswith("CUSTOM")]
        if foreign:
            raise ConversionError(f"The converted model needs operators that are not builtin: {', '.join(foreign)}.")
    return path


def operators(path: str | Path) -> tuple[str, ...]:
    """Names the operators that a `.tflite` file uses, in all its subgraphs, sorted.

    Names are those of the schema (`CONV_2D`, `WHILE`); one that is not builtin is `CUSTOM:<its name>`. They
    are read from the file itself: an interpreter lists the main graph alone and not the bodies of loops.

    Raises:
        InputError: If the file is no LiteRT model.
    """
    content = Path(path).read_bytes() if Path(path).is_file() else b""
    if len(content) < 8 or not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise InputError("Expected a LiteRT model file (.tflite)", received=str(path))
    model = schema.Model.GetRootAs(content, 0)
    builtin_names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    names = set()
    for index in range(model.OperatorCodesLength()):
        entry = model.OperatorCodes(index)
        # Codes up to 127 stand in the older one-byte field, with 0 in the newer one, or in both.
        name = builtin_names[max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())]
        names.add(f"{name}:{entry.CustomCode().decode()}" if entry.CustomCode() else name)
    return tuple(sorted(names))


def load_litert(path: str | Path, *, num_threads: int = 2) -> Runner:
    """Loads a file of `export_litert` with the LiteRT interpreter, as an app would.

    Args:
        path: The `.tflite` file.
        num_threads: Processor threads for one image.

    Returns:
        A function from images (B, H, W, C), uint8 or float32 in [0, 255], to `{"emotion": logits}`, which
        runs them one after another. It is not safe to call from two threads at a time.

    Raises:
        MissingExtraError: If ai-edge-litert is not installed.
        InputError: If the file is no LiteRT model; by the function, if the images have another shape.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingExtraError("ai-edge-litert", extra="litert") from error
    operators(path)  # a clear error for what is no model
    run_one = Interpreter(model_path=str(path), num_threads=num_threads).get_signature_runner(SIGNATURE)
    shape = run_one.get_input_details()["image"]["shape"][1:]
    results = run_one.get_output_details()

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        images = as_batch(images, shape)
        outputs = {
            name: np.empty((len(images), *result["shape"][1:]), result["dtype"]) for name, result in results.items()
        }
        for index in range(len(images)):
            for name, value in run_one(image=images[index : index + 1]).items():
                outputs[name][index] = value[0]
        return outputs

    return run


def _convert_in_child(saved_model: Path, target: Path) -> None:
    """Runs `_convert` in a process of its own, because the converter can die from a segmentation fault."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # finds this package where it is not installed
        "CUDA_VISIBLE_DEVICES": "-1",  # the parent may hold all the memory of the GPU
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    command = [sys.executable, "-m", __name__, str(saved_model), str(target)]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
    if child.returncode < 0:
        crash = f"died from {signal.Signals(-child.returncode).name}"
    elif child.returncode > 0:
        crash = "failed"
    elif not target.is_file():
        crash = "wrote no file"
    else:
        return
    raise ConversionError(f"The LiteRT converter {crash}. {_reason(child.stderr)}")


def _reason(log: str) -> str:
    """Finds in the converter's long log what a person needs to know."""
    missing = sorted(set(re.findall(r"'(tf\.\w+)' op is neither a custom op nor a flex op", log)))
    if missing:
        return f"Operations without builtin form: {', '.join(missing)}. Build the model without them."
    lines = [line.strip()[:300] for line in log.splitlines() if line.strip()]
    return "Its last words: " + (" | ".join(lines[-5:]) or "(none)")


def _convert(saved_model: str, target: str) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(saved_model, signature_keys=[SIGNATURE])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    Path(target).write_bytes(converter.convert())


if __name__ == "__main__":
    _convert(*sys.argv[1:])
