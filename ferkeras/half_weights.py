"""A `.keras` file with its weights stored in half precision: less than half as large, read by standard Keras.

Keras keeps weights as data sets of an HDF5 file inside a zip and casts each to the dtype of its variable as it loads,
so that float16 on the disk is float32 in the network. Arrays of two and more dimensions, nearly all of the bytes, are
rounded to float16 (11 significant bits) and compressed by gzip behind HDF5's byte shuffle. Vectors stay as they are:
biases, and scales and statistics of normalisation, whose range float16 may not have.
"""

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ferkeras.errors import InputError

_WEIGHTS = ".h5"
#: The date that a zip knows nothing before: the bytes shall not depend on the hour.
_DATE = (1980, 1, 1, 0, 0, 0)


def halve_weights(source: Path, target: Path) -> None:
    """Writes the `.keras` file `source` to `target` with float16 weights; the same bytes each time.

    A kernel with a value that float16 cannot hold, above 65504 in size, stays float32.

    Raises:
        InputError: for a file that is broken.
    """
    try:
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
            for name in sorted(old.namelist()):
                data = old.read(name)
                entry = zipfile.ZipInfo(name, date_time=_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                new.writestr(entry, _halved(data, source) if name.endswith(_WEIGHTS) else data, compresslevel=9)
    except zipfile.BadZipFile as error:
        raise _broken(source, error) from error


def _halved(data: bytes, source: Path) -> bytes:
    import h5py

    target = io.BytesIO()
    try:
        with h5py.File(io.BytesIO(data), "r") as old, h5py.File(target, "w") as new:
            _copy(old, new)
    except OSError as error:  # both lie in memory: nothing is wrong with the disk
        raise _broken(source, error) from error
    return target.getvalue()


def _copy(old: Any, new: Any) -> None:
    """All groups, arrays and attributes of an HDF5 group."""
    new.attrs.update(old.attrs)
    for name, item in old.items():
        if isinstance(item, Mapping):
            _copy(item, new.create_group(name))
            continue
        values = item[()]
        how: dict[str, Any] = {}
        if values.ndim >= 2:
            values = _rounded(values)
            how = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
        new.create_dataset(name, data=values, **how).attrs.update(item.attrs)


def _broken(source: Path, error: Exception) -> InputError:
    return InputError("The model file cannot be read", received=str(source), action=f"{error}.")


def _rounded(values: np.ndarray) -> np.ndarray:
    if values.dtype != np.float32 or np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        return values
    return values.astype(np.float16)
