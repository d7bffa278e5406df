"""Tensors of PyTorch weight files, read without PyTorch and without running anything that a file holds.

Two forms: safetensors (eight bytes of header length, a JSON header, one buffer), and what `torch.save` makes of a state
dict, a zip archive with a pickle of names and shapes and one stored file of numbers per tensor. Of the pickle only what
rebuilds a tensor is let through; a pickled network would import and run code of other packages, and is refused.
"""

import io
import json
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ferkeras.errors import InputError

#: Names and shapes of the largest networks take less than a megabyte.
_LARGEST_HEADER = 10_000_000
_ITEM_SIZES = {
    **{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2},
    **{"int64": 8, "int32": 4, "int16": 2, "int8": 1, "uint8": 1, "bool": 1},
}
_SAFETENSORS = {
    **{"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"},
    **{"I64": "int64", "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"},
}
_STORAGES = {
    **{"DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16"},
    **{"LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8"},
    **{"ByteStorage": "uint8", "BoolStorage": "bool"},
}
_TO_CONVERT = (
    "Where you trust the file, and with the package versions that it was saved with, write its tensors alone: "
    "torch.save(torch.load(FILE, weights_only=False).state_dict(), 'weights.pt')."
)


def read_tensors(path: Path) -> dict[str, np.ndarray]:
    """The named tensors of a `.safetensors` file, or of a state dict (`.pt`, `.pth`, `.bin`) of PyTorch 1.6 or later.

    A checkpoint that holds its state dict under `state_dict` is opened. bfloat16 becomes float32, any other type stays.

    Raises:
        InputError: for a file that is none of these, that is damaged, or that holds a pickled network.
    """
    if not path.is_file():
        raise InputError("There is no weights file", received=str(path))
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if zipfile.is_zipfile(path):
        return _read_state_dict(path)
    raise InputError(
        "A weights file is .safetensors, or a state dict that torch.save of PyTorch 1.6 or later wrote, or .onnx",
        received=str(path),
        action="Save an older one again with a later PyTorch.",
    )


def decode(data: bytes | memoryview, *, kind: str) -> np.ndarray:
    """Little-endian numbers of `kind` in memory order as a flat array; bfloat16 as float32."""
    if kind == "bfloat16":  # the upper half of a float32
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(data, np.dtype(kind).newbyteorder("<"))


def damaged(path: Path, reason: str) -> InputError:
    return InputError("The weights file is damaged", received=str(path), action=f"{reason}.")


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_LARGEST_HEADER, len(data) - 8):
        raise damaged(path, "Its first eight bytes are not the length of a header that it could hold")
    body = memoryview(data)[8 + length :]
    try:
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: _safetensor(body, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise damaged(path, f"Its header cannot be read: {type(error).__name__}: {error}") from error


def _safetensor(body: memoryview, entry: Mapping[str, Any]) -> np.ndarray:
    kind, shape, (begin, end) = _SAFETENSORS[entry["dtype"]], _sizes(entry["shape"]), _sizes(entry["data_offsets"])
    if not begin <= end <= len(body) or end - begin != math.prod(shape) * _ITEM_SIZES[kind]:
        raise ValueError(f"{entry} does not fit a buffer of {len(body)} bytes")
    return decode(body[begin:end], kind=kind).reshape(shape)


def _sizes(values: Sequence[Any]) -> tuple[int, ...]:
    """`values` as a tuple, if they are whole numbers from 0 on."""
    if not all(type(value) is int and value >= 0 for value in values):
        raise ValueError(f"expected whole numbers from 0 on, received {values}")
    return tuple(values)


class _ForeignCodeError(Exception):
    """A pickle asks for something that rebuilds no tensor."""


class _StateDictUnpickler(pickle.Unpickler):
    """Knows dictionaries, numbers, text and tensors; whatever else a pickle names is refused before it is imported."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        entry = archive.getinfo(f"{root}/data.pkl")
        super().__init__(io.BytesIO(_stored(archive, entry, limit=_LARGEST_HEADER)))
        self._archive, self._root = archive, root
        # Bound methods and text, unlike functions and classes of a module, cannot be altered by what is read.
        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): self._parameter,
            **{("torch", storage): kind for storage, kind in _STORAGES.items()},
        }

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in self._known:
            raise _ForeignCodeError(f"{module}.{name}")
        return self._known[module, name]

    def persistent_load(self, pid: Any, /) -> np.ndarray:
        """The numbers (N,) of a storage; `pid` is ("storage", type, key, device, N)."""
        _, kind, key, _, count = pid
        entry = self._archive.getinfo(f"{self._root}/data/{key}")
        numbers = decode(_stored(self._archive, entry, limit=count * _ITEM_SIZES[kind]), kind=kind)
        if len(numbers) != count:
            raise ValueError(f"storage {key} has {len(numbers)} values, not {count}")
        return numbers

    def _tensor(self, storage: np.ndarray, offset: int, size: Any, stride: Any, *_: Any) -> np.ndarray:
        shape, steps, (offset,) = _sizes(size), _sizes(stride), _sizes((offset,))
        last = offset + sum((n - 1) * step for n, step in zip(shape, steps, strict=True))
        # A step of 0 repeats a value: with it, a small file could ask for any amount of memory.
        if math.prod(shape) and (last >= len(storage) or math.prod(shape) > len(storage)):
            raise ValueError(f"a tensor of {shape} lies outside its {len(storage)} values")
        strides = [step * storage.itemsize for step in steps]
        return np.lib.stride_tricks.as_strided(storage[offset:], shape, strides).copy()

    def _parameter(self, data: np.ndarray, *_: Any) -> np.ndarray:
        return data


def _stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, *, limit: int) -> bytes:
    """Bytes of a file of the archive; PyTorch stores them as they are, and a compressed one could swell."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > limit:
        raise ValueError(f"{entry.filename} is compressed or larger than {limit} bytes")
    return archive.read(entry)


def _read_state_dict(path: Path) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(path) as archive:
            roots = [name.removesuffix("/data.pkl") for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(roots) != 1:
                raise ValueError("it is a zip archive without one data.pkl")
            if f"{roots[0]}/constants.pkl" in archive.namelist():
                raise _ForeignCodeError("TorchScript")
            if archive.NameToInfo.get(f"{roots[0]}/byteorder") and archive.read(f"{roots[0]}/byteorder") != b"little":
                raise ValueError("its numbers are big-endian")
            found = _StateDictUnpickler(archive, roots[0]).load()
    except _ForeignCodeError as error:
        raise InputError(
            "A weights file must hold tensors alone, and this one holds Python objects, which are not loaded because "
            "loading them runs code",
            received=f"{path} with {error}",
            action=_TO_CONVERT,
        ) from error
    except Exception as error:  # a damaged file fails in the zip reader, the unpickler or the checks above
        raise damaged(path, f"It cannot be read: {type(error).__name__}: {error}") from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping):
        raise InputError("A weights file holds a dictionary of tensors", received=f"{path} with {type(found).__name__}")
    others = [str(name) for name, value in found.items() if not isinstance(value, np.ndarray)]
    if others:
        raise InputError(
            "A weights file holds tensors alone", received=f"{path} with {', '.join(others[:5])}", action=_TO_CONVERT
        )
    return dict(found)
