"""What a prepared data set holds: counts, subjects, frames without a face, duplicates, a fingerprint.

Stills and clips are read once, as a stream; only hashes, ids and counts stay in memory.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from ferkeras.data.phash import DISTANCE, dct_hash, near_groups
from ferkeras.data.report_text import report_text
from ferkeras.errors import InputError

#: What `Report.from_json` reads; a report that another version wrote is to be computed anew.
VERSION = 2
#: The class of an example without a label.
UNLABELLED = "unlabelled"


class Item(NamedTuple):
    """One example as a split yields it.

    Attributes:
        id: Unique in the split.
        pixels: (H, W) or (H, W, C) uint8 of a still, (T, H, W, C) uint8 of a clip.
        label: Class index in [0, K), None where the example has none.
        subject: Name of the person, None where the data set has no names.
        face_found: Clips: (T,) bool, False for frames that show no face; None if all do.
    """

    id: str
    pixels: np.ndarray
    label: int | None = None
    subject: str | None = None
    face_found: np.ndarray | None = None


#: What may stand for an `Item`: its first three values.
StillItem = tuple[str, np.ndarray, int]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Where an image or a clip lies: its split, its id, and the name of its class."""

    split: str
    id: str
    label: str


@dataclass(frozen=True)
class DuplicateGroup:
    """Two or more images or clips that are equal, or nearly so, in reading order.

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
    """What identifies a split: the number of images or clips, and a hash over ids, pixels and labels in order."""

    count: int
    sha256: str


@dataclass(frozen=True)
class Frames:
    """Frames of the clips of a split: all, those without a face, and the clips in which no frame has one."""

    count: int
    without_face: int
    clips_without_face: int


@dataclass(frozen=True)
class Report:
    """The findings on a data set; `str(report)` is a text for people, `to_json` has every detail.

    Attributes:
        class_names: K names; none where the data set has no classes.
        counts: For each split, K numbers of images or clips, in the order of `class_names`.
        constant: Images and clips in which all pixels have one value, such as entirely black ones.
        duplicates: Groups with equal pixels, in the order of their first member.
        near_duplicates: Groups across splits whose perceptual hashes are near, but whose pixels are not all equal.
        fingerprint: For each split, what identifies it.
        subjects: For each split, the number of examples of each subject; empty where there are no names.
        frames: For each split of clips, its frames.
        skipped: For each split, how many examples were left out for which reason.
    """

    class_names: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    constant: tuple[ImageRef, ...]
    duplicates: tuple[DuplicateGroup, ...]
    near_duplicates: tuple[DuplicateGroup, ...]
    fingerprint: dict[str, Fingerprint]
    subjects: dict[str, dict[str, int]]
    frames: dict[str, Frames]
    skipped: dict[str, dict[str, int]]

    @property
    def torn_subjects(self) -> tuple[str, ...]:
        """Subjects in more than one split, sorted."""
        splits = Counter(subject for subjects in self.subjects.values() for subject in subjects)
        return tuple(sorted(subject for subject, number in splits.items() if number > 1))

    def to_json(self) -> str:
        """Returns every finding as JSON text."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2, ensure_ascii=False)

    @staticmethod
    def from_json(text: str) -> "Report":
        """Inverse of `to_json`; raises `InputError` for what another version wrote."""
        values = json.loads(text)
        if values.pop("version", 1) != VERSION:
            raise InputError("The report was written by another version", action="Delete it: it is computed anew.")
        groups = {
            key: tuple(
                DuplicateGroup(**{**group, "images": tuple(ImageRef(**ref) for ref in group["images"])})
                for group in values[key]
            )
            for key in ("duplicates", "near_duplicates")
        }
        changed = {
            "class_names": tuple(values["class_names"]),
            "counts": {split: tuple(counts) for split, counts in values["counts"].items()},
            "constant": tuple(ImageRef(**ref) for ref in values["constant"]),
            "fingerprint": {split: Fingerprint(**mark) for split, mark in values["fingerprint"].items()},
            "frames": {split: Frames(**frames) for split, frames in values["frames"].items()},
        }
        return Report(**{**values, **groups, **changed})

    def __str__(self) -> str:
        return report_text(self)


