"""Writes a tiny stand-in for FER+ and the rows of FER2013 it belongs to: patterned noise, no faces.

`python -m tfds_builders.fer_plus.make_dummy_data` writes `dummy_data/` anew.
The tests use the table and the writers for their damaged copies.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ferkeras.labels import EMOTIONS
from tfds_builders.base.dummies import write_files
from tfds_builders.fer2013.example import Example
from tfds_builders.fer2013.make_dummy_data import csv_row, csv_text, noise
from tfds_builders.fer_plus.joining import VOTES_FILE
from tfds_builders.fer_plus.votes import COLUMNS

_USAGE = {"train": "Training", "validation": "PublicTest", "test": "PrivateTest"}


class DummyRow(NamedTuple):
    """One row: votes in the order of `COLUMNS`, and the shares of emotions that each rule should make of them.

    No shares: the row is left out.
    """

    split: str
    name: str
    votes: tuple[int, ...]
    majority: dict[str, float]
    most_voted: dict[str, float]
    multi_target: dict[str, float]


ONE_HAPPY, ONE_NEUTRAL, ONE_SAD = {"happy": 1.0}, {"neutral": 1.0}, {"sad": 1.0}
ANGRY_NEUTRAL, ANGRY_SAD = {"angry": 3 / 7, "neutral": 4 / 7}, {"angry": 0.5, "sad": 0.5}
HAPPY_SAD = {"happy": 0.6, "sad": 0.4}
SURPRISE_FEAR = {"surprise": 5 / 9, "fear": 4 / 9}

ROWS = [
    # Four of the nine votes that count are no majority.
    DummyRow("train", "fer0000000.png", (4, 0, 0, 1, 3, 2, 0, 0, 0, 0), {}, ANGRY_NEUTRAL, ANGRY_NEUTRAL),
    DummyRow("train", "fer0000001.png", (0, 10, 0, 0, 0, 0, 0, 0, 0, 0), ONE_HAPPY, ONE_HAPPY, ONE_HAPPY),
    # A row without a name, and one that has a name although nobody saw a face.
    DummyRow("train", "", (0, 0, 0, 0, 0, 0, 0, 0, 0, 10), {}, {}, {}),
    DummyRow("train", "fer0000002.png", (0, 0, 0, 0, 0, 0, 0, 0, 0, 10), {}, {}, {}),
    DummyRow("train", "fer0000003.png", (4, 0, 0, 0, 0, 0, 0, 0, 6, 0), {}, {}, {}),
    # As many do not know as say neutral.
    DummyRow("train", "fer0000004.png", (5, 0, 0, 0, 0, 0, 0, 0, 5, 0), {}, {}, ONE_NEUTRAL),
    # Equal shares: sadness stands before anger in the file. The name repeats that of the row before.
    DummyRow("train", "fer0000004.png", (0, 0, 0, 3, 3, 1, 0, 0, 3, 0), {}, ANGRY_SAD, ANGRY_SAD),
    DummyRow("train", "fer0000005.png", (6, 0, 0, 0, 0, 1, 1, 1, 1, 0), ONE_NEUTRAL, ONE_NEUTRAL, ONE_NEUTRAL),
    DummyRow("validation", "fer0028559.png", (1, 1, 1, 0, 0, 0, 0, 7, 0, 0), *[{"contempt": 1.0}] * 3),
    # Four emotions are too many.
    DummyRow("validation", "fer0028560.png", (2, 2, 2, 2, 1, 1, 0, 0, 0, 0), {}, {}, {}),
    DummyRow("validation", "fer0028561.png", (0, 6, 0, 4, 0, 0, 0, 0, 0, 0), ONE_HAPPY, HAPPY_SAD, HAPPY_SAD),
    DummyRow("test", "fer0032138.png", (1, 0, 0, 8, 1, 0, 0, 0, 0, 0), ONE_SAD, ONE_SAD, ONE_SAD),
    # Nine voters, as in row 10435 of the official file.
    DummyRow("test", "fer0032139.png", (0, 0, 5, 0, 0, 0, 4, 0, 0, 0), {"surprise": 1.0}, SURPRISE_FEAR, SURPRISE_FEAR),
]


def votes_csv(rows: Iterable[DummyRow] = ROWS) -> str:
    """The text of `fer2013new.csv`."""
    lines = [",".join(("Usage", "Image name", *COLUMNS))]
    lines += [",".join((_USAGE[row.split], row.name, *map(str, row.votes))) for row in rows]
    return "\n".join([*lines, ""])


def fer2013_examples(rows: Iterable[DummyRow] = ROWS) -> list[Example]:
    """The faces of the same rows, each with another picture, in the classes of FER2013."""
    return [
        Example(row.split, str(number), EMOTIONS[number % len(EMOTIONS)], noise(number))
        for number, row in enumerate(rows)
    ]


def main() -> None:
    fer2013 = csv_text(map(csv_row, fer2013_examples()))
    write_files(Path(__file__).parent / "dummy_data", {VOTES_FILE: votes_csv(), "fer2013.csv": fer2013})


if __name__ == "__main__":
    main()
