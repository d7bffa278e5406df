"""The official numbers of FER2013, and the comparison of a copy with them."""

import warnings
from collections import Counter
from collections.abc import Mapping

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS

#: Images per split and emotion, in the order of `EMOTIONS` (28,709, 3,589 and 3,589 in all).
OFFICIAL_COUNTS: dict[str, dict[str, int]] = {
    "train": dict(zip(EMOTIONS, (3995, 436, 4097, 7215, 4830, 3171, 4965), strict=True)),
    "validation": dict(zip(EMOTIONS, (467, 56, 496, 895, 653, 415, 607), strict=True)),
    "test": dict(zip(EMOTIONS, (491, 55, 528, 879, 594, 416, 626), strict=True)),
}


def check_counts(counts: Mapping[str, Counter[str]], *, name: str) -> None:
    """Warns once if the copy differs from the official counts, and refuses interchanged splits.

    Args:
        counts: Images per split and emotion.
        name: What messages call the copy.

    Raises:
        InputError: If a split has exactly the counts per emotion of another official split. Results on
            PrivateTest read 1 to 2 points higher than on PublicTest, so a silent swap would mislead.
    """
    for split in OFFICIAL_COUNTS:
        for other, official in OFFICIAL_COUNTS.items():
            if other != split and dict(counts[split]) == official:
                raise InputError(
                    f"The splits of FER2013 are interchanged: {split} has exactly the images of {other}",
                    received=name,
                    action="Fetch the data set again: PublicTest is for validation, PrivateTest for test.",
                )
    if any(dict(counts[split]) != OFFICIAL_COUNTS[split] for split in OFFICIAL_COUNTS):
        told = "; ".join(_compare(split, counts[split]) for split in OFFICIAL_COUNTS)
        warnings.warn(f"{name} is not the complete FER2013 (found of official): {told}.", stacklevel=3)


def _compare(split: str, counts: Counter[str]) -> str:
    official = OFFICIAL_COUNTS[split]
    told = f"{split} {counts.total()} of {sum(official.values())}"
    if dict(counts) == official:
        return told
    differing = (f"{e} {counts[e]} of {n}" for e, n in official.items() if counts[e] != n)
    return f"{told} ({', '.join(differing)})"
