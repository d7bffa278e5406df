"""Finds, prepares and opens the data sets: a thin layer over TensorFlow Datasets.

A data set is prepared once per data directory. Beside the prepared files lie two small ones of ours:
`ferkeras_source.json`, what the manual directory held, so that another copy of the data is noticed, and
`ferkeras_report.json`, counts per class and a fingerprint per split.
"""

import contextlib
import difflib
import importlib
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ferkeras.data.report import Report, make_report
from ferkeras.errors import InputError
from ferkeras.files import staged, write_atomically

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

#: Name -> module of its TFDS builder.
DATASETS: dict[str, str] = {
    "synthetic_faces": "tfds_builders.synthetic_faces.synthetic_faces_dataset_builder",
    "fer2013": "tfds_builders.fer2013.fer2013_dataset_builder",
}

_SOURCE_FILE = "ferkeras_source.json"
_REPORT_FILE = "ferkeras_report.json"


def default_data_dir() -> Path:
    """Where prepared data lies unless told otherwise: `TFDS_DATA_DIR`, else `~/tensorflow_datasets`."""
    return Path(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")).expanduser()


def builder(dataset: str, *, data_dir: Path | None = None) -> "tfds.core.DatasetBuilder":
    """The TFDS builder of `name` or `name/config`; raises `InputError` for an unknown one."""
    name, _, config = dataset.partition("/")
    if name not in DATASETS:
        close = difflib.get_close_matches(name, DATASETS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(DATASETS)}."
        raise InputError("Unknown data set", received=dataset, action=hint)
    kind = importlib.import_module(DATASETS[name]).Builder
    configs = [c.name for c in kind.BUILDER_CONFIGS]
    if config and config not in configs:
        raise InputError(f"Unknown configuration of {name}", received=config, action=f"Known: {', '.join(configs)}.")
    return kind(data_dir=str(data_dir or default_data_dir()), config=config or None)


def prepare(
    dataset: str, *, data_dir: Path | None = None, manual_dir: Path | None = None
) -> "tfds.core.DatasetBuilder":
    """Builds the data set unless it is there, and returns its builder.

    Args:
        dataset: `name` or `name/config`.
        data_dir: Where prepared data lies; see `default_data_dir`.
        manual_dir: The folder with the official files, for sets that cannot be downloaded.

    Raises:
        InputError: if the official files are absent, broken, or not those the prepared data came from.
            Nothing is left behind in `data_dir` then.
    """
    source = None if manual_dir is None else _listing(manual_dir)
    made = builder(dataset, data_dir=data_dir)
    root = Path(made.data_dir)
    if (root / "dataset_info.json").exists():
        recorded = root / _SOURCE_FILE
        if source is not None and recorded.exists() and json.loads(recorded.read_text()) != source:
            raise InputError(
                f"{dataset} was prepared from other files than those in {manual_dir}",
                received=str(root),
                action="Delete that folder to prepare it anew, or name another --data-dir.",
            )
        return made
    if made.MANUAL_DOWNLOAD_INSTRUCTIONS and manual_dir is None:
        raise InputError(
            f"{dataset} cannot be downloaded by itself and is not in {data_dir or default_data_dir()}",
            action="Name the folder with the official files by --manual-dir.",
        )
    import tensorflow_datasets as tfds

    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        # TFDS would leave a downloads folder in the data directory, and says on standard output what we say ourselves.
        with tempfile.TemporaryDirectory() as downloads, contextlib.redirect_stdout(io.StringIO()):
            made.download_and_prepare(
                download_dir=downloads,
                download_config=tfds.download.DownloadConfig(manual_dir=str(manual_dir) if manual_dir else None),
            )
    except BaseException as error:
        _remove_traces(missing)
        if (found := _input_error(error)) is not None:
            raise found from error
        raise
    print(f"ferkeras: {dataset} is prepared in {root}", file=sys.stderr)
    if source is not None:
        write_atomically(root / _SOURCE_FILE, json.dumps(source, indent=1))
    return made


def is_prepared(dataset: str, *, data_dir: Path | None = None) -> bool:
    """Whether the data set can be opened without building it."""
    return (Path(builder(dataset, data_dir=data_dir).data_dir) / "dataset_info.json").exists()


def report(made: "tfds.core.DatasetBuilder") -> Report:
    """Counts, duplicates and fingerprint of a prepared still set; computed once and kept beside the data."""
    path = Path(made.data_dir) / _REPORT_FILE
    if path.exists():
        return Report.from_json(path.read_text())
    made_report = make_report(
        {split: _items(made, split) for split in made.info.splits},
        class_names=made.info.features["label"].names,
    )
    write_atomically(path, made_report.to_json())
    return made_report


def write_pictures(made: "tfds.core.DatasetBuilder", directory: Path) -> list[Path]:
    """Writes the first picture of each class of the last split to `<class>.png` in `directory`; returns the paths."""
    names = made.info.features["label"].names
    paths: dict[int, Path] = {}
    for _, image, label in _items(made, list(made.info.splits)[-1]):
        if label not in paths:
            paths[label] = directory / f"{names[label]}.png"
            with staged(paths[label]) as unfinished:
                Image.fromarray(image.squeeze()).save(unfinished)
        if len(paths) == len(names):
            break
    return sorted(paths.values())


def _items(made: "tfds.core.DatasetBuilder", split: str) -> Iterator[tuple[str, Any, int]]:
    import tensorflow_datasets as tfds

    for example in tfds.as_numpy(made.as_dataset(split=split, shuffle_files=False)):
        yield example["id"].decode(), example["image"], int(example["label"])


def _listing(folder: Path) -> dict[str, int]:
    """Files in `folder`, two levels deep, with their sizes: enough to tell one copy of a data set from another."""
    if not folder.is_dir():
        raise InputError("The manual directory does not exist", received=str(folder), action="Check --manual-dir.")
    files = [p for pattern in ("*", "*/*") for p in folder.glob(pattern) if p.is_file()]
    if not files and not any(folder.glob("*/*/*")):
        raise InputError("The manual directory is empty", received=str(folder), action="Check --manual-dir.")
    return {str(p.relative_to(folder)): p.stat().st_size for p in sorted(files)}


def _remove_traces(missing: list[Path]) -> None:
    """Removes what a failed preparation left in the folders that were not there before, deepest first."""
    for folder in missing:
        shutil.rmtree(folder / ".config", ignore_errors=True)
        with contextlib.suppress(OSError):  # not empty: another version or data set lies there
            folder.rmdir()


def _input_error(error: BaseException | None) -> InputError | None:
    """The `InputError` in a chain of causes: TFDS wraps what a builder raises."""
    seen = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, InputError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
