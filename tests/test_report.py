"""The data report, by hand-computed answers."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.data import report as report_module
from ferkeras.data.report import DuplicateGroup, ImageRef, Item, Report, make_report
from ferkeras.errors import InputError

NAMES = ("angry", "happy", "neutral")


def pattern(seed: int, *, shape: tuple[int, ...] = (4, 4, 1)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


BLACK = np.zeros((4, 4, 1), np.uint8)
SPLITS: dict[str, list[Item]] = {
    "train": [
        ("t0", pattern(0), 0),
        ("t1", pattern(1), 1),
        ("t2", pattern(1), 2),
        ("t3", BLACK, 1),
        ("t4", np.full((4, 4, 1), 9, np.uint8), 1),
    ],
    "test": [("e0", pattern(0), 0), ("e1", pattern(2), 0)],
}


@pytest.fixture
def report() -> Report:
    return make_report(SPLITS, class_names=NAMES)


def test_counts(report: Report) -> None:
    assert report.counts == {"train": (1, 3, 1), "test": (2, 0, 0)}
    assert {split: print_.count for split, print_ in report.fingerprint.items()} == {"train": 5, "test": 2}


def test_constant_images_of_any_value(report: Report) -> None:
    assert report.constant == (ImageRef("train", "t3", "happy"), ImageRef("train", "t4", "happy"))


def test_duplicates(report: Report) -> None:
    assert report.duplicates == (
        DuplicateGroup(
            (ImageRef("train", "t0", "angry"), ImageRef("test", "e0", "angry")),
            labels_disagree=False,
            across_splits=True,
        ),
        DuplicateGroup(
            (ImageRef("train", "t1", "happy"), ImageRef("train", "t2", "neutral")),
            labels_disagree=True,
            across_splits=False,
        ),
    )


def test_images_of_other_shape_are_no_duplicates() -> None:
    flat, tall = (
        np.arange(16, dtype=np.uint8).reshape(2, 8, 1),
        np.arange(16, dtype=np.uint8).reshape(4, 4, 1),
    )
    assert not make_report({"train": [("a", flat, 0), ("b", tall, 0)]}, class_names=NAMES).duplicates


def test_text(report: Report) -> None:
    lines = str(report).splitlines()
    assert lines[0].split() == ["split", *NAMES, "sum"]
    assert lines[1].split() == ["train", "1", "3", "1", "5"]
    assert "Single-valued images: 2" in lines
    assert "  train t3 (happy)" in lines
    assert "Exact duplicates: 2 groups, 2 images more than distinct ones" in lines
    assert "  in train + test: 1 groups" in lines
    assert "  train t0 (angry) = test e0 (angry)" in lines
    assert "  train t1 (happy) = train t2 (neutral)" in lines


def test_text_shortens_long_lists_and_json_does_not() -> None:
    items = [(f"x{i}", BLACK, 0) for i in range(40)]
    report = make_report({"train": items}, class_names=NAMES)
    assert "  and 25 more" in str(report)
    assert len(json.loads(report.to_json())["constant"]) == 40


def test_json(report: Report) -> None:
    read = json.loads(report.to_json())
    assert read["counts"]["train"] == [1, 3, 1]
    assert read["constant"][0] == {"split": "train", "id": "t3", "label": "happy"}
    assert read["duplicates"][1]["labels_disagree"] is True
    assert read["fingerprint"]["test"] == {"count": 2, "sha256": report.fingerprint["test"].sha256}


def sha(items: list[Item]) -> str:
    return make_report({"train": items}, class_names=NAMES).fingerprint["train"].sha256


def test_fingerprint_is_fixed() -> None:
    # Run folders store it, so another version of the code must not compute another one.
    assert sha([("a", BLACK, 1)]) == hashlib.sha256(b"1,25,1;" + b"a" + b"(4, 4, 1)" + bytes(16)).hexdigest()


@pytest.mark.parametrize(
    "items",
    [
        [("b", BLACK, 1), ("c", BLACK, 1)],
        [("a", BLACK, 2), ("c", BLACK, 1)],
        [("a", BLACK + 1, 1), ("c", BLACK, 1)],
        [("a", BLACK.reshape(2, 8, 1), 1), ("c", BLACK, 1)],
        [("c", BLACK, 1), ("a", BLACK, 1)],
        [("a", BLACK, 1)],
        [("ac", BLACK, 1), ("", BLACK, 1)],
    ],
    ids=["id", "label", "pixels", "shape", "order", "count", "boundary of ids"],
)
def test_fingerprint_depends_on(items: list[Item]) -> None:
    assert sha(items) != sha([("a", BLACK, 1), ("c", BLACK, 1)])


def test_streams_are_read_once_and_in_order() -> None:
    read: list[str] = []

    def stream() -> Iterator[Item]:
        for item in SPLITS["train"]:
            read.append(item[0])
            yield item

    assert make_report({"train": stream()}, class_names=NAMES).counts["train"] == (1, 3, 1)
    assert read == ["t0", "t1", "t2", "t3", "t4"]


def test_empty_split_is_reported_as_empty() -> None:
    report = make_report({"train": []}, class_names=NAMES)
    assert report.counts == {"train": (0, 0, 0)}
    assert "Single-valued images: 0" in str(report)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=12))
def test_groups_hold_exactly_the_repeated_images(drawn: list[tuple[int, int]]) -> None:
    items = [(f"x{i}", pattern(seed), label) for i, (seed, label) in enumerate(drawn)]
    report = make_report({"train": items}, class_names=NAMES)
    grouped = {image.id for group in report.duplicates for image in group.images}
    seeds = [seed for seed, _ in drawn]
    assert grouped == {f"x{i}" for i, seed in enumerate(seeds) if seeds.count(seed) > 1}


@pytest.mark.parametrize(
    ("image", "label"),
    [
        (BLACK.astype(np.float32), 0),
        (np.zeros((0, 4, 1), np.uint8), 0),
        (np.zeros(16, np.uint8), 0),
        (BLACK, 3),
        (BLACK, -1),
    ],
    ids=["float", "empty", "one axis", "label too large", "label negative"],
)
def test_wrong_image_or_label_is_named(image: np.ndarray, label: int) -> None:
    with pytest.raises(InputError, match="Image 'x' of split 'train'"):
        make_report({"train": [("x", image, label)]}, class_names=NAMES)


def test_no_split() -> None:
    with pytest.raises(InputError, match="at least one split"):
        make_report({}, class_names=NAMES)


def test_needs_no_tensorflow() -> None:
    assert "tensorflow" not in Path(report_module.__file__).read_text()
