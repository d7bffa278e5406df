"""Finds the pictures and labels of RAF-DB in a folder: the official layout, or the copy on Kaggle."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from ferkeras.errors import InputError
from tfds_builders.base.listing import list_files
from tfds_builders.base.source import Skip, StillSource, ZipMember
from tfds_builders.base.tables import read_lines
from tfds_builders.raf_db.labels import check_kaggle_list, class_of_code, read_list

Files = Mapping[str, Path | ZipMember]

#: The official spelling has no r in it.
LIST_NAME = "list_patition_label.txt"
_LIST = re.compile(r"(?:.*/)?list_par?tition_label\.txt", re.IGNORECASE)
#: The first group is the name without suffix in the list.
_ORIGINAL = re.compile(r"(?:.*/)?((?:train|test)_\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
_ALIGNED = re.compile(r"(?:.*/)?((?:train|test)_\d+)_aligned\.(?:jpg|jpeg|png)", re.IGNORECASE)
_BOX = re.compile(r"(?:.*/)?((?:train|test)_\d+)_boundingbox\.txt", re.IGNORECASE)
_KAGGLE = re.compile(r"(?:.*/)?(train|test)/([^/]+)/([^/]+)\.(?:jpg|jpeg|png)", re.IGNORECASE)
_KAGGLE_LIST = re.compile(r"(?:.*/)?(train|test)_labels\.csv", re.IGNORECASE)


def read_raf_db(manual_dir: Path, *, aligned: bool) -> Iterator[StillSource | Skip]:
    """Every picture of the basic set, by the order of its list, or in the copy on Kaggle by name.

    Args:
        manual_dir: The folder that holds the files.
        aligned: The owners' aligned pictures; otherwise the original ones.

    Raises:
        InputError: for an unknown layout, the compound set alone, or a label that cannot be understood.
    """
    everything = list_files(manual_dir)
    files = {path: file for path, file in everything.items() if "compound" not in path.lower()}
    lists = [file for path, file in files.items() if _LIST.fullmatch(path)]
    if lists:
        yield from _official(read_list(lists[0]), files, aligned=aligned)
    elif not aligned:
        raise InputError(
            f"RAF-DB: the original pictures need the official layout, with {LIST_NAME}",
            received=str(manual_dir),
            action="The copy on Kaggle has the aligned pictures alone: use the configuration official.",
        )
    elif any(_KAGGLE.fullmatch(path) for path in files):
        yield from _kaggle(files)
    else:
        found = "the compound set" if len(files) < len(everything) else ", ".join(list(files)[:3]) or "nothing"
        raise InputError(
            f"RAF-DB: there should be EmoLabel/{LIST_NAME} and Image/ of the basic set, or DATASET/train/1 to 7",
            received=f"{manual_dir} with {found}",
            action="The README.md of the builder tells what the folder must hold.",
        )


def _official(labels: Mapping[str, str], files: Files, *, aligned: bool) -> Iterator[StillSource | Skip]:
    pictures = _by_name(files, _ALIGNED if aligned else _ORIGINAL)
    boxes = {} if aligned else _by_name(files, _BOX)
    for name, emotion in labels.items():
        split = name.partition("_")[0]
        if name not in pictures:
            yield Skip(split, name, "cannot be read: the picture is missing")
            continue
        path, picture = pictures.pop(name)
        box = read_box(boxes[name][1]) if name in boxes else None
        yield StillSource(split=split, id=path, picture=picture, label=emotion, box=box)
    for name, (path, _) in pictures.items():
        yield Skip(name.partition("_")[0], path, f"not in {LIST_NAME}")


def _by_name(files: Files, pattern: re.Pattern[str]) -> dict[str, tuple[str, Path | ZipMember]]:
    """Name such as `train_00001` -> path and file; a file that also lies in a second place is taken once."""
    found: dict[str, tuple[str, Path | ZipMember]] = {}
    for path, file in files.items():
        if match := pattern.fullmatch(path):
            found.setdefault(match[1].lower(), (path, file))
    return found


def _kaggle(files: Files) -> Iterator[StillSource]:
    emotions: dict[str, str] = {}
    sources = []
    for path, file in files.items():
        match = _KAGGLE.fullmatch(path)
        if match is None:
            continue
        split, folder, name = match[1].lower(), match[2], PurePosixPath(path).name
        if not name.lower().startswith(f"{split}_"):
            raise InputError(
                f"RAF-DB: a picture in {split}/ should be named {split}_<number>_aligned.jpg",
                received=path,
                action="The splits are mixed up: fetch the data set again.",
            )
        emotions[name] = class_of_code(folder, where=f"the class folder of {path}")
        sources.append(StillSource(split=split, id=path, picture=file, label=emotions[name]))
    for path, file in files.items():
        if _KAGGLE_LIST.fullmatch(path):
            check_kaggle_list(file, emotions)
    yield from sources


def read_box(file: Path | ZipMember) -> np.ndarray:
    """(4,) x, y, width, height of `*_boundingbox.txt`, which holds xmin ymin xmax ymax in pixels."""
    for where, text in read_lines(file):
        try:
            left, top, right, bottom = (float(word) for word in text.replace(",", " ").split())
        except ValueError:
            break
        if left < right and top < bottom:
            return np.array([left, top, right - left, bottom - top], np.float32)
        raise InputError(f"{where} should hold xmin ymin xmax ymax", received=repr(text[:60]))
    raise InputError("A file with a box should hold xmin ymin xmax ymax", received=str(file)[:100])
