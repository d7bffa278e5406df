"""Smoothing over time, and the neutral baseline."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.prediction.baseline import ODDS, NeutralBaseline
from ferkeras.prediction.result import Scores
from ferkeras.prediction.smoothing import Exponential, OneEuro, Smoothing, TrackStates, smooth_scores

#: (seconds since the frame before, value) of one track; times between frames are uneven.
SERIES = st.lists(st.tuples(st.floats(0, 0.5), st.floats(-1, 1)), min_size=1, max_size=20)


def run(smoothing: Smoothing, series: list[tuple[float, float]], *, track: int = 0) -> list[float]:
    times = np.cumsum([step for step, _ in series])
    return [
        float(smoothing(track, float(time), np.array([value]))[0])
        for time, (_, value) in zip(times, series, strict=True)
    ]


def test_exponential_by_hand() -> None:
    # Half of the way after log(2) time constants, a quarter of it is left after twice as long.
    assert run(Exponential(1.0), [(0, 0), (math.log(2), 1), (math.log(2), 1)]) == pytest.approx([0, 0.5, 0.75])
    assert run(Exponential(1.0), [(0, 0), (2 * math.log(2), 1)]) == pytest.approx([0, 0.75])


def test_one_euro_by_hand() -> None:
    # dt = 1/(2 pi) s makes the factor fc / (1 + fc). Speed: raw 2 pi * 1, smoothed by 1/2 to pi; fc = 1 + 2 pi.
    dt = 1 / (2 * math.pi)
    first = (1 + 2 * math.pi) / (2 + 2 * math.pi)
    speed = (math.pi + (1 - first) * 2 * math.pi) / 2
    cutoff = 1 + 2 * speed
    second = first + cutoff / (1 + cutoff) * (1 - first)
    assert run(OneEuro(1.0, 2.0), [(0, 0), (dt, 1), (dt, 1)]) == pytest.approx([0, first, second])
    assert run(OneEuro(1.0, 0.0), [(0, 0), (dt, 1), (dt, 1)]) == pytest.approx([0, 0.5, 0.75])


def test_one_euro_calms_noise_and_follows_a_jump() -> None:
    noise = np.random.default_rng(0).normal(0, 0.02, 100)
    steady, quick = run(OneEuro(0.5, 1.0), [(0.04, v) for v in noise]), OneEuro(0.5, 1.0)
    assert np.std(steady[50:]) < 0.5 * np.std(noise[50:])
    jump = [(0.04, 0.0)] * 10 + [(0.04, 1.0)] * 10
    assert run(quick, jump)[14] > run(OneEuro(0.5, 0.0), jump)[14] + 0.2


@settings(max_examples=50, deadline=None)
@given(SERIES)
def test_what_comes_out_lies_between_what_went_in(series: list[tuple[float, float]]) -> None:
    values = [value for _, value in series]
    for smoothing in (Exponential(0.3), OneEuro(1.0, 0.5)):
        smoothed = run(smoothing, series)
        assert min(values) - 1e-12 <= min(smoothed)
        assert max(smoothed) <= max(values) + 1e-12


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=10), st.floats(-1, 1))
def test_a_constant_stays(steps: list[float], value: float) -> None:
    for smoothing in (Exponential(0.3), OneEuro(1.0, 0.5)):
        assert run(smoothing, [(step, value) for step in steps]) == pytest.approx([value] * len(steps), abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0.01, 0.5), min_size=1, max_size=10))
def test_exponential_does_not_depend_on_the_frame_rate(steps: list[float]) -> None:
    stepwise = run(Exponential(0.7, gap_s=99), [(0, 0), *((step, 1) for step in steps)])[-1]
    assert stepwise == pytest.approx(run(Exponential(0.7, gap_s=99), [(0, 0), (sum(steps), 1)])[-1])


@pytest.mark.parametrize("make", [lambda: Exponential(1.0), lambda: OneEuro(1.0, 0.5)])
def test_tracks_are_apart_and_a_gap_starts_anew(make: type[Exponential]) -> None:
    smoothing = make()
    smoothing(0, 0.0, np.array([0.0]))
    assert smoothing(1, 0.1, np.array([1.0])) == 1
    assert smoothing(0, 0.2, np.array([1.0])) < 1
    assert smoothing(0, 2.5, np.array([1.0])) == 1  # more than two seconds later
    assert smoothing(0, 1.0, np.array([0.2])) == 0.2  # another video


def test_tracks_that_are_gone_are_forgotten() -> None:
    states: TrackStates[int] = TrackStates(2.0)
    for track in range(1000):
        states.get(track, track / 10)
        states.put(track, track / 10, track)
    assert len(states) <= 22
    assert states.get(999, 100.0) == (99.9, 999)
    assert states.get(0, 100.0) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(any), min_size=1, max_size=8))
def test_scores_stay_scores(frames: list[list[float]]) -> None:
    for smoothing in (Exponential(0.3), OneEuro(1.0, 5.0)):
        for number, weights in enumerate(frames):
            probabilities = np.array(weights) / sum(weights)
            affect = float(2 * probabilities[0] - 1)
            smoothed = smooth_scores(smoothing, 0, number / 25, Scores(probabilities, affect, -affect))
            assert smoothed.probabilities is not None
            assert smoothed.probabilities.min() >= 0
            assert smoothed.probabilities.sum() == pytest.approx(1)
            assert smoothed.valence == pytest.approx(-smoothed.arousal)
            assert abs(smoothed.valence) <= 1


def test_scores_without_classes_or_without_affect() -> None:
    only = smooth_scores(Exponential(1.0), 0, 0.0, Scores(valence=0.5))
    assert (only.probabilities, only.valence, only.arousal) == (None, 0.5, None)
    classes = smooth_scores(Exponential(1.0), 0, 0.0, Scores(np.array([0.25, 0.75])))
    assert (classes.probabilities.tolist(), classes.valence) == ([0.25, 0.75], None)


@pytest.mark.parametrize("make", [lambda: Exponential(0), lambda: OneEuro(0, 1), lambda: OneEuro(1, -1)])
def test_wrong_settings(make: type[Exponential]) -> None:
    with pytest.raises(InputError):
        make()


def test_valence_and_arousal_are_measured_from_rest() -> None:
    baseline = NeutralBaseline(1.0)
    seen = [
        baseline(0, time_s, Scores(valence=valence, arousal=0.1))
        for time_s, valence in ((0, -0.2), (0.5, -0.4), (3, 0.5), (9, -1))
    ]
    # The mean so far: -0.2, then -0.3, which stays.
    assert [scores.valence for scores in seen] == pytest.approx([0, -0.1, 0.8, -0.7])
    assert [scores.arousal for scores in seen] == pytest.approx([0] * 4)
    assert baseline(1, 9.0, Scores(valence=0.9, arousal=0.9)).valence == 0  # another person
    assert NeutralBaseline(1.0)(0, 0.0, Scores(valence=None, arousal=0.3)).valence is None


def test_a_resting_face_that_reads_as_sad_becomes_neutral() -> None:
    baseline = NeutralBaseline(1.0, ["happy", "sad", "neutral"])
    rest = baseline(0, 0.0, Scores(np.array([0.1, 0.6, 0.3]))).probabilities
    # sad loses log(0.6/0.3 * 4), happy log(0.1/0.3 * 4): both are a quarter of neutral then.
    assert rest == pytest.approx(np.array([1, 1, ODDS]) / (2 + ODDS))
    later = baseline(0, 5.0, Scores(np.array([0.05, 0.94, 0.01]))).probabilities
    weights = np.array([0.05 / (4 / 3), 0.94 / 8, 0.01])
    assert later == pytest.approx(weights / weights.sum())


def test_who_reads_as_neutral_is_left_alone() -> None:
    baseline = NeutralBaseline(1.0, ["happy", "neutral"])
    for time_s, probabilities in ((0, [0.1, 0.9]), (0.5, [0.15, 0.85]), (5, [0.9, 0.1]), (6, [1, 0])):
        assert baseline(0, time_s, Scores(np.array(probabilities))).probabilities == pytest.approx(probabilities)


def test_a_baseline_needs_neutral_and_time() -> None:
    with pytest.raises(InputError, match="the class neutral"):
        NeutralBaseline(1.0, ["happy", "sad"])
    with pytest.raises(InputError, match="more than 0 seconds"):
        NeutralBaseline(0, [])
