"""Reads the full release: `training.csv`, `validation.csv` and the folder of pictures they name.

A row holds the path of a picture, the box of the face, 68 landmarks, expression, valence and arousal.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePosixPath

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.landmarks68 import five_points
from tfds_builders.affectnet.annotation import Target, class_of, parse_annotation
from tfds_builders.base.manual import entries, find, relative
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.tables import path_inside, read_table

CSV_OF_SPLIT = {"validation": "validation.csv", "train": "training.csv"}
COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks", "expression",
    "valence", "arousal",
)  # fmt: skip
_PICTURES = r"manually_annotated(_images|_compressed)?"
#: Rows that are looked up to find the folder that their paths count from.
_PROBES = 50


def find_lists(manual_dir: Path) -> dict[str, Path]:
    """Split -> csv file of the full release, validation first; empty if there is none."""
    found = {split: find(manual_dir, name.replace(".", r"\."), kind="file") for split, name in CSV_OF_SPLIT.items()}
    return {split: paths[0] for split, paths in found.items() if paths}


def read_full_release(manual_dir: Path, lists: Mapping[str, Path], target: Target) -> Iterator[StillSource | Skip]:
    """Every row of the lists, in their order; validation comes first, and training rows with its pictures are left out.

    Raises:
        InputError: if the pictures are missing, or a label cannot be understood.
    """
    root = picture_folder(manual_dir, lists)
    # Files are named by a hash of their content: the same name in another folder is the same picture.
    in_validation: set[str] = set()
    for split, csv_file in lists.items():
        seen: set[PurePosixPath] = set()
        for number, (where, values) in enumerate(read_table(csv_file, columns=COLUMNS, header=False)):
            path = path_inside(values[COLUMNS[0]], where=where)
            picture = root / path
            key = relative(picture, manual_dir)
            annotation = parse_annotation(values["expression"], values["valence"], values["arousal"], where=where)
            label, reason = class_of(annotation, target)
            if path in seen:
                label, reason, key = None, "listed twice", f"{key}, row {number}"
            elif split == "validation":
                in_validation.add(path.stem)
            elif path.stem in in_validation:
                label, reason = None, "the same picture is in validation"
            seen.add(path)
            if label is None:
                yield Skip(split, key, reason)
                continue
            yield StillSource(
                split=split,
                id=key,
                picture=picture,
                label=label,
                box=_box(values),
                landmarks=_landmarks(values["facial_landmarks"]),
                more={"valence": annotation.valence, "arousal": annotation.arousal},
            )


def picture_folder(manual_dir: Path, lists: Mapping[str, Path]) -> Path:
    """The folder that the paths in the lists count from; raises `InputError` if there is none."""
    tops = find(manual_dir, _PICTURES, kind="folder")
    folders = [*tops, *(entry for top in tops for entry in entries(top) if entry.is_dir())]
    for csv_file in lists.values():
        rows = islice(read_table(csv_file, columns=COLUMNS, header=False), _PROBES)
        paths = [path_inside(values[COLUMNS[0]], where=where) for where, values in rows]
        for folder in [*folders, manual_dir]:
            if any((folder / path).exists() for path in paths):
                return folder
    raise InputError(
        "AffectNet: the pictures that the lists name should lie in Manually_Annotated_Images",
        received=f"{manual_dir} with {', '.join(entry.name for entry in entries(manual_dir)[:5])}",
        action="Extract the rar archives (all parts together): they cannot be read in place.",
    )


def _box(values: Mapping[str, str]) -> np.ndarray | None:
    """(4,) x, y, width, height in pixels; None where the list has no face, such as for a negative width."""
    box = _floats([values[name] for name in ("face_x", "face_y", "face_width", "face_height")])
    return box if box is not None and min(box[2:]) > 0 else None


def _landmarks(text: str) -> np.ndarray | None:
    """(5, 2) of 68 points x;y;x;y..., None where there are none: then the detector has to find the face."""
    points = _floats(text.split(";"))
    return five_points(points.reshape(68, 2)) if points is not None and points.size == 2 * 68 else None


def _floats(texts: list[str]) -> np.ndarray | None:
    try:
        values = np.array([float(text) for text in texts], np.float32)
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
