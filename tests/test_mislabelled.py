"""Labels that the pictures contradict: planted ones are found, and others are left alone."""

import numpy as np
import pytest

from ferkeras.cleaning.collection import Picture
from ferkeras.cleaning.examine import Examined
from ferkeras.cleaning.judge import judge
from ferkeras.cleaning.limits import Limits
from ferkeras.cleaning.mislabelled import find_doubts, out_of_fold
from ferkeras.cleaning.quality import measure
from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tests.test_cleaning import drawn
from tfds_builders.synthetic_faces.sampling import sample_still


def planted(count: int, wrong: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Action units of drawn faces as features, their emotions, and the emotions with some wrong ones at the start."""
    stills = [sample_still(0, "train", index, size=16, channels=1) for index in range(count)]
    features = np.stack([still.action_units for still in stills])
    true = np.array([EMOTIONS.index(still.emotion) for still in stills])
    given = true.copy()
    given[:wrong] = (given[:wrong] + 3) % len(EMOTIONS)
    return features, true, given


def test_planted_wrong_labels_are_found() -> None:
    features, true, given = planted(350, 20)
    probabilities = out_of_fold(features, given, np.arange(len(given)), classes=7)
    doubts = find_doubts(probabilities, given.tolist(), fraction=0.25)
    right = [doubt for doubt in doubts if doubt.example < 20]
    assert len(right) >= 16
    assert all(doubt.suggested == true[doubt.example] for doubt in right)
    assert len(doubts) - len(right) <= 2


def test_probabilities_are_those_of_others_and_repeatable() -> None:
    features, _, given = planted(140, 0)
    groups = np.arange(len(given))
    first = out_of_fold(features, given, groups, classes=7)
    np.testing.assert_allclose(first.sum(axis=1), 1)
    np.testing.assert_array_equal(first, out_of_fold(features, given, groups, classes=7))
    assert (first != out_of_fold(features, given, groups, classes=7, seed=1)).any()


def test_copies_cannot_vouch_for_each_other() -> None:
    """Noise with random labels, every example four times: only a leak could predict it."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(60, 80)), 4, axis=0)
    labels, groups = np.repeat(rng.integers(0, 2, 60), 4), np.repeat(np.arange(60), 4)
    accuracy = [
        (out_of_fold(features, labels, numbers, classes=2).argmax(axis=1) == labels).mean()
        for numbers in (groups, np.arange(240))
    ]
    assert accuracy[0] < 0.65
    assert accuracy[1] > 0.8


def test_doubts_by_hand() -> None:
    probabilities = np.array(
        [
            [0.9, 0.1, 0.0],
            [0.2, 0.8, 0.0],  # given 0, threshold 0.55; 0.8 reaches the 0.6 of class 1
            [0.4, 0.5, 0.1],  # given 1, below its threshold, but 0.4 is below that of class 0
            [0.3, 0.7, 0.0],
            [0.4, 0.0, 0.6],  # nothing was labelled 2
        ]
    )
    doubts = find_doubts(probabilities[:4], [0, 0, 1, 1])
    assert [tuple(np.round(doubt, 6)) for doubt in doubts] == [(1, 0.2, 0.55, 1)]
    assert [doubt.example for doubt in find_doubts(probabilities, [0, 0, 1, 1, 0])] == [1]
    assert [doubt.example for doubt in find_doubts(probabilities[:4], [0, 0, 1, 1], fraction=0.37)] == [1]
    assert find_doubts(probabilities[:4], [0, 0, 1, 1], fraction=0.36) == []


def test_too_few_pictures_for_folds() -> None:
    with pytest.raises(InputError, match="two classes"):
        out_of_fold(np.zeros((9, 2)), np.array([0] * 5 + [1] * 4), np.arange(9), classes=2)


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_a_rare_class_is_never_doubted() -> None:
    features, _, given = planted(140, 0)
    labels = np.append(given, 7)
    probabilities = out_of_fold(np.append(features, features[:1], axis=0), labels, np.arange(141), classes=8)
    assert probabilities[140, 7] == 0
    assert 140 not in [doubt.example for doubt in find_doubts(probabilities, labels.tolist())]


def test_mislabelled_pictures_in_the_list() -> None:
    features, true, given = planted(140, 8)
    quality = measure(drawn(0), np.array([0, 0, 96, 96]))
    items = [
        Examined(Picture(f"{EMOTIONS[label]}/{index:03d}", EMOTIONS[label]), pixels=9, digest=index.to_bytes(2),
                 faces=(99.0,), quality=quality, features=vector)
        for index, (label, vector) in enumerate(zip(given, features, strict=True))
    ]  # fmt: skip
    rejected, accuracy = judge(items, limits=Limits())
    assert accuracy is not None
    assert 0.8 < accuracy < 1
    rows = {row.path: row for row in rejected}
    assert set(rows) <= {item.picture.path for item in items[:8]}
    assert len(rows) >= 6
    for path, row in rows.items():
        assert (row.reason, row.suggested) == ("mislabelled", EMOTIONS[true[int(path[-3:])]])
        assert row.value is not None
        assert row.value < (row.threshold or 0)
