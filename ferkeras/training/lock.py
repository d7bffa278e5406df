"""One process at a time in a run folder, or in the folder of a grid, a search or a cross-validation."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ferkeras.files import locked, remove_unfinished


@contextmanager
def run_lock(workdir: Path, *, action: str = "Wait until it ends, or choose another --name.") -> Iterator[None]:
    """Holds `workdir` for the block, and first clears away what a killed process left half-written in it.

    The lock file lies beside the folder, as `.<name>.lock`: the folder itself may not be there yet. What lies deeper
    than a run folder's own subfolders, such as the runs of a grid, is left to the locks of these.
    With several workers, the chief alone takes it, as the chief alone writes.

    Args:
        workdir: The folder.
        action: What a user who finds it held may do.

    Raises:
        InputError: if another process is at work there.
    """
    with locked(
        workdir.absolute().parent / f".{workdir.absolute().name}.lock",
        what=f"Another process is at work in {workdir}",
        action=action,
    ):
        for folder in (workdir, *(path for path in workdir.glob("*") if path.is_dir())):
            if folder == workdir or not (folder / "recipe.json").exists():
                remove_unfinished(folder)
        yield
