"""From what was measured to the list of rejected pictures."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ferkeras.cleaning.examine import Examined
from ferkeras.cleaning.limits import REASONS, Limits, Reason
from ferkeras.cleaning.mislabelled import find_doubts, out_of_fold
from ferkeras.cleaning.rejected import Rejected
from ferkeras.data.phash import near_groups, near_pairs


class Judgement(NamedTuple):
    """What came out.

    Attributes:
        rejected: All rows, sorted by path and then by reason.
        accuracy: Fraction of the labels that the model agreed with, which tells what its doubts are worth; None where
            labels were not checked.
    """

    rejected: list[Rejected]
    accuracy: float | None


def judge(examined: Sequence[Examined], *, limits: Limits, folds: int = 5, seed: int = 0) -> Judgement:
    """The list of rejected pictures.

    Labels are checked where there are features, of pictures that nothing else is wrong with but copies. Of copies in
    one class the one is kept that nothing else is wrong with, has most pixels, and comes first by path, in this order.

    Raises:
        InputError: if there are features, and too few pictures to check labels by them.
    """
    rows = [row for item in examined for row in _faults(item, limits)]
    faulty = {row.path for row in rows}
    sound = [item for item in examined if item.picture.path not in faulty and item.features is not None]
    doubted, accuracy = _doubted(sound, limits, folds=folds, seed=seed) if sound else ([], None)
    rows += doubted
    faulty = {row.path for row in rows}
    readable = [item for item in examined if item.problem is None]
    rows += _copies(
        sorted(readable, key=lambda item: (item.picture.path in faulty, -item.pixels, item.picture.path)), limits
    )
    order = {reason: number for number, reason in enumerate(REASONS)}
    return Judgement(sorted(rows, key=lambda row: (row.path, order[row.reason])), accuracy)


def _faults(item: Examined, limits: Limits) -> Iterator[Rejected]:
    """What is wrong with a picture by itself."""
    if item.problem is not None:
        yield Rejected(*item.picture, "unreadable")
        return
    quality = item.quality
    if quality is None:
        yield Rejected(*item.picture, "no_face", 0, 1)
        return
    comparable = sum(side >= limits.second_face * item.faces[0] for side in item.faces)
    checks: list[tuple[Reason, bool, float, float]] = [
        ("several_faces", comparable > 1, comparable, 1),
        ("small", quality.size < limits.min_size, quality.size, limits.min_size),
        ("blurred", quality.sharpness < limits.min_sharpness, quality.sharpness, limits.min_sharpness),
        ("clipped_dark", quality.dark > limits.max_dark, quality.dark, limits.max_dark),
        ("clipped_bright", quality.bright > limits.max_bright, quality.bright, limits.max_bright),
        ("dark", quality.mean < limits.min_mean, quality.mean, limits.min_mean),
        ("bright", quality.mean > limits.max_mean, quality.mean, limits.max_mean),
    ]
    for reason, rejected, value, threshold in checks:
        if rejected:
            yield Rejected(*item.picture, reason, value, threshold)


def _doubted(items: Sequence[Examined], limits: Limits, *, folds: int, seed: int) -> tuple[list[Rejected], float]:
    """Rows for probably wrong labels, and the accuracy."""
    names = sorted({item.picture.label for item in items})
    labels = np.array([names.index(item.picture.label) for item in items])
    features = np.stack([item.features for item in items if item.features is not None])
    groups = _group_numbers(items, limits.distance)
    probabilities = out_of_fold(features, labels, groups, classes=len(names), folds=folds, seed=seed)
    rows = [
        Rejected(
            *items[doubt.example].picture,
            "mislabelled",
            doubt.probability,
            doubt.threshold,
            suggested=names[doubt.suggested],
        )
        for doubt in find_doubts(probabilities, labels.tolist(), fraction=limits.doubt)
    ]
    return rows, float((probabilities.argmax(axis=1) == labels).mean())


def _group_numbers(items: Sequence[Examined], distance: int) -> np.ndarray:
    """(N,) the same number for copies and near copies, joined also through others."""
    numbers = np.arange(len(items))
    first_by_content = {item.digest: index for index, item in reversed(list(enumerate(items)))}
    hashed = [(index, item.hash) for index, item in enumerate(items) if item.hash is not None]
    for index, item in enumerate(items):
        numbers[index] = first_by_content[item.digest]
    for group in near_groups([value for _, value in hashed], owners=[index for index, _ in hashed], distance=distance):
        numbers[group] = group[0]
    return numbers


def _copies(items: Sequence[Examined], limits: Limits) -> Iterator[Rejected]:
    """Copies among `items`, which come in the order in which they are to be kept."""
    unique = np.unique(np.array([item.hash for item in items if item.hash is not None], np.uint64))
    near: dict[int | bytes, list[int | bytes]] = {int(value): [int(value)] for value in unique}
    for left, right in near_pairs(unique, distance=limits.distance):
        near[int(unique[left])].append(int(unique[right]))
        near[int(unique[right])].append(int(unique[left]))
    # A picture that shows too little for a hash is only compared by its pixels.
    keys: list[int | bytes] = [item.digest if item.hash is None else item.hash for item in items]
    by_class: dict[int | bytes, dict[str, Examined]] = {}
    for key, item in zip(keys, items, strict=True):
        by_class.setdefault(key, {}).setdefault(item.picture.label, item)
    kept: dict[int | bytes, Examined] = {}
    for key, item in zip(keys, items, strict=True):
        neighbours = sorted(near.get(key, [key]), key=lambda other: _bits(key, other))
        other_class = (
            found for other in neighbours for label, found in by_class[other].items() if label != item.picture.label
        )
        if (contrary := next(other_class, None)) is not None:
            yield _copy_row(item, contrary, "contradictory", limits)
        elif (partner := next((kept[other] for other in neighbours if other in kept), None)) is not None:
            equal = item.digest == partner.digest
            yield _copy_row(item, partner, "duplicate" if equal else "near_duplicate", limits)
        else:
            kept[key] = item


def _copy_row(item: Examined, partner: Examined, reason: Reason, limits: Limits) -> Rejected:
    bits = 0 if item.hash is None or partner.hash is None else _bits(item.hash, partner.hash)
    threshold = 0 if reason == "duplicate" else limits.distance
    return Rejected(*item.picture, reason, bits, threshold, partner=partner.picture.path)


def _bits(left: int | bytes, right: int | bytes) -> int:
    """Bits in which two hashes differ; a picture without one is only compared with its equals."""
    return (left ^ right).bit_count() if isinstance(left, int) and isinstance(right, int) else 0
