"""Parts of a split by subject: who is in which fold, and which examples a name such as `train@0-4/10` means.

A split is named `NAME` (a split of the data set or a TFDS slice of one) or `NAME@FOLDS/K`: the examples of NAME whose
subject lies in the folds FOLDS, which count from 0: `3`, `0-4`, or several such with commas. K is a number of folds, or
a `.json` file {subject: fold}. With a number, the i-th of the sorted subject ids lies in fold i mod K, the custom on
CK+ (Lucey et al., 2010). Half, a fifth and 30 % of the subjects are `train@0-4/10`, `train@5-6/10`, `train@7-9/10`.

A subject is never torn apart: that is what the folds are for.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferkeras.errors import InputError

_HINT = "Write NAME@FOLDS/K, such as train@0-4/10 or train@3/folds.json."


@dataclass(frozen=True)
class SplitName:
    """A parsed name.

    Attributes:
        base: The split or slice.
        folds: The folds that are meant, rising; empty for all of `base`.
        count: Number of folds, or the file that says who is in which.
    """

    base: str
    folds: tuple[int, ...] = ()
    count: int | Path = 1


def parse_split(text: str) -> SplitName:
    """Raises `InputError` for a name that is not of the form above."""
    base, at, rest = text.partition("@")
    if not at:
        return SplitName(base)
    ranges, slash, count_text = rest.partition("/")
    count: int | Path = int(count_text) if count_text.isdecimal() else Path(count_text)
    if not base or not slash or (isinstance(count, Path) and count.suffix != ".json") or count == 0:
        raise InputError("The name of a split by folds is not understood", received=text, action=_HINT)
    folds: set[int] = set()
    for part in ranges.split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InputError("Folds are numbers or rising ranges of them", received=text, action=_HINT)
        folds.update(range(first, last + 1))
    if isinstance(count, int) and max(folds) >= count:
        raise InputError(f"Folds count from 0 to {count - 1} here", received=text, action=_HINT)
    return SplitName(base, tuple(sorted(folds)), count)


def in_folds(name: SplitName, subjects: np.ndarray) -> np.ndarray:
    """(N,) bool: which examples of `name.base`, of these subjects (N,), are in the folds.

    Raises:
        InputError: if the file cannot be read or lacks a subject, or no example is left.
    """
    people = [subject.decode() if isinstance(subject, bytes) else str(subject) for subject in subjects]
    fold_of = subject_folds(people, name.count) if isinstance(name.count, int) else read_folds(name.count)
    missing = sorted(set(people) - set(fold_of))
    if missing:
        raise InputError(
            f"{name.count} does not name every subject",
            received=f"{len(missing)} missing, such as {missing[0]}",
            action="Make it anew with `ferkeras folds`.",
        )
    inside = np.array([fold_of[person] in name.folds for person in people], bool)
    if not inside.any():
        received = f"folds {', '.join(map(str, name.folds))} of {name.count} with {len(set(people))} subjects"
        raise InputError(f"No example of {name.base} is in these folds", received=received)
    return inside


def subject_folds(subjects: Sequence[str], count: int) -> dict[str, int]:
    """Fold of each subject: the i-th of the sorted ids lies in fold i mod `count`."""
    return {subject: index % count for index, subject in enumerate(sorted(set(subjects)))}


def balanced_folds(examples: Mapping[str, Counter[str]], count: int) -> dict[str, int]:
    """Fold of each subject so that folds hold about as many examples of each class.

    Greedy: subjects with many examples first, each to the fold where the largest excess over an equal share, over the
    classes, stays smallest; equals by fewer examples, then the lower fold. The same examples give the same folds.

    Args:
        examples: Subject -> class -> number of examples.
        count: Number of folds.
    """
    totals: Counter[str] = sum(examples.values(), Counter())
    held: list[Counter[str]] = [Counter() for _ in range(count)]
    fold_of: dict[str, int] = {}
    for subject in sorted(examples, key=lambda s: (-examples[s].total(), s)):
        own = examples[subject]

        def excess(fold: int, own: Counter[str] = own) -> tuple[float, int, int]:
            worst = max((held[fold][name] + own[name]) / totals[name] for name in totals if totals[name])
            return worst, held[fold].total(), fold

        fold_of[subject] = min(range(count), key=excess)
        held[fold_of[subject]] += own
    return dict(sorted(fold_of.items()))


def read_folds(path: Path) -> dict[str, int]:
    """A fold file; raises `InputError` if it cannot be read or is not {subject: fold}."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError("The fold file cannot be read", received=str(path), action=f"{error}.") from error
    whole = isinstance(values, dict) and all(type(fold) is int and fold >= 0 for fold in values.values())
    if not whole:
        raise InputError(
            f"{path} must hold one object {{subject: fold}} with folds from 0 on", received=repr(values)[:80]
        )
    return values
