"""All that a run needs to go on as if it had never been interrupted, in one file; and the file before it.

Arrays only (`allow_pickle=False`): every variable of the model and of the optimiser in order (moments, step count,
weight average), the rest of the state as JSON text, and the SHA-256 of both. Data order and augmentation need no state:
they follow from the seed and the epoch.

Beside `last.npz` lies `last.previous.npz`, an epoch older: a run whose last checkpoint was damaged on the disk goes
on from that one, and reaches the same weights an epoch later.
"""

import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.errors import InputError
from ferkeras.files import staged

_STATE, _DIGEST = "state", "sha256"


def save_checkpoint(path: Path, *, variables: Sequence[keras.Variable], state: dict[str, Any]) -> None:
    """Writes `variables` and the JSON-serialisable `state` to `path`, whole or not at all; keeps the one before.

    Raises:
        InputError: if a weight is not finite, which no later epoch would mend; nothing is written then.
    """
    arrays = [ops.convert_to_numpy(v.value) for v in variables]
    for variable, array in zip(variables, arrays, strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(
                "The weights are not finite after the last step of the epoch",
                received=variable.path,
                action="Lower optimizer.learning_rate, or set optimizer.clip_norm; the checkpoint before is kept.",
            )
    text = json.dumps(state)
    members = {f"{index:05d}": array for index, array in enumerate(arrays)}
    members |= {_STATE: np.array(text), _DIGEST: np.array(_digest(text, arrays))}
    if path.exists():
        _link(path, previous(path))  # `path` stays where it is meanwhile: there is a checkpoint at every moment
    with staged(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **members)


def load_checkpoint(path: Path, *, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    """Puts the arrays of `path` into `variables` and returns the state.

    A damaged file is told in a warning and replaced by the checkpoint before it.

    Raises:
        InputError: if both are damaged, or belong to another model or optimiser; no variable is changed then.
    """
    try:
        state, arrays = _read(path)
    except _DamagedError as error:
        try:
            state, arrays = _read(previous(path))
        except _DamagedError:
            action = "There is no good one before it: start the run anew."
            raise InputError("The checkpoint cannot be read", received=str(path), action=action) from error
        with staged(path) as temporary:  # else the next epoch would keep the damaged one in the place of this one
            shutil.copyfile(previous(path), temporary)
        warnings.warn(f"The checkpoint {path} is damaged: going on from the one before it.", stacklevel=1)
    if [a.shape for a in arrays] != [tuple(v.shape) for v in variables]:
        raise InputError(
            "The checkpoint belongs to another model or optimiser",
            received=str(path),
            action="Resume with the recipe that began the run.",
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state


def previous(path: Path) -> Path:
    """Where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


class _DamagedError(Exception):
    """The file is absent, cut short, or not what was written."""


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            text = str(file[_STATE])
            arrays = [file[name] for name in sorted(set(file.files) - {_STATE, _DIGEST})]
            # Checkpoints of earlier versions have no digest, only the CRC of each member of a zip file.
            digest = str(file[_DIGEST]) if _DIGEST in file.files else _digest(text, arrays)
        state = json.loads(text)
    except PermissionError:
        raise
    except Exception as error:  # each damaged byte fails in its own way: zip, zlib, array header, JSON, memory
        raise _DamagedError from error
    if digest != _digest(text, arrays):
        raise _DamagedError
    return state, arrays


def _digest(text: str, arrays: Sequence[np.ndarray]) -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _link(source: Path, target: Path) -> None:
    """A second name for the file, which is replaced but never changed; a copy where there are no hard links."""
    with staged(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
