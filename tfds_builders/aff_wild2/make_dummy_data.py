"""Writes a tiny stand-in for Aff-Wild2 in the folders of ABAW 6: faces of one grey level, no real ones.

`python -m tfds_builders.aff_wild2.make_dummy_data` writes `dummy_data/` anew. The tests use the same writers.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfds_builders.aff_wild2.annotation import ACTION_UNITS
from tfds_builders.base.dummies import encoded, write_files

ROOT = "6th_ABAW_Annotations"
FOLDERS = {"VA": "VA_Estimation_Challenge", "EXPR": "EXPR_Recognition_Challenge", "AU": "AU_Detection_Challenge"}
HEADERS = {
    "VA": "valence,arousal",
    "EXPR": "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other",
    "AU": ",".join(f"AU{unit}" for unit in ACTION_UNITS),
}
ALL_UNITS, NO_UNITS = "1,0,1,0,1,0,1,0,1,0,1,0", ",".join(["-1"] * 12)


class DummyPerson(NamedTuple):
    """What the files say of a person, line by line, and the faces that there are.

    Attributes:
        files: Kind and set -> lines after the header.
        faces: Numbers of the cropped faces, from 1 on.
        split: Where the builder puts the clip.
        used: Kinds of annotation that count there.
    """

    files: Mapping[tuple[str, str], Sequence[str]]
    faces: Sequence[int]
    split: str
    used: tuple[str, ...]


PEOPLE: dict[str, DummyPerson] = {
    # A frame without a face, one without each kind of annotation.
    "1-30-1280x720": DummyPerson(
        {
            ("VA", "Train_Set"): ("0.25,-0.3", "-5,-5", "1,-1", "0.04,0.06", "-5,0.5", "-0.96,0.96"),
            ("EXPR", "Train_Set"): ("0", "1", "-1", "7", "4", "6"),
            ("AU", "Train_Set"): (ALL_UNITS, NO_UNITS, ALL_UNITS, ALL_UNITS, ALL_UNITS, ALL_UNITS),
        },
        (1, 2, 3, 5, 6),
        "train",
        ("VA", "EXPR", "AU"),
    ),
    # Two people of one video.
    "4-30-1920x1080_left": DummyPerson({("VA", "Train_Set"): ("0,0", "0.1,0.1")}, (1, 2), "train", ("VA",)),
    "4-30-1920x1080_right": DummyPerson({("EXPR", "Train_Set"): ("2", "3", "5")}, (1, 2, 3), "train", ("EXPR",)),
    # One line more in one of the files.
    "video9": DummyPerson(
        {("VA", "Validation_Set"): ("0.5,0.5", "0.6,0.5", "0.7,0.5"), ("AU", "Validation_Set"): (ALL_UNITS, NO_UNITS)},
        (1, 2, 3),
        "validation",
        ("VA", "AU"),
    ),
    # In the training set of one challenge and in the validation set of another.
    "video12": DummyPerson(
        {("VA", "Train_Set"): ("0.9,0.9", "0.8,0.8"), ("EXPR", "Validation_Set"): ("4", "4")},
        (1, 2),
        "validation",
        ("EXPR",),
    ),
}


def level(name: str, number: int) -> int:
    """The grey level of a face; `number` counts from 1."""
    return 30 + 45 * list(PEOPLE).index(name) + 3 * number


def annotations(people: Mapping[str, Any] = PEOPLE) -> dict[str, str]:
    """Path -> content of the text files."""
    return {
        f"{ROOT}/{FOLDERS[kind]}/{part}/{name}.txt": "\n".join([HEADERS[kind], *lines]) + "\n"
        for name, person in people.items()
        for (kind, part), lines in person.files.items()
    }


def faces() -> dict[str, bytes]:
    """Path -> content of the cropped faces."""
    return {
        f"cropped_aligned/{name}/{number:05d}.jpg": encoded(np.full((112, 112, 3), level(name, number), np.uint8))
        for name, person in PEOPLE.items()
        for number in person.faces
    }


def files() -> dict[str, bytes | str]:
    """Path -> content, with what else lies beside."""
    others: dict[str, bytes | str] = {
        f"{ROOT}/MTL_Challenge/train_set.txt": "image,valence,arousal,expression\n",
        "cropped/1-30-1280x720/00001.jpg": b"",
    }
    return {**annotations(), **faces(), **others}


def main() -> None:
    write_files(Path(__file__).parent / "dummy_data", files())


if __name__ == "__main__":
    main()
