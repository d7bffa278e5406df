"""Builds a data set, once per data directory: whole, or not at all, and never from other files than it says.

Beside the prepared files lies a small one of ours, `ferkeras_source.json`: what the manual directory held, so that
another copy of the data is noticed. While faces are found, what is finished lies in `.work` in the data directory,
where an interrupted preparation finds it again; it goes when the data set is complete.
"""

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.data.sources import builder, default_data_dir
from ferkeras.errors import InputError
from ferkeras.files import locked, write_atomically

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_SOURCE_FILE = "ferkeras_source.json"


def prepare(
    dataset: str,
    *,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    settings: Sequence[str] = (),
    workers: int = 1,
) -> "tfds.core.DatasetBuilder":
    """Builds the data set unless it is there, and returns its builder.

    Args:
        dataset: `name` or `name/config`.
        data_dir: Where prepared data lies; see `default_data_dir`.
        manual_dir: The folder with the official files, for sets that cannot be downloaded.
        settings: Values of a configuration of the user's own, see `ferkeras.data.sources.builder`.
        workers: Processes that find and align faces, where a data set needs that.

    Raises:
        InputError: if the official files are absent, broken, or not those the prepared data came from. In `data_dir`
            only faces that were found already are left then.
    """
    if workers < 1:
        raise InputError("There must be at least one worker", received=workers)
    source = None if manual_dir is None else _listing(manual_dir)
    made = builder(dataset, data_dir=data_dir, settings=settings)
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
    lock = Path(data_dir or default_data_dir()) / f".{made.info.full_name.replace('/', '-')}.lock"
    with locked(lock, what=f"Another process prepares {dataset}", action="Wait until it ends."):
        if (root / "dataset_info.json").exists():  # another process has prepared it in between
            return builder(dataset, data_dir=data_dir, settings=settings)
        _build(made, dataset, root, source=source, manual_dir=manual_dir, workers=workers)
    return made


def _build(
    made: "tfds.core.DatasetBuilder",
    dataset: str,
    root: Path,
    *,
    source: dict[str, int] | None,
    manual_dir: Path | None,
    workers: int,
) -> None:
    for left in root.parent.glob(f"incomplete.*_{root.name}"):  # of a preparation that was killed
        shutil.rmtree(left, ignore_errors=True)
    if hasattr(made, "workers"):
        made.workers = workers
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
    if hasattr(made, "workers"):
        made.remove_work()


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
