"""Writes tiny stand-ins for both releases of AffectNet: one real face over and over, and patterns.

`python -m tfds_builders.affectnet.make_dummy_data` writes `dummy_data/` anew.
"""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfds_builders.affectnet.full_release import COLUMNS, CSV_OF_SPLIT
from tfds_builders.affectnet.reduced_release import FOLDER_OF_SPLIT
from tfds_builders.base.dummies import PORTRAIT_LANDMARKS, encoded, landmarks68, pattern, portrait, write_files

SIDE = 160


class DummyRow(NamedTuple):
    """One picture of either release; texts are written as they are."""

    split: str
    code: str
    valence: str
    arousal: str
    suffix: str = ".jpg"


ROWS = [
    DummyRow("train", "0", "0.0", "-0.01"),
    DummyRow("train", "1", "0.8", "0.2"),
    # A few official files have such names, and some tools write codes with a point.
    DummyRow("train", "7.0", "-0.5", "0.5", ".tif"),
    DummyRow("train", "8", "0.1", "0.1"),
    DummyRow("train", "9", "-2", "-2"),
    DummyRow("train", "10", "-2", "-2"),
    DummyRow("validation", "6", "-0.4", "0.9"),
    DummyRow("validation", "3", "0.2", "0.7"),
    DummyRow("validation", "10", "-2", "-2"),
]


def path_of(number: int) -> str:
    """Path in `Manually_Annotated_Images`: the official names are hashes, too."""
    return f"{100 + number}/{hashlib.sha224(str(number).encode()).hexdigest()}{ROWS[number].suffix}"


def csv_line(number: int) -> str:
    """One row of the full release. The second has no box and no landmarks, and the last no face."""
    row = ROWS[number]
    shift = round(number * SIDE / 100)
    if number == 1 or row.code == "10":
        box, points = ["-1", "-1", "-1", "-1"], ""
    else:
        box = [str(55 + shift), "37", "54", "70"]
        five = PORTRAIT_LANDMARKS * SIDE + (shift, 0)
        points = ";".join(f"{value:.2f}" for value in landmarks68(five).ravel())
    return ",".join([path_of(number), *box, points, row.code, row.valence, row.arousal])


def csv_texts(*, header: bool = True) -> dict[str, str]:
    """File name -> text."""
    texts = {}
    for split, name in CSV_OF_SPLIT.items():
        lines = [csv_line(number) for number, row in enumerate(ROWS) if row.split == split]
        texts[name] = "\n".join([*([",".join(COLUMNS)] if header else []), *lines, ""])
    return texts


def full() -> dict[str, bytes | str]:
    """The full release."""
    pictures = {
        f"Manually_Annotated/Manually_Annotated_Images/{path_of(number)}": encoded(portrait(number, SIDE), row.suffix)
        for number, row in enumerate(ROWS)
        if row.code != "10" and row.suffix == ".jpg"
    }
    # Smaller than the others, since tif is not compressed.
    tif = {
        f"Manually_Annotated/Manually_Annotated_Images/{path_of(number)}": encoded(pattern(number, 60), row.suffix)
        for number, row in enumerate(ROWS)
        if row.suffix == ".tif"
    }
    return {**csv_texts(), **pictures, **tif}


def npy(value: object) -> bytes:
    """The bytes of a file with one number, or with a string as in some of the official ones."""
    data = io.BytesIO()
    np.save(data, np.array(value), allow_pickle=False)
    return data.getvalue()


def reduced() -> dict[str, bytes | str]:
    """The reduced release: numbers have gaps; labels are strings for even numbers."""
    files: dict[str, bytes | str] = {}
    for number, row in enumerate(ROWS):
        if float(row.code) > 7:
            continue
        folder, name = FOLDER_OF_SPLIT[row.split], 3 * number
        files[f"{folder}/images/{name}.jpg"] = encoded(pattern(number, 224))
        for kind, text in (("exp", row.code), ("val", row.valence), ("aro", row.arousal)):
            files[f"{folder}/annotations/{name}_{kind}.npy"] = npy(text if number % 2 == 0 else float(text))
        files[f"{folder}/annotations/{name}_lnd.npy"] = npy(0.0)
    return files


def main() -> None:
    root = Path(__file__).parent / "dummy_data"
    write_files(root / "full", full())
    write_files(root / "reduced", reduced())


if __name__ == "__main__":
    main()
