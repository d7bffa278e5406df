"""Running a command as a user types it, for the tests of the commands."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.cli.command import run_command

Command = Callable[..., tuple[int, str, str]]


def call(capsys: pytest.CaptureFixture[str], name: str, *words: object) -> tuple[int, str, str]:
    """Runs a command in this process; returns exit code, standard output and standard error."""
    capsys.readouterr()
    try:
        code = run_command(name, [str(word) for word in words])
    except SystemExit as end:  # argparse
        code = int(end.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def assert_one_line(result: tuple[int, str, str], *words: str) -> None:
    code, out, err = result
    assert (code, out) == (2, "")
    assert err.count("\n") == 1, err
    assert err.startswith("ferkeras")
    assert all(word in err for word in words), err


def picture(path: Path, *, size: tuple[int, int] = (40, 50)) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path
