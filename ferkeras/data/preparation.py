"""Builds a data set, once per data directory: whole, or not at all, and never from other files than it says.

Beside the prepared files lies a small one of ours, `ferkeras_source.json`: what the manual directory held, so that
another copy of the data is noticed. It is written before the data set gets its name, so that there is none without it.
While faces are found, what is finished lies in `.work` in the data directory, where an interrupted preparation finds it
again; it goes when the data set is complete.
"""

import contextlib
import io
import json
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkeras.data.beam import beam_config, input_error_of_beam
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
    beam_runner: str | None = None,
    beam_options: Sequence[str] = (),
) -> "tfds.core.DatasetBuilder":
    """Builds the data set unless it is there, and returns its builder.

    Args:
        dataset: `name` or `name/config`.
        data_dir: Where prepared data lies; see `default_data_dir`.
        manual_dir: The folder with the official files, for sets that cannot be downloaded.
        settings: Values of a configuration of the user's own, see `ferkeras.data.sources.builder`.
        workers: Processes that find faces, decode and compress pictures. The bytes do not depend on their number.
        beam_runner: Name of an Apache Beam runner, which makes the examples in the place of processes of this machine.
        beam_options: Options of the runner, `key=value` or, for one without a value, `key`.

    Raises:
        InputError: if the official files are absent, broken, or not those the prepared data came from. In `data_dir`
            only faces that were found already are left then.
        MissingExtraError: for a runner without Apache Beam.
    """
    if workers < 1:
        raise InputError("There must be at least one worker", received=workers)
    if beam_runner is not None and workers > 1:
        raise InputError(
            "Either Apache Beam or processes of this machine", received=f"{workers} workers, {beam_runner}"
        )
    beam = beam_config(beam_runner, beam_options)
    if beam:  # workers may begin in another folder
        data_dir, manual_dir = (data_dir or default_data_dir()).absolute(), manual_dir and manual_dir.absolute()
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
        if hasattr(made, "remove_work"):
            made.remove_work()  # of a preparation that was killed at its very end
        return made
    if made.MANUAL_DOWNLOAD_INSTRUCTIONS and manual_dir is None:
        raise InputError(
            f"{dataset} cannot be downloaded by itself and is not in {data_dir or default_data_dir()}",
            action="Name the folder with the official files by --manual-dir.",
        )
    with data_lock(made):
        if (root / "dataset_info.json").exists():  # another process has prepared it in between
            return builder(dataset, data_dir=data_dir, settings=settings)
        _build(made, dataset, root, source=source, manual_dir=manual_dir, workers=workers, beam=beam)
    return made


def data_lock(made: "tfds.core.DatasetBuilder") -> contextlib.AbstractContextManager[None]:
    """Holds the data set of `made` for the block; `InputError` if another process does."""
    name = made.info.full_name
    data_dir = Path(made.data_dir).parents[name.count("/")]
    lock = data_dir / f".{name.replace('/', '-')}.lock"
    return locked(lock, what=f"Another process prepares {name.rpartition('/')[0]}", action="Wait until it ends.")


def _build(
    made: "tfds.core.DatasetBuilder",
    dataset: str,
    root: Path,
    *,
    source: dict[str, int] | None,
    manual_dir: Path | None,
    workers: int,
    beam: dict[str, Any],
) -> None:
    for left in root.parent.glob(f"incomplete.*_{root.name}"):  # of a preparation that was killed
        shutil.rmtree(left, ignore_errors=True)
    beside = {} if source is None else {_SOURCE_FILE: json.dumps(source, indent=1)}
    shares = hasattr(made, "workers")
    if shares:
        made.workers, made.beside = workers, beside
    elif workers > 1 or beam:
        print(f"ferkeras: {dataset} has nothing to share out and is prepared in one process", file=sys.stderr)
    import tensorflow_datasets as tfds

    manual = str(manual_dir) if manual_dir else None
    missing = [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        # TFDS would leave a downloads folder in the data directory, and says on standard output what we say ourselves.
        with (
            _terminated_like_interrupted(),
            tempfile.TemporaryDirectory() as downloads,
            contextlib.redirect_stdout(io.StringIO()),
        ):
            config = tfds.download.DownloadConfig(manual_dir=manual, **(beam if shares else {}))
            made.download_and_prepare(download_dir=downloads, download_config=config)
    except BaseException as error:
        _remove_traces(missing)
        if (found := _input_error(error) or input_error_of_beam(error)) is not None:
            raise found from error
        raise
    if not shares:
        for name, text in beside.items():
            write_atomically(root / name, text)
    print(f"ferkeras: {dataset} is prepared in {root}", file=sys.stderr)
    if shares:
        made.remove_work()


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM, too, ends the workers and removes what is not finished, before the process ends."""
    if threading.current_thread() is not threading.main_thread():
        yield  # where Python handles no signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


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
