"""The table of rejected pictures: one row for each picture and reason."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ferkeras.cleaning.limits import Reason
from ferkeras.errors import InputError
from ferkeras.files import write_atomically

COLUMNS = ("path", "class", "reason", "value", "threshold", "partner", "suggested")


class Rejected(NamedTuple):
    """A picture and one reason against it.

    Attributes:
        path: From the folder on, with slashes.
        label: Its class, column `class`.
        reason: See `ferkeras.cleaning.limits.REASONS`, which tells what `value` is.
        value: What was measured; None where nothing is.
        threshold: What it was compared with.
        partner: The other picture, of duplicates.
        suggested: The class that it looks like, of mislabelled ones.
    """

    path: str
    label: str
    reason: Reason
    value: float | None = None
    threshold: float | None = None
    partner: str = ""
    suggested: str = ""


def write_rejected(path: Path, rows: Iterable[Rejected]) -> None:
    """Writes the CSV file, whole or not at all.

    Raises:
        InputError: if it cannot be written there.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([*row[:3], _number(row.value), _number(row.threshold), row.partner, row.suggested])
    try:
        write_atomically(path, text.getvalue())
    except OSError as error:
        raise InputError("The table cannot be written", received=str(path), action=f"{error.strerror}.") from error


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
