"""The rules that make labels of votes: a table worked out by hand, and what holds for any votes."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ferkeras.labels import EMOTIONS_WITH_CONTEMPT, FER_PLUS_COLUMNS
from tfds_builders.fer_plus.make_dummy_data import ROWS, DummyRow
from tfds_builders.fer_plus.votes import COLUMNS, Mode, label_of, target_of

MODES: tuple[Mode, ...] = ("majority", "probability", "cross_entropy", "multi_target")
#: Ten votes of ten people.
ballots = st.lists(st.integers(0, 9), min_size=10, max_size=10).map(lambda v: np.bincount(v, minlength=10))


@pytest.mark.parametrize("row", [row for row in ROWS if row.name], ids=lambda row: str(row.votes))
def test_targets_worked_out_by_hand(row: DummyRow) -> None:
    expected = {
        "majority": row.majority,
        "probability": row.most_voted,
        "cross_entropy": row.most_voted,
        "multi_target": row.multi_target,
    }
    for mode in MODES:
        target = target_of(np.array(row.votes), mode)
        if expected[mode]:
            shares = {EMOTIONS_WITH_CONTEMPT[i]: share for i, share in enumerate(target) if share}
            assert shares == pytest.approx(expected[mode]), mode
        else:
            assert isinstance(target, str), mode


def test_reasons_name_what_the_voters_saw() -> None:
    assert target_of(np.array([0] * 9 + [10]), "majority") == "most voters see no face in it"
    assert target_of(np.array([0] * 8 + [9, 1]), "cross_entropy") == "most voters do not know the emotion"
    assert target_of(np.ones(10, int), "multi_target") == "the voters disagree"
    # Three quarters are enough: 6 of the 8 votes that count.
    assert target_of(np.array([6, 2, 1, 1, 0, 0, 0, 0, 0, 0]), "probability").max() == 1
    # 3 + 3 of 10 votes stand for an emotion, and the three for unknown count among all.
    assert label_of(target_of(np.array([0, 0, 0, 3, 3, 1, 0, 0, 3, 0]), "probability")) == "sad"


@given(votes=ballots, mode=st.sampled_from(MODES))
def test_any_target_is_a_distribution_over_voted_emotions(votes: np.ndarray, mode: Mode) -> None:
    before = votes.copy()
    target = target_of(votes, mode)
    np.testing.assert_array_equal(votes, before)
    assume(not isinstance(target, str))
    assert target.shape == (8,)
    assert target.dtype == np.float32
    assert target.sum() == pytest.approx(1)
    shares = dict(zip(EMOTIONS_WITH_CONTEMPT, target, strict=True))
    counts = {
        FER_PLUS_COLUMNS[name]: count for name, count in zip(COLUMNS, votes, strict=True) if name in FER_PLUS_COLUMNS
    }
    kept = {name: counts[name] for name, share in shares.items() if share}
    # Never a single vote, never more votes for a smaller share, and no emotion dropped that has more than a kept one.
    assert min(kept.values()) > 1
    assert all(shares[name] == pytest.approx(count / sum(kept.values())) for name, count in kept.items())
    assert all(count <= min(kept.values()) for name, count in counts.items() if name not in kept)
    # No emotion wins against "unknown" or "no face" with more votes.
    assert max(kept.values()) >= max(count for count in votes[8:])
    assert counts[label_of(target)] == max(kept.values())
    if mode == "majority":
        assert len(kept) == 1
        assert 2 * sum(kept.values()) > votes[votes > 1].sum()


@given(votes=ballots)
def test_what_a_majority_chose_is_the_label_of_every_rule(votes: np.ndarray) -> None:
    target = target_of(votes, "majority")
    assume(not isinstance(target, str))
    for mode in MODES:
        assert label_of(target_of(votes, mode)) == label_of(target)
