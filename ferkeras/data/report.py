"""What a prepared still data set holds: counts, single-valued images, exact duplicates, a fingerprint.

The images are read once, as a stream; only a hash and the id of each stay in memory.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ferkeras.errors import InputError

#: One image as a split yields it: id, (H, W, C) uint8, class index.
Item = tuple[str, np.ndarray, int]

#: Lines of one kind that the text shows; the JSON has them all.
_SHOWN = 15


@dataclass(frozen=True)
class ImageRef:
    """Where an image lies: its split, its id, and the name of its class."""

    split: str
    id: str
    label: str


@dataclass(frozen=True)
class DuplicateGroup:
    """Two or more images with equal pixels, in reading order.

    Attributes:
        images: The images of the group.
        labels_disagree: Whether they are labelled with more than one class.
        across_splits: Whether they lie in more than one split.
    """

    images: tuple[ImageRef, ...]
    labels_disagree: bool
    across_splits: bool


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a split: the number of images, and a hash over ids, images and labels in order."""

    count: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """The findings on a data set; `str(report)` is a text for people, `to_json` has every detail.

    Attributes:
        class_names: K names.
        counts: For each split, K numbers of images, in the order of `class_names`.
        constant: Images in which all pixels have one value, such as entirely black ones.
        duplicates: Groups of images with equal pixels, in the order of their first image.
        fingerprint: For each split, what identifies it.
    """

    class_names: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    constant: tuple[ImageRef, ...]
    duplicates: tuple[DuplicateGroup, ...]
    fingerprint: dict[str, Fingerprint]

    def to_json(self) -> str:
        """Returns every finding as JSON text."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Report":
        """Inverse of `to_json`."""
        values = json.loads(text)
        return Report(
            class_names=tuple(values["class_names"]),
            counts={split: tuple(counts) for split, counts in values["counts"].items()},
            constant=tuple(ImageRef(**ref) for ref in values["constant"]),
            duplicates=tuple(
                DuplicateGroup(**{**group, "images": tuple(ImageRef(**ref) for ref in group["images"])})
                for group in values["duplicates"]
            ),
            fingerprint={split: Fingerprint(**mark) for split, mark in values["fingerprint"].items()},
        )

    def __str__(self) -> str:
        across = [group for group in self.duplicates if group.across_splits]
        disagree = [group for group in self.duplicates if group.labels_disagree]
        repeated = sum(len(group.images) - 1 for group in self.duplicates)
        lines = [
            *_table(self),
            "",
            f"Single-valued images: {len(self.constant)}",
            *_shorten([_place(image) for image in self.constant]),
            f"Exact duplicates: {len(self.duplicates)} groups, {repeated} images more than distinct ones",
            *(f"  in {place}: {number} groups" for place, number in _by_splits(self.duplicates).items()),
            f"Groups across splits: {len(across)}",
            *_shorten([_group_line(group) for group in across]),
            f"Groups with different labels: {len(disagree)}",
            *_shorten([_group_line(group) for group in disagree]),
            "Fingerprint:",
            *(f"  {split}: {print_.count} images, {print_.sha256}" for split, print_ in self.fingerprint.items()),
        ]
        return "\n".join(lines)


def make_report(splits: Mapping[str, Iterable[Item]], *, class_names: Sequence[str]) -> Report:
    """Reads every split once and reports on it.

    The fingerprint depends on the order, so the splits must be read without shuffling. Images are equal
    if shape and all pixels are.

    Args:
        splits: For each split, its images: id, (H, W, C) or (H, W) uint8, class index in [0, K).
        class_names: K names.

    Raises:
        InputError: If there is no split, an image is not uint8 or is empty, or a class index is out of range.
    """
    if not splits:
        raise InputError("A data report needs at least one split", received=repr(splits))
    counts: dict[str, tuple[int, ...]] = {}
    fingerprint: dict[str, Fingerprint] = {}
    constant: list[ImageRef] = []
    images_by_content: dict[bytes, list[ImageRef]] = {}
    for split, items in splits.items():
        split_counts = [0] * len(class_names)
        split_hash = hashlib.sha256()
        for id_, image, label in items:
            _check(split, id_, image, label, len(class_names))
            split_counts[label] += 1
            content = _content(image)
            split_hash.update(_fingerprint_part(id_, content, label))
            ref = ImageRef(split, id_, class_names[label])
            images_by_content.setdefault(hashlib.sha256(content).digest(), []).append(ref)
            if image.min() == image.max():
                constant.append(ref)
        counts[split] = tuple(split_counts)
        fingerprint[split] = Fingerprint(sum(split_counts), split_hash.hexdigest())
    groups = (tuple(images) for images in images_by_content.values() if len(images) > 1)
    return Report(tuple(class_names), counts, tuple(constant), tuple(map(_duplicate_group, groups)), fingerprint)


def _check(split: str, id_: str, image: np.ndarray, label: int, class_count: int) -> None:
    where = f"Image {id_!r} of split {split!r}"
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
        raise InputError(
            f"{where} should be uint8 with the axes (H, W) or (H, W, C)",
            received=f"{image.dtype} {image.shape}",
        )
    if not 0 <= label < class_count:
        raise InputError(f"{where} should have a class index in [0, {class_count})", received=str(label))


def _content(image: np.ndarray) -> bytes:
    """Shape and pixels; the shape, because a 2x8 and a 4x4 image may have equal pixels."""
    return repr(image.shape).encode() + image.tobytes()


def _fingerprint_part(id_: str, content: bytes, label: int) -> bytes:
    """The bytes of one image; lengths go first, so that no two different lists run together equally."""
    name = id_.encode()
    return b"%d,%d,%d;" % (len(name), len(content), label) + name + content


def _duplicate_group(images: tuple[ImageRef, ...]) -> DuplicateGroup:
    return DuplicateGroup(
        images,
        labels_disagree=len({image.label for image in images}) > 1,
        across_splits=len({image.split for image in images}) > 1,
    )


def _by_splits(groups: Iterable[DuplicateGroup]) -> Counter[str]:
    """Number of groups for each combination of splits, such as "train + test"."""
    # A dict keeps the order of the splits, which a set would lose.
    return Counter(" + ".join(dict.fromkeys(image.split for image in group.images)) for group in groups)


def _table(report: Report) -> list[str]:
    header = ["split", *report.class_names, "sum"]
    rows = [[split, *map(str, row), str(sum(row))] for split, row in report.counts.items()]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        f"{row[0]:<{widths[0]}}  " + "  ".join(f"{cell:>{w}}" for cell, w in zip(row[1:], widths[1:], strict=True))
        for row in (header, *rows)
    ]


def _place(image: ImageRef) -> str:
    return f"{image.split} {image.id} ({image.label})"


def _group_line(group: DuplicateGroup) -> str:
    return " = ".join(map(_place, group.images))


def _shorten(lines: list[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return [f"  {line}" for line in lines[:_SHOWN]] + ([f"  and {more} more"] if more > 0 else [])
