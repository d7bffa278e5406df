"""What a LiteRT file says about itself: names, shapes and meaning of inputs and outputs, labels, operators.

The description is JSON and stands in the file twice: as an entry `ferkeras.json` of the flatbuffer's metadata, and as a
member of that name of a zip archive that is appended, beside `labels.txt`. Interpreters pass over both, and any unzip
program, or Python's `zipfile`, reads the second without a LiteRT library.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from ferkeras import __version__
from ferkeras.errors import InputError
from ferkeras.export.interface import Interface
from ferkeras.files import write_atomically
from ferkeras.labels import VALENCE_AROUSAL_BINS

#: Name of the description, in the flatbuffer and in the archive.
ENTRY = "ferkeras.json"
LABELS = "labels.txt"

_TYPES = {schema.TensorType.FLOAT32: "float32", schema.TensorType.BOOL: "bool"}


def operators(path: str | Path) -> tuple[str, ...]:
    """Names the operators that a `.tflite` file uses, in all its subgraphs, sorted.

    Names are those of the schema (`CONV_2D`, `WHILE`); one that is not builtin is `CUSTOM:<its name>`. They
    are read from the file itself: an interpreter lists the main graph alone and not the bodies of loops.

    Raises:
        InputError: If the file is no LiteRT model.
    """
    model = _open(path)
    builtin_names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    names = set()
    for index in range(model.OperatorCodesLength()):
        entry = model.OperatorCodes(index)
        # Codes up to 127 stand in the older one-byte field, with 0 in the newer one, or in both.
        name = builtin_names[max(entry.BuiltinCode(), entry.DeprecatedBuiltinCode())]
        names.add(f"{name}:{entry.CustomCode().decode()}" if entry.CustomCode() else name)
    return tuple(sorted(names))


def embed_metadata(path: Path, interface: Interface, *, weights: str) -> None:
    """Adds the description, see `read_metadata`, and the labels to the file `path`.

    Args:
        path: A LiteRT file without metadata of this kind.
        interface: Of its model.
        weights: How they are stored, see `ferkeras.export.plan.Quantize`.
    """
    content = path.read_bytes()
    model = schema.ModelT.InitFromObj(_open(path))
    for stored in model.buffers:
        if stored.offset:  # the quantiser puts data behind the flatbuffer, where it would no longer be found
            stored.data = np.frombuffer(content, np.uint8, count=stored.size, offset=stored.offset)
            stored.offset = stored.size = 0
    description = {
        "written_by": f"ferkeras {__version__}",
        "kind": interface.kind,
        "weights": weights,
        "labels": list(interface.labels),
        "preprocessing": _preprocessing(interface),
        "signatures": {sign.signatureKey.decode(): _signature(model, sign, interface) for sign in model.signatureDefs},
    }
    text = json.dumps(description, indent=2, ensure_ascii=False) + "\n"
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(text.encode(), np.uint8)
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path.write_bytes(builder.Output())
    with zipfile.ZipFile(path, "a") as archive:
        # Dates fixed, so that the same model gives the same bytes.
        archive.writestr(zipfile.ZipInfo(ENTRY), text)
        if interface.labels:
            archive.writestr(zipfile.ZipInfo(LABELS), "".join(f"{label}\n" for label in interface.labels))


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The description that `embed_metadata` wrote.

    Returns:
        `kind` (still or clip), `weights`, `labels`, `preprocessing` in words and numbers, and `signatures`: name ->
        `inputs` and `outputs`, each name -> `dtype`, `shape`, `meaning`; of `step` also `states`, names of inputs whose
        value is zero at first and then the output of the same name.

    Raises:
        InputError: If the file is no LiteRT model, or has no such description.
    """
    model = _open(path)
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == ENTRY.encode():
            return json.loads(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    raise InputError(
        f"The LiteRT file has no metadata {ENTRY}",
        received=str(path),
        action="Write it again with: ferkeras export RUN --format litert",
    )


def write_readme(directory: str | Path) -> Path:
    """Writes `README.md` into a folder of LiteRT files, from what they say of themselves, and returns its path.

    Raises:
        InputError: If there is no such file, or one has no description.
    """
    directory = Path(directory)
    files = {path: read_metadata(path) for path in sorted(directory.glob("*.tflite"))}
    if not files:
        raise InputError("Expected a folder with LiteRT files (.tflite)", received=str(directory))
    first = next(iter(files.values()))
    lines = ["# LiteRT files", "", "| file | weights | MB | signatures |", "|---|---|---|---|"]
    for path, found in files.items():
        names = ", ".join(f"`{name}`" for name in found["signatures"])
        lines.append(f"| `{path.name}` | {found['weights']} | {path.stat().st_size / 1e6:.1f} | {names} |")
    lines += ["", "Builtin operators alone; batches of one.", "", "## What goes in", ""]
    lines += [f"* {name}: {value}" for name, value in first["preprocessing"].items()]
    if first["labels"]:
        lines += ["", "Labels, in the order of the outputs: " + ", ".join(first["labels"]) + "."]
    signatures = {name: signature for found in files.values() for name, signature in found["signatures"].items()}
    for name, signature in signatures.items():  # of all files together, as they differ in weights alone
        lines += ["", f"## Signature `{name}`", "", "| | name | type | shape | meaning |", "|---|---|---|---|---|"]
        for side in ("inputs", "outputs"):
            for tensor, said in signature[side].items():
                shape = " x ".join(map(str, said["shape"]))
                lines.append(f"| {side[:-1]} | `{tensor}` | {said['dtype']} | {shape} | {said['meaning']} |")
        if "states" in signature:
            lines += ["", "Feed each state's output to the input of the same name with the next frame."]
            lines += ["Leave out frames without a face: the states stay."]
    lines += ["", f"The same, as JSON, is in each file: `unzip -p {next(iter(files)).name} {ENTRY}`.", ""]
    write_atomically(directory / "README.md", "\n".join(lines))
    return directory / "README.md"


def _open(path: str | Path) -> Any:
    content = Path(path).read_bytes() if Path(path).is_file() else b""
    if len(content) < 8 or not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise InputError("Expected a LiteRT model file (.tflite)", received=str(path))
    return schema.Model.GetRootAs(content, 0)


def _preprocessing(interface: Interface) -> dict[str, Any]:
    height, width, channels = interface.image_shape
    grey = "luma of RGB, 0.299 R + 0.587 G + 0.114 B rounded to whole numbers"
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "colour": grey if channels == 1 else "RGB; a grey picture three times over",
        "range": [0, 255],
        "resize": "bilinear with antialiasing to height and width, aspect not kept, rounded to whole numbers",
        "picture": "one face, upright, cropped as the pictures of the training data",
        **({"frames": interface.frames, "stride": interface.stride} if interface.kind == "clip" else {}),
    }


