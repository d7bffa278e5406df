"""From a SavedModel of static shapes to a LiteRT file, in a child process that may die without harm."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from ferkeras.export.plan import QUANTIZE, Quantize


class ConversionError(RuntimeError):
    """The converter failed, or wrote a file that needs more than the builtin operators."""


def convert_in_child(
    saved_model: Path,
    target: Path,
    *,
    signatures: Sequence[str],
    quantize: Quantize = "none",
    representative: Path | None = None,
) -> None:
    """Runs `convert` in a process of its own, because the converter can die from a segmentation fault.

    Args:
        saved_model: Folder of a SavedModel with fully static shapes: with a free batch size recurrent layers do not
            convert.
        target: The file to write.
        signatures: Those that the file shall have.
        quantize: See `Quantize`.
        representative: For `int8`, an .npz file as `ferkeras.export.litert_quantize` writes it.

    Raises:
        ConversionError: With what the converter said, if it fails or dies.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),  # finds this package where it is not installed
        "CUDA_VISIBLE_DEVICES": "-1",  # the parent may hold all the memory of the GPU
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    # By name, as in a process started by `-m ferkeras.export.litert_convert` itself `__name__` says something else.
    command = [sys.executable, "-m", "ferkeras.export.litert_convert", str(saved_model), str(target)]
    command += [quantize, str(representative or ""), *signatures]
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


def convert(
    saved_model: Path, target: Path, *, signatures: Sequence[str], quantize: Quantize, representative: Path | None
) -> None:
    """Writes the LiteRT file `target`, in this process; arguments as of `convert_in_child`."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=list(signatures))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantize in ("float16", "dynamic"):
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    target.write_bytes(converter.convert())
    if quantize == "int8" and representative is not None:
        # Not by the converter, which knows no layers to spare and dies on loops.
        from ferkeras.export.litert_quantize import quantize_file

        quantize_file(target, representative)


def _reason(log: str) -> str:
    """Finds in the converter's long log what a person needs to know."""
    missing = sorted(set(re.findall(r"'(tf\.\w+)' op is neither a custom op nor a flex op", log)))
    if missing:
        return f"Operations without builtin form: {', '.join(missing)}. Build the model without them."
    lines = [line.strip()[:300] for line in log.splitlines() if line.strip()]
    return "Its last words: " + (" | ".join(lines[-5:]) or "(none)")


def main(words: Sequence[str]) -> None:
    saved_model, target, quantize, representative, *signatures = words
    form = next(known for known in QUANTIZE if known == quantize)
    data = Path(representative) if representative else None
    convert(Path(saved_model), Path(target), signatures=signatures, quantize=form, representative=data)


if __name__ == "__main__":
    main(sys.argv[1:])
