"""What the page says of its models and of itself, as Markdown."""

from collections.abc import Sequence

from ferkeras import __version__
from ferkeras.errors import InputError
from ferkeras.modelcard import LIMITS
from ferkeras.runs import RunFolder

USE = """\
## What this page is for

Looking at what a network of facial expressions says of pictures, videos and a camera: for research, for teaching, and
for products in which the person in the picture wants it and knows of it. Show the page only pictures of people who
agree to that.

## Limits
"""

DATA = """\
## What happens to pictures

Pictures, videos and camera frames go to the machine that runs this page, and nowhere else. Files are removed when the
page is closed, or at the latest when the program ends. There is no telemetry, and no other server is asked.

## Licence

ferkeras {version}: Apache License 2.0. The weights of a model are bound by the terms of its training data as well: see
its card.
"""


def about(folders: Sequence[RunFolder]) -> str:
    """Use, limits and the cards of the runs."""
    cards = "\n\n".join(f"## Model: {folder.path.resolve().name}\n\n{card(folder)}" for folder in folders)
    return f"{USE}\n{LIMITS}\n\n{DATA.format(version=__version__)}\n{cards}\n"


def card(folder: RunFolder) -> str:
    """The README of a run as a part of another page: headings one level lower, without name, plots and the limits that
    all models share."""
    path = folder.path / "README.md"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        raise InputError(
            "The run has no model card", received=str(path), action="Finish the run: train.py --resume."
        ) from None
    text = text.partition("\n## Limits\n")[0]
    kept = [line for line in text.splitlines() if not line.startswith(("# ", "!["))]
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in kept).strip()
