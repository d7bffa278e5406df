"""The data report, by hand-computed answers."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.data import astronaut, camera, chelsea, coffee

from ferkeras.data import report as report_module
from ferkeras.data.report import DuplicateGroup, Fingerprint, Frames, ImageRef, Item, Report, StillItem, make_report
from ferkeras.errors import InputError

NAMES = ("angry", "happy", "neutral")


def pattern(seed: int, *, shape: tuple[int, ...] = (4, 4, 1)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


BLACK = np.zeros((4, 4, 1), np.uint8)
SPLITS: dict[str, list[StillItem]] = {
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


def sha(items: list[StillItem]) -> str:
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
def test_fingerprint_depends_on(items: list[StillItem]) -> None:
    assert sha(items) != sha([("a", BLACK, 1), ("c", BLACK, 1)])


def test_streams_are_read_once_and_in_order() -> None:
    read: list[str] = []

    def stream() -> Iterator[StillItem]:
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


def halved(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[::2, ::2])


def test_near_duplicates_across_splits() -> None:
    splits = {
        "train": [("a", camera(), 0), ("b", camera(), 0), ("c", chelsea(), 1), ("d", halved(chelsea()), 1)],
        "test": [("e", halved(camera()), 2), ("f", astronaut(), 0)],
    }
    report = make_report(splits, class_names=NAMES)
    # Chelsea and its half lie in one split only; equal pictures are reported as such, and here beside the near one.
    assert report.near_duplicates == (
        DuplicateGroup(
            (ImageRef("train", "a", "angry"), ImageRef("train", "b", "angry"), ImageRef("test", "e", "neutral")),
            labels_disagree=True,
            across_splits=True,
        ),
    )
    assert "  train a (angry) ~ train b (angry) ~ test e (neutral)" in str(report).splitlines()


def test_equal_and_flat_images_are_no_near_duplicates() -> None:
    splits = {
        "train": [("a", camera(), 0), ("b", np.full((9, 9), 3, np.uint8), 0)],
        "test": [("c", camera(), 0), ("d", np.full((9, 9), 4, np.uint8), 0)],
    }
    report = make_report(splits, class_names=NAMES)
    assert report.near_duplicates == ()
    assert len(report.duplicates) == 1


def test_an_image_without_a_label_disagrees_with_none() -> None:
    report = make_report({"train": [Item("a", BLACK), Item("b", BLACK, 1)]}, class_names=NAMES)
    assert [group.labels_disagree for group in report.duplicates] == [False]
    assert report.counts == {"train": (0, 1, 0)}
    assert str(report).splitlines()[:2] == [
        "split  angry  happy  neutral  unlabelled  sum",
        "train      0      1        0           1    2",
    ]


def clip(*images: np.ndarray) -> np.ndarray:
    """(T, 64, 64, 1) of the middles of grey pictures."""
    return np.stack(
        [image[100:164, 100:164, None] if image.ndim == 2 else image[100:164, 100:164, :1] for image in images]
    )


CLIPS = {
    "train": [
        Item("c0", clip(camera(), astronaut(), chelsea()), 0, "ann", np.array([True, True, True])),
        Item("c1", clip(astronaut(), astronaut()), 1, "bob", np.array([False, False])),
        Item("c2", clip(coffee()[:, :, 1]), 1, "bob"),
    ],
    "test": [
        Item("c3", clip(camera()[:, ::-1], camera() // 2, camera()[::-1]), 1, "ann", np.array([False, True, True]))
    ],
}


def test_clips() -> None:
    report = make_report(CLIPS, class_names=NAMES)
    assert report.frames == {"train": Frames(6, 2, 1), "test": Frames(3, 1, 0)}
    assert report.subjects == {"train": {"ann": 1, "bob": 2}, "test": {"ann": 1}}
    assert report.torn_subjects == ("ann",)
    # The first frame of c0 is the first one with a face of c3. Of c1 no frame is compared: it shows no face.
    assert [[ref.id for ref in group.images] for group in report.near_duplicates] == [["c0", "c3"]]
    lines = str(report).splitlines()
    assert "  train: 2 subjects, most of bob (2)" in lines
    assert lines[lines.index("Subjects in two splits: 1") + 1] == "  ann"
    assert "  train: 2 of 6, no face at all in 1 clips" in lines
    assert "  test: 1 of 3" in lines


def test_clips_without_classes() -> None:
    report = make_report({"train": [Item("c", clip(camera()))]}, class_names=())
    assert str(report).splitlines()[:2] == ["split  sum", "train    1"]
    assert report.fingerprint["train"].count == 1


def test_first_middle_and_last_frame_are_compared() -> None:
    frames = [camera(), chelsea()[:300, :300], astronaut(), camera()[::-1], astronaut()[::-1]]
    long = Item("long", clip(*frames), 0)
    for index, same in enumerate((True, False, True, False, True)):
        other = Item("other", clip(frames[index]), 0)
        report = make_report({"train": [long], "test": [other]}, class_names=NAMES)
        assert bool(report.near_duplicates) == same, index


def test_skipped_examples_are_counted_by_reason() -> None:
    rows = [("train", "a", "no face"), ("train", "b", "cannot be read: a.jpg"), ("train", "c", "cannot be read: c.jpg")]
    report = make_report(SPLITS, class_names=NAMES, skipped=[*rows, ("test", "d", "no face")])
    assert report.skipped == {"train": {"cannot be read": 2, "no face": 1}, "test": {"no face": 1}}
    lines = str(report).splitlines()
    start = lines.index("Left out: 4")
    assert lines[start + 1 : start + 4] == [
        "  train: 2 x cannot be read",
        "  train: 1 x no face",
        "  test: 1 x no face",
    ]


def test_text_of_plain_stills_says_nothing_of_clips_and_subjects(report: Report) -> None:
    for word in ("clips", "ubject", "Frames", "Left out", "unlabelled"):
        assert word not in str(report)


@pytest.mark.parametrize("splits", [SPLITS, CLIPS], ids=["stills", "clips"])
def test_json_round_trip(splits: dict[str, list[Item]]) -> None:
    report = make_report(splits, class_names=NAMES, skipped=[("train", "z", "no face")])
    assert Report.from_json(report.to_json()) == report


def test_json_of_another_version() -> None:
    with pytest.raises(InputError, match="another version"):
        Report.from_json(json.dumps({"class_names": [], "counts": {}}))


def test_fingerprint_of_a_clip_without_a_label() -> None:
    frames = clip(camera())
    content = b"(1, 64, 64, 1)" + frames.tobytes()
    expected = hashlib.sha256(b"1,%d,-1;" % len(content) + b"c" + content).hexdigest()
    made = make_report({"train": [Item("c", frames)]}, class_names=NAMES)
    assert made.fingerprint == {"train": Fingerprint(1, expected)}


def test_face_found_of_another_length() -> None:
    with pytest.raises(InputError, match="one face_found for each frame"):
        make_report({"train": [Item("c", clip(camera()), 0, None, np.array([True, True]))]}, class_names=NAMES)
