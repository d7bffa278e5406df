"""Writes tiny stand-ins for CK+ in the layouts that are read: drawn marks, no faces.

`python -m tfds_builders.ck_plus.make_dummy_data` writes `dummy_data/` anew. The tests use the same writers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ferkeras.faces.align import Alignment
from tfds_builders.base.dummies import encoded, landmarks68, marked, write_files
from tfds_builders.fer2013.make_dummy_data import write_zip

HEIGHT, WIDTH = 60, 80


class DummySequence(NamedTuple):
    """What a sequence holds; `emotion` and its `code` are None where it has no label."""

    subject: str
    sequence: str
    numbers: tuple[int, ...]
    emotion: str | None
    code: int | None
    colour: bool = False

    @property
    def id(self) -> str:
        return f"{self.subject}/{self.sequence}"

    def path(self, number: int) -> str:
        return f"{self.id}/{self.subject}_{self.sequence}_{number:08d}"


SEQUENCES = (
    DummySequence("S005", "001", (1, 2, 3, 4, 5), "disgust", 3),
    DummySequence("S010", "002", (1, 2, 3), "surprise", 7),
    DummySequence("S010", "004", (1, 2, 3), None, None),
    DummySequence("S037", "003", (1, 2), "angry", 1),
    DummySequence("S130", "009", (3, 4, 5, 6, 7), "contempt", 2),
    DummySequence("S999", "001", (1, 2, 3, 4), "happy", 5, colour=True),
    DummySequence("S020", "001", (1, 2), None, None),
)


def level(sequence: DummySequence, number: int) -> int:
    """Grey level of a frame, by which it is known: another one for each."""
    return 20 + 20 * SEQUENCES.index(sequence) + 2 * number


def five_landmarks(number: int) -> np.ndarray:
    """(5, 2) x, y of the face in frame `number`, which moves."""
    return Alignment(size=52).template.astype(np.float64) + np.array([12 + number, 4])


def pictures(sequences: tuple[DummySequence, ...] = SEQUENCES) -> dict[str, bytes]:
    """Path in `cohn-kanade-images` -> PNG."""
    return {
        f"{sequence.path(number)}.png": encoded(
            marked(
                five_landmarks(number),
                level=level(sequence, number),
                shape=(HEIGHT, WIDTH, 3) if sequence.colour else (HEIGHT, WIDTH),
            ),
            ".png",
        )
        for sequence in sequences
        for number in sequence.numbers
    }


def emotions(sequences: tuple[DummySequence, ...] = SEQUENCES) -> dict[str, bytes]:
    """Path in `Emotion` -> text, named as the last frame."""
    return {
        f"{sequence.path(sequence.numbers[-1])}_emotion.txt": f"   {sequence.code:.7e}\n".encode()
        for sequence in sequences
        if sequence.code is not None
    }


def landmark_files(sequences: tuple[DummySequence, ...] = SEQUENCES) -> dict[str, bytes]:
    """Path in `Landmarks` -> text."""
    return {
        f"{sequence.path(number)}_landmarks.txt": b"".join(
            b"   %.7e   %.7e\n" % (x, y) for x, y in landmarks68(five_landmarks(number))
        )
        for sequence in sequences
        for number in sequence.numbers
    }


def action_units() -> dict[str, bytes]:
    """Path in `FACS` -> text."""
    return {f"{SEQUENCES[0].path(5)}_facs.txt": b"   9.0000000e+00   0.0000000e+00\n"}


def ck48() -> dict[str, bytes]:
    """Path in `CK+48` -> PNG: the last three frames of each labelled sequence, 48 x 48."""
    folders = {"disgust": "disgust", "surprise": "surprise", "angry": "anger", "contempt": "contempt", "happy": "happy"}
    return {
        f"{folders[sequence.emotion]}/{Path(sequence.path(number)).name}.png": encoded(
            marked(Alignment(size=48).template, level=level(sequence, number), shape=(48, 48)), ".png"
        )
        for sequence in SEQUENCES
        if sequence.emotion is not None
        for number in sequence.numbers[-3:]
    }


def under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same files in a folder."""
    return {f"{folder}/{path}": data for path, data in files.items()}


def official() -> dict[str, bytes]:
    """Path -> content of all official files as they are extracted."""
    return {
        **under("cohn-kanade-images", pictures()),
        **under("Emotion", emotions()),
        **under("Landmarks", landmark_files()),
        **under("FACS", action_units()),
    }


def main() -> None:
    root = Path(__file__).parent / "dummy_data"
    zips = root / "zips"
    write_zip(zips / "extended-cohn-kanade-images.zip", under("cohn-kanade-images", pictures()))
    write_zip(zips / "Emotion_labels.zip", under("Emotion", emotions()))
    write_zip(zips / "Landmarks.zip", under("Landmarks", landmark_files()))
    write_zip(zips / "FACS_labels.zip", under("FACS", action_units()))
    write_files(root / "extracted", official())
    write_files(root / "ck48", under("CK+48", ck48()))


if __name__ == "__main__":
    main()
