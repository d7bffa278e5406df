"""Reads the reduced release: cropped pictures of 224 x 224 pixels, and one small file for each of their labels.

`train_set/images/17.jpg` belongs to `train_set/annotations/17_exp.npy`, `17_val.npy` and `17_aro.npy`.
"""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError
from ferkeras.pictures import SUFFIXES
from tfds_builders.affectnet.annotation import Target, class_of, parse_annotation
from tfds_builders.base.manual import entries, find, relative
from tfds_builders.base.source import Skip, StillSource

FOLDER_OF_SPLIT = {"train": "train_set", "validation": "val_set"}
#: A label takes about 130 bytes.
MAX_LABEL_BYTES = 4096


def find_folders(manual_dir: Path) -> dict[str, Path]:
    """Split -> folder of the reduced release that has pictures and annotations; empty if there is none."""
    found = {split: find(manual_dir, name, kind="folder") for split, name in FOLDER_OF_SPLIT.items()}
    return {
        split: folders[0]
        for split, folders in found.items()
        if folders and all((folders[0] / name).is_dir() for name in ("images", "annotations"))
    }


def read_reduced_release(manual_dir: Path, folders: Mapping[str, Path], target: Target) -> Iterator[StillSource | Skip]:
    """Every picture, by its number, which has gaps; raises `InputError` for a label that cannot be understood."""
    for split, folder in folders.items():
        pictures = [path for path in entries(folder / "images") if path.suffix.lower() in SUFFIXES]
        for picture in sorted(pictures, key=lambda path: (len(path.stem), path.stem)):
            key = relative(picture, manual_dir)
            files = [folder / "annotations" / f"{picture.stem}_{name}.npy" for name in ("exp", "val", "aro")]
            if not all(file.exists() for file in files):
                yield Skip(split, key, "cannot be read: an annotation is missing")
                continue
            texts = [read_scalar(file) for file in files]
            annotation = parse_annotation(*texts, where=f"the annotations of {key}")
            label, reason = class_of(annotation, target)
            if label is None:
                yield Skip(split, key, reason)
            else:
                more = {"valence": annotation.valence, "arousal": annotation.arousal}
                yield StillSource(split=split, id=key, picture=picture, label=label, more=more)


def read_scalar(path: Path) -> str:
    """The text of the one number or string in a npy file.

    Raises:
        InputError: if the file is damaged, holds an array, or objects: to open those would run what they contain.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_LABEL_BYTES + 1)
        value = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError, TypeError) as error:
        raise InputError(f"AffectNet: {path.name} should be a npy file with a label", received=str(error)) from error
    if (
        len(data) > MAX_LABEL_BYTES
        or not isinstance(value, np.ndarray)
        or value.size != 1
        or value.dtype.kind not in "iufU"
    ):
        raise InputError(f"AffectNet: {path.name} should hold one number", received=f"an array of {value.dtype}")
    return str(value.reshape(()).item()).strip()
