"""All that a run needs to go on as if it had never been interrupted, in one file.

Arrays only (`allow_pickle=False`): every variable of the model and of the optimiser in order (moments, step count,
weight average), and the rest of the state as JSON text. Data order and augmentation need no state: they follow from
the seed and the epoch.
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.errors import InputError
from ferkeras.files import staged

_STATE = "state"


def save_checkpoint(path: Path, *, variables: Sequence[keras.Variable], state: dict[str, Any]) -> None:
    """Writes `variables` and the JSON-serialisable `state` to `path`, whole or not at all."""
    arrays = {f"{index:05d}": ops.convert_to_numpy(v.value) for index, v in enumerate(variables)}
    arrays[_STATE] = np.array(json.dumps(state))
    with staged(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_checkpoint(path: Path, *, variables: Sequence[keras.Variable]) -> dict[str, Any]:
    """Puts the arrays of `path` into `variables` and returns the state.

    Raises:
        InputError: if the file is broken or belongs to another model or optimiser; no variable is changed then.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            state = json.loads(str(file[_STATE]))
            arrays = [file[f"{index:05d}"] for index in range(len(file.files) - 1)]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError("The checkpoint cannot be read", received=str(path), action="Start the run anew.") from error
    expected = [tuple(v.shape) for v in variables]
    if [a.shape for a in arrays] != expected:
        raise InputError(
            "The checkpoint belongs to another model or optimiser",
            received=str(path),
            action="Resume with the recipe that began the run.",
        )
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)
    return state
