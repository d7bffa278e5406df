"""What a mobile developer needs of one model: `MOBILE.md` with its names and sizes in Kotlin and Swift, and a test."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export.mobile_kotlin import KOTLIN
from ferkeras.export.mobile_swift import SWIFT
from ferkeras.export.web import choose_model
from ferkeras.files import staged, write_atomically
from ferkeras.runs import RunFolder

GUIDE, FACE, INPUT, VECTOR = "MOBILE.md", "test_face.png", "test_face_input.png", "test_vector.json"
DECIMALS = 4
_TEST_FACE_SIDE = 224


def write_mobile(folder: RunFolder) -> Path:
    """Writes `MOBILE.md` and a test vector into `<run>/litert/`.

    The test vector is `test_face.png`, a drawn face of another size than the network's input, `test_face_input.png`,
    the same after preprocessing, and `test_vector.json`, the outputs that the `.tflite` file gives for it.

    Returns:
        The path of `MOBILE.md`.

    Raises:
        InputError: if the run has no `.tflite` file, or one of another program.
        MissingExtraError: if ai-edge-litert is not installed.
    """
    model = Signature.open(choose_model(folder))
    values = folder.preprocessing()
    preprocessing = Preprocessing(values["height"], values["width"], values["channels"])
    face = _drawn_face()
    pixels = np.asarray(preprocessing(face))
    frames = values.get("frames", 1)
    results = [
        {"frames": count, "outputs": {name: _rounded(value) for name, value in outputs.items()}}
        for count, outputs in enumerate(model.outputs_over(pixels, frames), start=1)
        if count in (1, frames)
    ]
    target = folder.path / "litert"
    _write_png(target / FACE, face)
    _write_png(target / INPUT, pixels)
    vector = {"model": model.path.name, "picture": FACE, "input": INPUT, "signature": model.key, "results": results}
    write_atomically(target / VECTOR, json.dumps(vector, indent=2) + "\n")
    write_atomically(target / GUIDE, guide(model, preprocessing, heads=folder.heads(), results=results))
    return target / GUIDE


@dataclass(frozen=True)
class Signature:
    """The signature of a `.tflite` file that an app uses.

    Attributes:
        path: The file.
        key: Name of the signature.
        reads: `image`; `step`, one frame and states; or `frames`, a whole clip.
        inputs: Name -> dtype and shape.
        results: Name -> dtype and shape, without new states.
        states: Name -> number of values, zeros at first.
        runner: Of the interpreter.
    """

    path: Path
    key: str
    reads: str
    inputs: dict[str, str]
    results: dict[str, str]
    states: dict[str, int]
    runner: Any

    @staticmethod
    def open(path: Path) -> "Signature":
        """The one that reads frame by frame, where there is one."""
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise MissingExtraError("ai-edge-litert", extra="litert") from error
        interpreter = Interpreter(model_path=str(path))
        keys = interpreter.get_signature_list()
        key = "step" if "step" in keys else "serving_default"
        if key not in keys:
            raise InputError("The file has no signature that is known here", received=f"{path}, {', '.join(keys)}")
        runner = interpreter.get_signature_runner(key)
        inputs, outputs = runner.get_input_details(), runner.get_output_details()
        states = {name: int(np.prod(inputs[name]["shape"])) for name in sorted(inputs) if name in outputs}
        return Signature(
            path=path,
            key=key,
            reads="step" if states else "frames" if "frames" in inputs else "image",
            inputs={name: _form(inputs[name]) for name in sorted(inputs)},
            results={name: _form(outputs[name]) for name in sorted(outputs) if name not in states},
            states=states,
            runner=runner,
        )

    def outputs_over(self, pixels: np.ndarray, frames: int) -> list[dict[str, np.ndarray]]:
        """Outputs after each of `frames` times the same face (H, W, C), from the beginning of a video."""
        image = pixels.astype(np.float32)[None]
        found, states = [], {name: np.zeros((1, size), np.float32) for name, size in self.states.items()}
        for count in range(1, frames + 1):
            if self.reads == "frames":
                shown = np.arange(frames) < count
                clip = np.where(shown[:, None, None, None], image, np.float32(0))
                outputs = self.runner(frames=clip[None], frame_mask=shown[None])
            else:
                outputs = self.runner(image=image, **states)
                states = {name: outputs[name] for name in states}
            found.append({name: np.array(outputs[name]) for name in self.results})
        return found


def guide(
    model: Signature, preprocessing: Preprocessing, *, heads: Mapping[str, Any], results: list[dict[str, Any]]
) -> str:
    """The text of `MOBILE.md`."""
    labels = [str(label) for label in heads.get("emotion", ())]
    values = {
        "file": model.path.name,
        "stem": model.path.stem,
        "signature": model.key,
        "height": preprocessing.height,
        "width": preprocessing.width,
        "channels": preprocessing.channels,
        "labels": _quoted(labels),
        "outputs": _quoted(model.results),
        "frames": results[-1]["frames"],
        "kotlin_states": ", ".join(f'"{name}" to {size}' for name, size in model.states.items()),
        "swift_states": ", ".join(f'"{name}": {size}' for name, size in model.states.items()),
    }
    return "\n".join(
        [
            f"# {model.path.name} on Android and iOS",
            "",
            "Written by `ferkeras export --format mobile` for this file; what holds for every model is in the",
            "repository's `docs/mobile.md`.",
            "",
            f"## Signature `{model.key}`",
            "",
            *_table(("input", "type and shape", "meaning"), _inputs(model, preprocessing)),
            "",
            *_table(("output", "type and shape", "meaning"), _outputs(model, labels)),
            "",
            *_states(model),
            "## From a picture to the input",
            "",
            *_steps(preprocessing),
            "",
            "## Test",
            "",
            *_test(preprocessing, results),
            "",
            "## Kotlin (Android)",
            "",
            "```kotlin",
            _filled(KOTLIN[model.reads], values).rstrip(),
            "```",
            "",
            "## Swift (iOS)",
            "",
            "```swift",
            _filled(SWIFT[model.reads], values).rstrip(),
            "```",
            "",
        ]
    )


def _inputs(model: Signature, preprocessing: Preprocessing) -> list[tuple[str, str, str]]:
    colour = "grey" if preprocessing.channels == 1 else "RGB"
    meanings = {
        "image": f"one face, {colour}, whole numbers in [0, 255]; the model scales them itself",
        "frames": f"faces of consecutive frames, {colour}, in [0, 255], zeros after the last one",
        "frame_mask": "1 where `frames` holds a face, 0 after the last one",
    }
    return [(f"`{n}`", form, meanings.get(n, "state; zeros at first")) for n, form in model.inputs.items()]


def _outputs(model: Signature, labels: list[str]) -> list[tuple[str, str, str]]:
    meanings = {
        "emotion": f"logits of {', '.join(labels)}",
        "probabilities": f"probabilities of {', '.join(labels)}",
        "valence": "valence in [-1, 1]: unpleasant to pleasant",
        "arousal": "arousal in [-1, 1]: calm to excited",
        "valence_logits": "logits of valence -1.0, -0.9, ... 1.0",
        "arousal_logits": "logits of arousal -1.0, -0.9, ... 1.0",
        "valence_raw": "valence before it is limited to [-1, 1]",
        "arousal_raw": "arousal before it is limited to [-1, 1]",
    }
    return [(f"`{name}`", form, meanings.get(name, "")) for name, form in model.results.items()]


def _states(model: Signature) -> list[str]:
    if not model.states:
        return []
    names = ", ".join(f"`{name}`" for name in model.states)
    text = f"{names} are states: give zeros for the first frame of a video, and for each further one what came out"
    return [f"{text} under the same name. Pass over frames without a face.", ""]


def _steps(preprocessing: Preprocessing) -> list[str]:
    height, width, channels = preprocessing.height, preprocessing.width, preprocessing.channels
    colour = (
        "Grey: `(19595 R + 38470 G + 7471 B + 32768) >> 16` of the 8-bit sRGB values."
        if channels == 1
        else "RGB, in this order; a grey picture gives the same value three times."
    )
    return [
        "1. Turn the picture upright and cut out one face: the square around the centre of the detector's box, as long",
        "   as the longer side of the box; repeat the outermost pixels beyond the border.",
        f"2. {colour}",
        f"3. Resize to {height} rows and {width} columns: pixel `i` of the result lies at `c = (i + 0.5) s - 0.5`,",
        "   where `s` is the old size divided by the new one; the old pixels `j` with `|j - c| < r`, `r = max(s, 1)`,",
        "   have the weights `1 - |j - c| / r`, divided by their sum. Rows and columns one after the other, in floats.",
        "4. Round to whole numbers (halves to even) and limit to [0, 255]. No mean, no scale: the model does that.",
        f"5. Order: rows, columns, channels: index `(y * {width} + x) * {channels} + channel`.",
    ]


def _test(preprocessing: Preprocessing, results: list[dict[str, Any]]) -> list[str]:
    lines = [
        f"`{FACE}` ({_TEST_FACE_SIDE} x {_TEST_FACE_SIDE}, RGB) is the square of step 1, `{INPUT}`",
        f"({preprocessing.width} x {preprocessing.height}) the same after steps 2 to 4: your own steps may differ",
        "from it by 1 in a few pixels. For the pixels of the second file the network gives these outputs, also in",
        f"`{VECTOR}`; a port is right if it gives them within 0.001:",
        "",
    ]
    several = len(results) > 1
    rows = [
        (*([str(result["frames"])] if several else []), f"`{name}`", ", ".join(f"{v:.{DECIMALS}f}" for v in values))
        for result in results
        for name, values in result["outputs"].items()
    ]
    return [*lines, *_table((*(["frames"] if several else []), "output", "values"), rows)]


def _table(head: tuple[str, ...], rows: list[Any]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows)]


def _filled(code: str, values: Mapping[str, Any]) -> str:
    for name, value in values.items():
        code = code.replace("{{" + name + "}}", str(value))
    return code


def _quoted(names: Any) -> str:
    return ", ".join(json.dumps(name, ensure_ascii=False) for name in names)


def _form(details: Mapping[str, Any]) -> str:
    return f"{np.dtype(details['dtype']).name} ({', '.join(str(size) for size in details['shape'])})"


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), DECIMALS) for value in np.ravel(values)]


def _drawn_face() -> np.ndarray:
    """A smiling drawn face (224, 224, 3) uint8, always the same: nobody's picture."""
    from tfds_builders.synthetic_faces.sampling import sample_still

    return sample_still(0, "test", 3, size=_TEST_FACE_SIDE, channels=3).image


def _write_png(path: Path, image: np.ndarray) -> None:
    data = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(data, "PNG")
    with staged(path) as unfinished:
        unfinished.write_bytes(data.getvalue())