def _signature(model: Any, signature: Any, interface: Interface) -> dict[str, Any]:
    tensors = model.subgraphs[signature.subgraphIndex].tensors

    def described(maps: Any) -> dict[str, dict[str, Any]]:
        found = {entry.name.decode(): tensors[entry.tensorIndex] for entry in maps}
        return {
            name: {
                "dtype": _TYPES[tensor.type],
                "shape": np.asarray(tensor.shape).tolist(),
                "meaning": _meaning(name, interface),
            }
            for name, tensor in sorted(found.items())
        }

    inputs, outputs = described(signature.inputs), described(signature.outputs)
    states = [name for name in inputs if name in outputs]
    return {"inputs": inputs, "outputs": outputs, **({"states": states} if states else {})}


def _meaning(name: str, interface: Interface) -> str:
    known: Mapping[str, str] = {
        "image": "pixels in [0, 255], see preprocessing",
        "frames": f"pixels in [0, 255], every frame {interface.stride} apart, see preprocessing",
        "frame_mask": "false at frames without a face and at those that fill up a short clip; they are passed over",
        "emotion": "logits, one per label",
        "probabilities": "in [0, 1], one per label, their sum is 1",
        "valence": "from -1, unpleasant, to 1, pleasant",
        "arousal": "from -1, calm, to 1, excited",
        "valence_logits": "logits of the bins",
        "arousal_logits": "logits of the bins",
        "valence_raw": "the value before it is clipped to [-1, 1]",
        "arousal_raw": "the value before it is clipped to [-1, 1]",
    }
    bins = f" {VALENCE_AROUSAL_BINS[0]} to {VALENCE_AROUSAL_BINS[-1]}, a tenth of which is the value"
    return known.get(name, "state: zero before the first frame") + (bins if name.endswith("_logits") else "")
