"""Labels of RAF-DB, and the official numbers."""

import re
from collections.abc import Mapping
from pathlib import Path

from ferkeras.errors import InputError
from ferkeras.labels import RAF_DB_CODES
from tfds_builders.base.source import ZipMember
from tfds_builders.base.tables import read_lines, read_table

#: Codes of the compound set, such as happily surprised, go on to this one.
COMPOUND_CODES = 11
_LINE = re.compile(r"((?:train|test)_\d+)(?:_aligned)?\.jpg\s+(\S+)", re.IGNORECASE)

#: Pictures per split and emotion.
OFFICIAL_COUNTS: dict[str, dict[str, int]] = {
    "train": dict(zip(RAF_DB_CODES.values(), (1290, 281, 717, 4772, 1982, 705, 2524), strict=True)),
    "test": dict(zip(RAF_DB_CODES.values(), (329, 74, 160, 1185, 478, 162, 680), strict=True)),
}


def read_list(file: Path | ZipMember) -> dict[str, str]:
    """Name without suffix, such as `train_00001`, -> emotion, in the order of `list_patition_label.txt`.

    Raises:
        InputError: naming the line of one that is not `<name>.jpg <code>`, or of a name that is there already.
    """
    emotions: dict[str, str] = {}
    for where, text in read_lines(file):
        name, emotion = parse_line(text, where=where)
        if name in emotions:
            raise InputError(f"{where}: every picture should be listed once", received=name)
        emotions[name] = emotion
    return emotions


def parse_line(text: str, *, where: str) -> tuple[str, str]:
    """Name without suffix, and emotion, of a line such as `train_00001.jpg 5`."""
    match = _LINE.fullmatch(text)
    if match is None:
        raise InputError(f"{where} should be a name and a code, such as train_00001.jpg 5", received=repr(text[:80]))
    return match[1].lower(), class_of_code(match[2], where=where)


def class_of_code(text: str, *, where: str) -> str:
    """The emotion of a code from 1 to 7."""
    codes = {str(code): emotion for code, emotion in RAF_DB_CODES.items()}
    if text in codes:
        return codes[text]
    compound = text in {str(code) for code in range(len(codes) + 1, COMPOUND_CODES + 1)}
    raise InputError(
        f"RAF-DB: {where} should have a code from 1 to {len(codes)}",
        received=repr(text[:20]),
        action="Codes from 8 on are of the compound set, which this builder does not read." if compound else "",
    )


def check_kaggle_list(file: Path | ZipMember, emotions: Mapping[str, str]) -> None:
    """Raises `InputError` if `train_labels.csv` or `test_labels.csv` contradicts the class folders.

    Args:
        file: The csv file.
        emotions: File name -> emotion of its folder.
    """
    for where, values in read_table(file, columns=("image", "label")):
        emotion = class_of_code(values["label"], where=where)
        in_folder = emotions.get(values["image"], emotion)
        if in_folder != emotion:
            raise InputError(
                f"{where}: {values['image']} should have the class of its folder, {in_folder}",
                received=emotion,
                action="Fetch the data set again.",
            )
