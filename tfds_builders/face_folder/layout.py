"""Reads pictures that lie in one folder per class, with or without a folder per split around: `train/happy/1.jpg`."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ferkeras.errors import InputError
from ferkeras.labels import canonical
from ferkeras.pictures import SUFFIXES
from tfds_builders.base.listing import list_files
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.tables import path_inside, read_table

#: Names that people give to the folders of splits.
SPLITS = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


def read_face_folder(
    root: Path, *, classes: Sequence[str], exclude: Path | None = None, subject_pattern: str | None = None
) -> Iterator[StillSource | Skip]:
    """Every picture below `root` and in zip archives there, by path.

    Args:
        root: The folder.
        classes: Names of the classes; see `class_of`.
        exclude: The list of `ferkeras clean`: these pictures are left out.
        subject_pattern: Regular expression that finds the subject in a file name: its first group, or all of it.

    Raises:
        InputError: for a picture that lies in no folder of a class or whose name has no subject, folders with and
            without splits side by side, or a list that names none of the pictures.
    """
    check_classes(classes)
    pictures = {path: file for path, file in list_files(root).items() if path.lower().endswith(SUFFIXES)}
    if not pictures:
        raise InputError("There should be pictures in one folder per class", received=str(root))
    splits = {path: split_of(path) for path in pictures}
    if None in splits.values() and len(set(splits.values())) > 1:
        inside = next(path for path, split in splits.items() if split is not None)
        outside = next(path for path, split in splits.items() if split is None)
        raise InputError(
            "Either all pictures or none should lie in folders of splits",
            received=f"{inside} and {outside}",
            action=f"Folders of splits: {', '.join(SPLITS)}.",
        )
    reasons = {} if exclude is None else read_exclusions(exclude, pictures)
    for path, file in pictures.items():
        split, label = splits[path] or "train", class_of(path, classes)
        if path in reasons:
            yield Skip(split, path, f"excluded: {reasons[path]}")
        else:
            yield StillSource(
                split=split, id=path, picture=file, label=label, subject=subject_of(path, subject_pattern)
            )


def check_classes(classes: Sequence[str]) -> None:
    """Raises `InputError` for names of classes that cannot be told apart."""
    if not classes or len({name.strip().lower() for name in classes}) < len(classes):
        raise InputError("classes should be different names", received=", ".join(classes) or "none")


def split_of(path: str) -> str | None:
    """The split that the folder around the class folder names, None if it names none."""
    parts = PurePosixPath(path).parts
    return SPLITS.get(parts[-3].lower()) if len(parts) > 2 else None


def class_of(path: str, classes: Sequence[str]) -> str:
    """The class of the folder a picture lies in: by its name in any case, or by a usual word for the same emotion."""
    folder = PurePosixPath(path).parent.name
    named = {name.strip().lower(): name for name in classes}
    emotion = canonical(folder)
    if folder.strip().lower() in named:
        return named[folder.strip().lower()]
    if emotion in classes:
        return str(emotion)
    raise InputError(
        f"{path} should lie in a folder of one of the classes {', '.join(classes)}",
        received=repr(folder),
        action="The option classes names others: all of them, such as --set \"classes=('happy', 'pensive')\".",
    )


def subject_of(path: str, pattern: str | None) -> str | None:
    """The subject in the file name; None without a pattern."""
    if pattern is None:
        return None
    try:
        match = re.search(pattern, PurePosixPath(path).name)
    except re.error as error:
        raise InputError("subject_pattern should be a regular expression", received=f"{pattern} ({error})") from error
    subject = match[1 if match.re.groups else 0] if match else None
    if not subject:
        raise InputError(f"subject_pattern {pattern} should find the subject in every file name", received=path)
    return subject


def read_exclusions(exclude: Path, pictures: Mapping[str, object]) -> dict[str, str]:
    """Path -> reason, several joined, of the csv file that `ferkeras clean` writes: columns path, class and reason.

    Raises:
        InputError: if the file cannot be read, or lists no picture that there is.
    """
    reasons: dict[str, list[str]] = {}
    for where, values in read_table(exclude, columns=("path", "class", "reason")):
        path = path_inside(values["path"], where=where).as_posix()
        listed = reasons.setdefault(path, [])
        if values["reason"] not in listed:
            listed.append(values["reason"])
    unknown = [path for path in reasons if path not in pictures]
    if unknown and len(unknown) == len(reasons):
        raise InputError(
            f"{exclude.name} should name pictures by their path from the folder on",
            received=unknown[0],
            action="Was it made for another folder?",
        )
    if unknown:
        warnings.warn(f"{exclude.name} lists {len(unknown)} pictures that are not there: {unknown[0]}.", stacklevel=2)
    return {path: ", ".join(listed) for path, listed in reasons.items()}