def make_report(
    splits: Mapping[str, Iterable[Item | StillItem]],
    *,
    class_names: Sequence[str],
    skipped: Iterable[Sequence[str]] = (),
    distance: int = DISTANCE,
) -> Report:
    """Reads every split once and reports on it.

    The fingerprint depends on the order, so the splits must be read without shuffling. Two examples are equal if shape
    and all pixels are. They are near duplicates if a perceptual hash is near (see `ferkeras.data.phash`): that of the
    image, or of the first, middle or last frame of the clip that shows a face.

    Args:
        splits: For each split, its images or clips.
        class_names: K names.
        skipped: Split, id and reason of each example that was left out, the rows of a builder's `skipped.csv`. What
            follows a colon in a reason tells of the single example, and is not counted apart.
        distance: Bits in which the hashes of near duplicates differ at most.

    Raises:
        InputError: If there is no split, pixels are not uint8 or are empty, or a class index is out of range.
    """
    if not splits:
        raise InputError("A data report needs at least one split", received=repr(splits))
    counts, fingerprint, subjects, frames = {}, {}, {}, {}
    refs: list[ImageRef] = []
    constant: list[ImageRef] = []
    equal: dict[bytes, list[int]] = {}
    hashes: list[int] = []
    owners: list[int] = []
    for split, items in splits.items():
        reading = _Split(class_names)
        for item in (Item(*values) for values in items):
            _check(split, item, len(class_names))
            digest = reading.add(item)
            ref = ImageRef(split, item.id, UNLABELLED if item.label is None else class_names[item.label])
            equal.setdefault(digest, []).append(len(refs))
            found = [value for value in map(dct_hash, _pictures(item)) if value is not None]
            hashes += found
            owners += [len(refs)] * len(found)
            refs.append(ref)
            if item.pixels.min() == item.pixels.max():
                constant.append(ref)
        counts[split] = tuple(reading.counts)
        fingerprint[split] = Fingerprint(reading.count, reading.hash.hexdigest())
        if reading.subjects:
            subjects[split] = dict(sorted(reading.subjects.items()))
        if reading.frames:
            frames[split] = Frames(reading.frames, reading.faceless, reading.faceless_clips)
    return Report(
        class_names=tuple(class_names),
        counts=counts,
        constant=tuple(constant),
        duplicates=tuple(_group(refs, members) for members in equal.values() if len(members) > 1),
        near_duplicates=tuple(_near_across_splits(refs, equal, near_groups(hashes, owners=owners, distance=distance))),
        fingerprint=fingerprint,
        subjects=subjects,
        frames=frames,
        skipped=_count_reasons(skipped),
    )


class _Split:
    """What is summed up while a split is read."""

    def __init__(self, class_names: Sequence[str]) -> None:
        self.count = self.frames = self.faceless = self.faceless_clips = 0
        self.counts = [0] * len(class_names)
        self.subjects: Counter[str] = Counter()
        self.hash = hashlib.sha256()

    def add(self, item: Item) -> bytes:
        """Counts the example and returns a digest of its shape and pixels."""
        self.count += 1
        if item.label is not None:
            self.counts[item.label] += 1
        if item.subject is not None:
            self.subjects[item.subject] += 1
        if item.pixels.ndim == 4:
            without = 0 if item.face_found is None else int(np.sum(~np.asarray(item.face_found, bool)))
            self.frames += len(item.pixels)
            self.faceless += without
            self.faceless_clips += without == len(item.pixels)
        # The shape too, because a 2x8 and a 4x4 image may have equal pixels.
        shape, pixels = repr(item.pixels.shape).encode(), np.ascontiguousarray(item.pixels).data
        name, label = item.id.encode(), -1 if item.label is None else item.label
        # Lengths go first, so that no two different lists run together equally.
        self.hash.update(b"%d,%d,%d;" % (len(name), len(shape) + pixels.nbytes, label) + name + shape)
        self.hash.update(pixels)
        content = hashlib.sha256(shape)
        content.update(pixels)
        return content.digest()


def _check(split: str, item: Item, class_count: int) -> None:
    where = f"Image {item.id!r} of split {split!r}"
    pixels, label = item.pixels, item.label
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3, 4) or not pixels.size:
        raise InputError(
            f"{where} should be uint8 with the axes (H, W), (H, W, C) or (T, H, W, C)",
            received=f"{pixels.dtype} {pixels.shape}",
        )
    if label is not None and not 0 <= label < class_count:
        raise InputError(f"{where} should have a class index in [0, {class_count})", received=str(label))
    if item.face_found is not None and (pixels.ndim != 4 or len(item.face_found) != len(pixels)):
        received = f"{len(item.face_found)} for {pixels.shape}"
        raise InputError(f"{where} should have one face_found for each frame", received=received)


def _pictures(item: Item) -> list[np.ndarray]:
    """The image itself; of a clip the first, middle and last frame with a face."""
    if item.pixels.ndim < 4:
        return [item.pixels]
    found = np.arange(len(item.pixels)) if item.face_found is None else np.flatnonzero(item.face_found)
    chosen = sorted({0, len(found) // 2, len(found) - 1}) if len(found) else []
    return [item.pixels[found[index]] for index in chosen]


def _near_across_splits(
    refs: Sequence[ImageRef], equal: Mapping[bytes, list[int]], groups: Iterable[list[int]]
) -> Iterable[DuplicateGroup]:
    content = {member: number for number, members in enumerate(equal.values()) for member in members}
    for members in groups:
        if len({refs[member].split for member in members}) > 1 and len({content[member] for member in members}) > 1:
            yield _group(refs, members)


def _group(refs: Sequence[ImageRef], members: Iterable[int]) -> DuplicateGroup:
    images = tuple(refs[member] for member in members)
    return DuplicateGroup(
        images,
        labels_disagree=len({image.label for image in images} - {UNLABELLED}) > 1,
        across_splits=len({image.split for image in images}) > 1,
    )


def _count_reasons(skipped: Iterable[Sequence[str]]) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for split, _, reason in skipped:
        counts.setdefault(split, Counter())[reason.partition(":")[0].strip()] += 1
    return {split: dict(reasons.most_common()) for split, reasons in counts.items()}
