"""Smoothing of scores over time, for each followed face on its own, right for uneven times between frames.

Every filter here moves from its last output towards the new value, component by component: what comes out lies
between the values that went in, and what is constant stays so.
"""

import math
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from ferkeras.errors import InputError
from ferkeras.prediction.result import Scores

#: Seconds without a track after which its next value starts anew, as if it had never been seen.
GAP_S = 2.0
#: Cutoff in Hz at which the One-Euro filter smooths the speed; the value of the paper's code.
SPEED_CUTOFF_HZ = 1.0

S = TypeVar("S")


class Smoothing(Protocol):
    """A filter: number of the track, seconds, values (D,) -> smoothed values (D,) float64.

    It keeps a state for each track, so every video needs a new one.
    """

    def __call__(self, track_id: int, time_s: float, values: np.ndarray) -> np.ndarray: ...


class TrackStates(Generic[S]):
    """One state for each track that was seen in the last `gap_s` seconds; older ones are forgotten.

    A track whose time goes back is new as well.
    """

    def __init__(self, gap_s: float) -> None:
        self._gap_s = gap_s
        self._states: dict[int, tuple[float, S]] = {}  # the track that was not seen for longest comes first

    def __len__(self) -> int:
        return len(self._states)

    def get(self, track_id: int, time_s: float) -> tuple[float, S] | None:
        """When the track was last seen, and its state then; None if it is new."""
        while self._states:
            oldest = next(iter(self._states))
            if time_s - self._states[oldest][0] <= self._gap_s:
                break
            del self._states[oldest]
        known = self._states.get(track_id)
        return known if known is not None and known[0] <= time_s else None

    def put(self, track_id: int, time_s: float, state: S) -> None:
        self._states.pop(track_id, None)
        self._states[track_id] = (time_s, state)


class Exponential:
    """y += (1 - exp(-dt / seconds)) * (x - y): the exact response of a first-order low-pass filter to a step of x.

    After `seconds`, 63 % of a step is reached, whatever the frame rate.

    Args:
        seconds: Time constant, above 0.
        gap_s: See `GAP_S`.

    Raises:
        InputError: if `seconds` is not above 0.
    """

    def __init__(self, seconds: float, *, gap_s: float = GAP_S) -> None:
        _check(seconds > 0, "The time constant must be above 0 seconds", seconds)
        self.seconds = seconds
        self._tracks: TrackStates[np.ndarray] = TrackStates(gap_s)

    def __call__(self, track_id: int, time_s: float, values: np.ndarray) -> np.ndarray:
        smoothed = np.asarray(values, np.float64)
        last = self._tracks.get(track_id, time_s)
        if last is not None:
            before_s, before = last
            smoothed = before - math.expm1((before_s - time_s) / self.seconds) * (smoothed - before)
        self._tracks.put(track_id, time_s, smoothed)
        return smoothed.copy()


@dataclass(frozen=True, eq=False)
class _Moving:
    """A smoothed value (D,) and its smoothed speed (D,) per second."""

    value: np.ndarray
    speed: np.ndarray


class OneEuro:
    """The One-Euro filter: smooth while little happens, quick when much does.

    Casiez, Roussel, Vogel: 1 Euro Filter, CHI 2012. A low-pass filter with the factor 1 / (1 + 1 / (2 pi fc dt)) and
    the cutoff fc = min_cutoff_hz + beta * |speed|, for each component on its own; the speed of the new value against
    the last output is smoothed likewise, at `SPEED_CUTOFF_HZ`.

    Args:
        min_cutoff_hz: Cutoff frequency of what stands still, above 0; lower is smoother.
        beta: How much the cutoff rises with the speed, at least 0; higher follows more quickly.
        gap_s: See `GAP_S`.

    Raises:
        InputError: for other values.
    """

    def __init__(self, min_cutoff_hz: float = 1.0, beta: float = 1.0, *, gap_s: float = GAP_S) -> None:
        _check(min_cutoff_hz > 0, "The lowest cutoff must be above 0 Hz", min_cutoff_hz)
        _check(beta >= 0, "beta must be at least 0", beta)
        self.min_cutoff_hz, self.beta = min_cutoff_hz, beta
        self._tracks: TrackStates[_Moving] = TrackStates(gap_s)

    def __call__(self, track_id: int, time_s: float, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, np.float64)
        last = self._tracks.get(track_id, time_s)
        if last is None:
            state = _Moving(values, np.zeros_like(values))
        else:
            state = self._step(last[1], values, time_s - last[0])
        self._tracks.put(track_id, time_s, state)
        return state.value.copy()

    def _step(self, before: _Moving, values: np.ndarray, seconds: float) -> _Moving:
        if seconds == 0:  # no speed can be told
            return before
        speed = (values - before.value) / seconds
        speed = before.speed + _factor(np.array(SPEED_CUTOFF_HZ), seconds) * (speed - before.speed)
        cutoff = self.min_cutoff_hz + self.beta * np.abs(speed)
        return _Moving(before.value + _factor(cutoff, seconds) * (values - before.value), speed)


def smooth_scores(smoothing: Smoothing, track_id: int, time_s: float, scores: Scores) -> Scores:
    """`scores` of one face, smoothed: probabilities still sum to one, valence and arousal stay in [-1, 1]."""
    classes = 0 if scores.probabilities is None else len(scores.probabilities)
    numbers = [number for number in (scores.valence, scores.arousal) if number is not None]
    values = np.concatenate([np.zeros(0) if scores.probabilities is None else scores.probabilities, numbers])
    smoothed = smoothing(track_id, time_s, values)
    rest = iter(np.clip(smoothed[classes:], -1, 1))
    return Scores(
        probabilities=distribution(smoothed[:classes]) if classes else None,
        valence=None if scores.valence is None else float(next(rest)),
        arousal=None if scores.arousal is None else float(next(rest)),
    )


def distribution(weights: np.ndarray) -> np.ndarray:
    """(K,) at least 0, sum 1, in the ratio of `weights` (K,)."""
    kept = np.maximum(weights, 0)
    return kept / kept.sum()


def _factor(cutoff_hz: np.ndarray, seconds: float) -> np.ndarray:
    turns = 2 * math.pi * cutoff_hz * seconds
    return turns / (1 + turns)


def _check(holds: bool, what: str, received: float) -> None:
    if not (holds and math.isfinite(received)):
        raise InputError(what, received=received)
