"""The emotions as action units, and valence and arousal as a function of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ferkeras.labels import EMOTIONS
from tfds_builders.synthetic_faces.action_units import (
    ACTION_UNITS,
    DISPLAYS,
    INDEX,
    FloatArray,
    sample_asymmetry,
    sample_display,
    sample_slack,
    valence_arousal,
    vector,
)

INTENSITIES = arrays(np.float64, len(ACTION_UNITS), elements=st.floats(0.0, 1.0))
RISING = {"valence": (6, 12), "arousal": (2, 5, 20, 26, 27)}
FALLING = {"valence": (4, 9, 10, 15, 20), "arousal": (15,)}


def test_displays_cover_the_emotions_with_known_units() -> None:
    assert set(DISPLAYS) == set(EMOTIONS)
    for displays in DISPLAYS.values():
        for display in displays:
            assert {*display.core, *display.optional} <= set(ACTION_UNITS)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_a_drawn_display_is_in_range_and_parts_the_lips_with_the_jaw(emotion: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        units = sample_display(rng, emotion, 1.0)
        assert units.min() >= 0.0
        assert units.max() <= 1.0
        if units[INDEX[26]] or units[INDEX[27]]:
            assert units[INDEX[25]] > 0.0


def test_slack_is_small_and_sides_keep_the_mean() -> None:
    rng = np.random.default_rng(0)
    slack = np.stack([sample_slack(rng) for _ in range(200)])
    assert slack.min() >= 0.0
    assert slack.mean() < 0.05
    np.testing.assert_allclose(sample_asymmetry(rng).mean(axis=0), 1.0)


@given(INTENSITIES)
def test_valence_and_arousal_are_bins(units: FloatArray) -> None:
    bins = valence_arousal(units)
    assert bins.dtype == np.int32
    assert np.abs(bins).max() <= 10


@given(INTENSITIES, st.floats(0.0, 1.0))
def test_valence_and_arousal_are_monotonic(units: FloatArray, more: float) -> None:
    before = valence_arousal(units)
    for table, sign in ((RISING, 1), (FALLING, -1)):
        for column, name in enumerate(("valence", "arousal")):
            for unit in table[name]:
                moved = units.copy()
                moved[INDEX[unit]] = max(moved[INDEX[unit]], more)
                assert sign * (valence_arousal(moved)[column] - before[column]) >= 0


@pytest.mark.parametrize(
    ("emotion", "valence", "arousal"),
    [
        ("angry", -1, 1),
        ("disgust", -1, 1),
        ("fear", -1, 1),
        ("happy", 1, 1),
        ("sad", -1, -1),
        ("surprise", 0, 1),
    ],
)
def test_full_displays_lie_in_their_quadrant_of_the_circumplex(emotion: str, valence: int, arousal: int) -> None:
    rng = np.random.default_rng(0)
    units = np.stack([sample_display(rng, emotion, 1.0) for _ in range(200)])
    mean = valence_arousal(units).mean(axis=0)
    assert mean[1] * arousal > 1.5
    assert mean[0] * valence > 3.0 if valence else abs(mean[0]) < 1.5


def test_a_relaxed_face_is_neutral_in_both() -> None:
    assert valence_arousal(vector({})).tolist() == [0, 0]
