"""The rejected pictures at one look: a line of examples for each reason."""

import hashlib
from collections.abc import Sequence

from ferkeras.cleaning.collection import Collection
from ferkeras.cleaning.limits import REASONS
from ferkeras.cleaning.rejected import Rejected
from ferkeras.data.contact_sheet import Row, Tile, shrink


def rejected_rows(collection: Collection, rejected: Sequence[Rejected], *, most: int = 12, seed: int = 0) -> list[Row]:
    """Lines for `ferkeras.data.contact_sheet.write_contact_sheet`, in the order of the reasons.

    Args:
        collection: Where the pictures are read from once more.
        rejected: The rows; unreadable pictures cannot be shown.
        most: Pictures in a line; of duplicates half as many, each beside its partner.
        seed: Chooses the examples.
    """
    lines = []
    for reason in REASONS:
        found = [row for row in rejected if row.reason == reason]
        if not found or reason == "unreadable":
            continue
        chosen = sorted(found, key=lambda row: hashlib.sha256(f"{seed} {row.path}".encode()).digest())
        tiles = []
        for row in chosen[: most // 2 if chosen[0].partner else most]:
            tiles.append(Tile(shrink(collection.read(row.path)), f"{row.path} {_note(row)}"))
            if row.partner:
                tiles.append(Tile(shrink(collection.read(row.partner)), row.partner))
        lines.append(Row(f"{reason.replace('_', ' ')} ({len(found):,})", tuple(tiles)))
    return lines


def _note(row: Rejected) -> str:
    if row.suggested:
        return f"{row.label}→{row.suggested}"
    return "" if row.value is None else f"{row.value:.3g}"
