"""Compares what was read with the official numbers: a copy that differs is used, with one warning."""

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping

from tfds_builders.base.source import ClipSource, Skip, StillSource


def count_labels(sources: Iterable[StillSource | ClipSource | Skip]) -> dict[str, Counter[str]]:
    """Examples per split and class; what is left out does not count."""
    counts: dict[str, Counter[str]] = {}
    for source in sources:
        if not isinstance(source, Skip) and source.label is not None:
            counts.setdefault(source.split, Counter())[source.label] += 1
    return counts


def warn_if_incomplete(
    found: Mapping[str, Mapping[str, int]], official: Mapping[str, Mapping[str, int]], *, title: str
) -> None:
    """Warns once, with both numbers of every split, if any differs.

    Args:
        found: Examples per split and class, as `count_labels` gives them.
        official: What they should be.
        title: What the warning calls the copy.
    """
    told = [_compare(split, found.get(split, {}), official.get(split, {})) for split in {**official, **found}]
    if any(differs for _, differs in told):
        text = "; ".join(text for text, _ in told)
        warnings.warn(f"{title} has other numbers than the official ones (found of official): {text}.", stacklevel=3)


def _compare(split: str, found: Mapping[str, int], official: Mapping[str, int]) -> tuple[str, bool]:
    total = f"{split} {sum(found.values())} of {sum(official.values())}"
    differing = [
        f"{name} {found.get(name, 0)} of {official.get(name, 0)}"
        for name in {**official, **found}
        if found.get(name, 0) != official.get(name, 0)
    ]
    listed = differing and len({**official, **found}) > 1
    return (f"{total} ({', '.join(differing)})" if listed else total), bool(differing)
