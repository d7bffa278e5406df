"""Time courses: their shape, and that the pairs of emotions differ in time only."""

import numpy as np
import pytest

from tfds_builders.synthetic_faces.action_units import INDEX, FloatArray
from tfds_builders.synthetic_faces.dynamics import TWIN_SHARE, Course, envelope, sample_performance

TIMES = np.arange(16) / 8.0


def performances(emotion: str, count: int = 200) -> FloatArray:
    rng = np.random.default_rng(0)
    return np.stack([sample_performance(rng, emotion, TIMES) for _ in range(count)])


def test_envelope_rises_holds_and_falls() -> None:
    course = Course(start=0.5, onset=0.5, apex=0.5, offset=1.0)
    times = np.linspace(0.0, 3.0, 301)
    values = envelope(course, times)
    assert np.all(values[times <= 0.5] == 0.0)
    np.testing.assert_allclose(values[(times >= 1.0) & (times <= 1.5)], 1.0)
    assert np.all(values[times >= course.end] < 1e-9)
    assert np.all(np.diff(values[(times > 0.5) & (times < 1.0)]) > 0.0)
    assert np.all(np.diff(values[(times > 1.5) & (times < 2.5)]) < 0.0)
    np.testing.assert_allclose(values[times == 0.75], 0.5)


@pytest.mark.parametrize("emotion", ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"])
def test_performance_is_in_range_and_ends_near_rest(emotion: str) -> None:
    drawn = performances(emotion)
    assert drawn.shape == (200, 16, len(INDEX))
    assert drawn.min() >= 0.0
    assert drawn.max() <= 1.0
    assert np.median(drawn[:, 0].max(axis=1)) < 0.1


def mean_delay(emotion: str, unit: int, other: int) -> FloatArray:
    """By how many frames `other` comes after `unit`, per clip that shows both."""
    drawn = performances(emotion)
    frames = np.arange(16)
    shown = drawn[:, :, [INDEX[unit], INDEX[other]]]
    shown = shown[(shown.max(axis=1) > 0.05).all(axis=1)]
    centres = (frames[None, :, None] * shown).sum(axis=1) / shown.sum(axis=1)
    return np.asarray(centres[:, 1] - centres[:, 0])


def test_brows_lead_in_anger_and_the_nose_in_disgust() -> None:
    assert np.mean(mean_delay("angry", 4, 9) > 1.0) > TWIN_SHARE
    assert np.mean(mean_delay("disgust", 9, 4) > 1.0) > 0.8 * TWIN_SHARE


def sharpest_rise_over_fall(emotion: str) -> FloatArray:
    brow = performances(emotion)[:, :, INDEX[1]]
    steps = np.diff(brow, axis=1)
    return np.asarray(steps.max(axis=1) / -steps.min(axis=1))


def test_surprise_comes_at_once_and_fear_goes_at_once() -> None:
    assert np.median(sharpest_rise_over_fall("surprise")) > 2.0
    assert np.median(sharpest_rise_over_fall("fear")) < 0.5


def test_polite_smile_is_shorter_than_a_happy_one() -> None:
    def frames_shown(emotion: str) -> float:
        smile = performances(emotion)[:, :, INDEX[12]]
        smile = smile[smile.max(axis=1) > 0.3]
        return float(np.mean((smile > 0.5 * smile.max(axis=1, keepdims=True)).sum(axis=1)))

    assert frames_shown("happy") > 2.0 * frames_shown("neutral")


@pytest.mark.parametrize(("emotion", "twin"), [("surprise", "fear"), ("angry", "disgust")])
def test_twins_have_the_same_frames_apart_from_their_order(emotion: str, twin: str) -> None:
    """Mean and covariance of the units over all frames, whatever their order, hardly differ."""
    one, other = (
        performances(name, 1500)[:, :, [INDEX[u] for u in (1, 2, 4, 5, 9, 10)]].reshape(-1, 6)
        for name in (emotion, twin)
    )
    # The share of clips that are not twins differs by design.
    loose = 2.0 * (1.0 - TWIN_SHARE)
    np.testing.assert_allclose(one.mean(axis=0), other.mean(axis=0), atol=0.4 * loose)
    np.testing.assert_allclose(np.cov(one.T), np.cov(other.T), atol=0.3 * loose)
