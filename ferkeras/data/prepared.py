"""Looks into a prepared data set: its report, a contact sheet, sample pictures. All of it lies beside the data."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from ferkeras.data.columns import ordered
from ferkeras.data.contact_sheet import data_set_rows, write_contact_sheet
from ferkeras.data.preparation import data_lock
from ferkeras.data.report import Item, Report, make_report
from ferkeras.errors import InputError
from ferkeras.files import remove_unfinished, staged, write_atomically

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_REPORT_FILE = "ferkeras_report.json"
SHEET_FILE = "contact_sheet.png"


def report(made: "tfds.core.DatasetBuilder") -> Report:
    """Counts, subjects, duplicates and fingerprints; computed once and kept beside the data."""
    path = Path(made.data_dir) / _REPORT_FILE
    if path.exists():
        try:
            return Report.from_json(path.read_text())
        except InputError:
            pass  # written by another version
    with data_lock(made):
        remove_unfinished(path.parent)
        splits = {split: _items(made, split) for split in made.info.splits}
        made_report = make_report(splits, class_names=class_names(made), skipped=_skipped(made))
        write_atomically(path, made_report.to_json())
    return made_report


def contact_sheet(made: "tfds.core.DatasetBuilder") -> Path:
    """The path of a picture with some examples of each class; made once."""
    path = Path(made.data_dir) / SHEET_FILE
    if not path.exists():
        told = report(made)
        with data_lock(made):
            remove_unfinished(path.parent)
            splits = {split: _items(made, split) for split in made.info.splits}
            write_contact_sheet(data_set_rows(splits, class_names=class_names(made), report=told), path)
    return path


def class_names(made: "tfds.core.DatasetBuilder") -> list[str]:
    """Names of the classes, none where the data set has no labels."""
    return made.info.features["label"].names if "label" in made.info.features else []


def write_pictures(made: "tfds.core.DatasetBuilder", directory: Path) -> list[Path]:
    """Writes the first picture of each class of the last split to `<class>.png` in `directory`; returns the paths.

    Raises:
        InputError: if the data set has no pictures with classes.
    """
    names = class_names(made)
    if not names or "image" not in made.info.features:
        raise InputError(f"{made.info.full_name} has no pictures with classes", action="Leave --pictures out.")
    paths: dict[int, Path] = {}
    for item in _items(made, list(made.info.splits)[-1]):
        if item.label is not None and item.label not in paths:
            paths[item.label] = directory / f"{names[item.label]}.png"
            with staged(paths[item.label]) as unfinished:
                Image.fromarray(item.pixels.squeeze()).save(unfinished)
        if len(paths) == len(names):
            break
    return sorted(paths.values())


def _items(made: "tfds.core.DatasetBuilder", split: str) -> Iterator[Item]:
    import tensorflow_datasets as tfds

    features = made.info.features
    clips = "frames" in features
    for example in tfds.as_numpy(made.as_dataset(split=split, shuffle_files=False, read_config=ordered())):
        yield Item(
            example["clip_id" if clips else "id"].decode(),
            example["frames" if clips else "image"],
            int(example["label"]) if "label" in features else None,
            example["subject"].decode() if "subject" in features else None,
            example["face_found"] if clips else None,
        )


def _skipped(made: "tfds.core.DatasetBuilder") -> list[tuple[str, str, str]]:
    """Split, id and reason of what the builder left out; what follows a colon in a reason differs from file to file."""
    from tfds_builders.base.skips import read_skips

    return [(skip.split, skip.id, skip.reason.partition(": ")[0]) for skip in read_skips(Path(made.data_dir))]
