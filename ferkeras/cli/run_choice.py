"""Which run is meant where the first word of a command may be one, or already what shall be looked at."""

import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ferkeras.prediction.inputs import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from ferkeras.runs import RunFolder


def choose_run(words: Sequence[str | None], *, root: Path) -> tuple[RunFolder, list[str]]:
    """The run that the first of `words` names and the words after it; or the default run and all of `words`.

    A word is an input, and no run that was mistyped, if it is a file, a pattern, a folder that does not lie in `root`
    and is not it, or ends like a picture or a video. Which run stands in is told on standard error.

    Args:
        words: RUN and INPUT... of the command line; those that are None were not given.
        root: The folder of runs.

    Raises:
        InputError: for a run that is not there, with those that are; likewise where no run can stand in.
    """
    given = [word for word in words if word is not None]
    if given and (_is_run(given[0], root) or not _is_input(given[0], root)):
        return RunFolder.find(given[0], root=root), given[1:]
    folder = RunFolder.default(root=root)
    print(f"ferkeras: No run is named, so this is what {folder.path} says.", file=sys.stderr)
    return folder, given


def _is_run(word: str, root: Path) -> bool:
    return any((path / "recipe.json").is_file() for path in (Path(word), root / word))


def _is_input(word: str, root: Path) -> bool:
    if os.path.isdir(word):
        path = Path(word).resolve()
        return root.resolve() not in (path, path.parent)  # the folder of runs, or a run without its recipe
    suffix = Path(word).suffix.lower()
    return os.path.exists(word) or glob.has_magic(word) or suffix in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)
