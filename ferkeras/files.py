"""Files and folders that are either whole or absent. Standard library only."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yields a path to write a file or folder to; it becomes `target` if the block succeeds and else goes.

    The path has the name of `target`, since some writers choose their format by it, in a hidden folder beside it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        yield unfinished
        unfinished.stat()  # raises, before the old one is touched, if the block wrote nothing
        if target.is_dir():  # a directory, unlike a file, cannot be replaced in one step
            target.rename(Path(folder) / f"{target.name}.previous")
        unfinished.replace(target)


def write_atomically(path: Path, text: str) -> None:
    """Writes `text` to `path` in UTF-8; a kill leaves the old file or the new one."""
    with staged(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
