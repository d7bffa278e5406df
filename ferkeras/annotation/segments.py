"""Stretches of time in which a face keeps one expression, made of frames as they come."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ferkeras.prediction.result import FaceResult, Scores

#: Size of valence and arousal, in [0, 1], from which they are called more than neutral.
NEUTRAL_ZONE = 0.2
#: What a face without scores is said to show.
UNKNOWN = "not known"


@dataclass(eq=False)
class Totals:
    """Sums over time of one face, from which means are taken.

    Attributes:
        seconds: Time in view.
        scored_s: Time with scores.
        probabilities: (K,) sum of probability times seconds; empty without classes.
        affect: (2,) the same of valence and arousal.
    """

    seconds: float = 0.0
    scored_s: float = 0.0
    probabilities: np.ndarray = field(default_factory=lambda: np.zeros(0))
    affect: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def add(self, scores: Scores | None, seconds: float) -> None:
        self.seconds += seconds
        if scores is None:
            return
        self.scored_s += seconds
        if scores.probabilities is not None:
            self.probabilities = scores.probabilities * seconds + (self.probabilities if self.probabilities.size else 0)
        self.affect = self.affect + seconds * np.array([_number(scores.valence), _number(scores.arousal)])

    def absorb(self, other: "Totals") -> None:
        self.seconds += other.seconds
        self.scored_s += other.scored_s
        if other.probabilities.size:
            self.probabilities = other.probabilities + (self.probabilities if self.probabilities.size else 0)
        self.affect = self.affect + other.affect

    @property
    def mean_probabilities(self) -> np.ndarray | None:
        """(K,), None without classes or scores."""
        return self.probabilities / self.scored_s if self.probabilities.size and self.scored_s else None

    @property
    def mean_affect(self) -> tuple[float, float] | None:
        """Valence and arousal, None without them."""
        if not self.scored_s or np.isnan(self.affect).any():
            return None
        valence, arousal = self.affect / self.scored_s
        return float(valence), float(arousal)


@dataclass(eq=False)
class Segment:
    """One stretch of one track.

    Attributes:
        start_s: When it begins, in seconds after the first frame.
        stop_s: When its last frame ends.
        state: See `state_of`.
        totals: Of all its frames, those of another state that were too short to count among them.
    """

    start_s: float
    stop_s: float
    state: str
    totals: Totals = field(default_factory=Totals)

    @property
    def length_s(self) -> float:
        return self.stop_s - self.start_s

    def extend(self, parts: Iterable["Segment"]) -> None:
        """Takes over what follows."""
        for part in parts:
            self.stop_s = max(self.stop_s, part.stop_s)
            self.totals.absorb(part.totals)

    def confidence(self, labels: Sequence[str]) -> float | None:
        """Mean probability of the state; that of the most probable class where it is no class; None without."""
        means = self.totals.mean_probabilities
        if means is None or self.state == UNKNOWN:
            return None
        return float(means[labels.index(self.state)] if self.state in labels else means.max())


class Segments:
    """The segments of one track, in the order of time.

    A new state begins a segment once it has been there for `minimum_s` in all and the old one has not come back in
    between; whatever is there for less belongs to the segment around it, so that flicker is no change. A face that is
    away for longer than `minimum_s` begins a new segment.

    Args:
        minimum_s: Seconds.
    """

    def __init__(self, minimum_s: float) -> None:
        self._minimum_s = minimum_s
        self._closed: list[Segment] = []
        self._standing: Segment | None = None
        self._pending: list[Segment] = []  # since the standing state was last seen

    def add(self, start_s: float, seconds: float, face: FaceResult) -> None:
        """Takes one frame, shown from `start_s` on for `seconds`."""
        new = Segment(start_s, start_s + seconds, state_of(face))
        new.totals.add(face.scores, seconds)
        last = self._pending[-1] if self._pending else self._standing
        if last is not None and start_s - last.stop_s > self._minimum_s:
            self._close()
        if self._standing is not None and new.state == self._standing.state:
            self._standing.extend([*self._pending, new])
            self._pending = []
            return
        if self._pending and self._pending[-1].state == new.state:
            self._pending[-1].extend([new])
        else:
            self._pending.append(new)
        if _state_s(self._pending)[new.state] >= self._minimum_s:
            self._begin(new.state)

    def finish(self) -> list[Segment]:
        """All, once no frame follows."""
        self._close()
        return self._closed

    def _begin(self, state: str) -> None:
        """The pending parts from the first one in this state on are the standing segment from now on."""
        first = 0
        if self._standing is not None:
            first = next(place for place, part in enumerate(self._pending) if part.state == state)
            self._standing.extend(self._pending[:first])
            self._closed.append(self._standing)
        self._standing = self._pending[first]
        self._standing.state = state
        self._standing.extend(self._pending[first + 1 :])
        self._pending = []

    def _close(self) -> None:
        if self._standing is None and self._pending:
            lengths = _state_s(self._pending)
            self._begin(max(lengths, key=lengths.__getitem__))
        if self._standing is not None:
            self._standing.extend(self._pending)
            self._closed.append(self._standing)
        self._standing, self._pending = None, []


def _state_s(parts: Sequence[Segment]) -> dict[str, float]:
    """Seconds of each state."""
    lengths: dict[str, float] = {}
    for part in parts:
        lengths[part.state] = lengths.get(part.state, 0.0) + part.totals.seconds
    return lengths


def state_of(face: FaceResult) -> str:
    """The emotion or `uncertain`; for a network without classes a name for the region of the valence-arousal plane."""
    if face.emotion is not None:
        return face.emotion
    scores = face.scores
    if scores is None or scores.valence is None or scores.arousal is None:
        return UNKNOWN
    return f"{_level(scores.valence, 'negative', 'positive')} valence, {_level(scores.arousal, 'low', 'high')} arousal"


def _level(value: float, below: str, above: str) -> str:
    return below if value < -NEUTRAL_ZONE else above if value > NEUTRAL_ZONE else "neutral"


def _number(value: float | None) -> float:
    return np.nan if value is None else value
