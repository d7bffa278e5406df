"""The true numbers of a real copy of FER2013, where there is one: see `fer2013_dir` in conftest.py."""

from collections import Counter
from pathlib import Path

import pytest

from ferkeras.data.report import Report, make_report
from ferkeras.labels import EMOTIONS
from tfds_builders.fer2013.official import OFFICIAL_COUNTS
from tfds_builders.fer2013.reading import read_examples

pytestmark = [
    pytest.mark.data,
    pytest.mark.filterwarnings("ignore:.*is not the complete FER2013"),
]


@pytest.fixture(scope="module")
def report(fer2013_dir: Path) -> Report:
    splits = read_examples(fer2013_dir)
    return make_report(
        {
            split: ((example.id, example.image, EMOTIONS.index(example.emotion)) for example in examples)
            for split, examples in splits.items()
        },
        class_names=EMOTIONS,
    )


def test_counts_are_official_except_where_test_images_are_kept_back(report: Report) -> None:
    for split in ("train", "validation"):
        assert report.counts[split] == tuple(OFFICIAL_COUNTS[split].values())
    official_test = OFFICIAL_COUNTS["test"].values()
    assert all(0 < n <= limit for n, limit in zip(report.counts["test"], official_test, strict=True))


def test_black_images(report: Report) -> None:
    black = Counter(image.split for image in report.constant)
    assert black["train"] == 11
    assert black["validation"] == 1
    # Black images are all alike, so they form one group, and their labels differ.
    group = next(group for group in report.duplicates if report.constant[0] in group.images)
    assert set(group.images) == set(report.constant)
    assert group.labels_disagree
    assert group.across_splits


def test_exact_duplicates_lie_across_splits(report: Report) -> None:
    assert len({group.images[0] for group in report.duplicates}) == len(report.duplicates)
    assert sum(group.across_splits for group in report.duplicates) > 250
    assert sum(group.labels_disagree for group in report.duplicates) > 25
