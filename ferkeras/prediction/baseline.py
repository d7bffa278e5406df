"""The neutral baseline: what a network says of a person at rest is taken off from what it says of them later.

The face at rest differs from person to person: hanging corners of the mouth read as sadness, low brows as anger. The
first seconds of each followed face are taken for that person's neutral face.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ferkeras.errors import InputError
from ferkeras.prediction.result import Scores
from ferkeras.prediction.smoothing import TrackStates, distribution

NEUTRAL = "neutral"
#: How much more probable than any other class `neutral` is made in the mean of the neutral seconds.
ODDS = 4.0
#: Probabilities are taken for no smaller than this when their logarithms are averaged.
SMALLEST = 1e-6
#: Seconds after which the baseline of a face that is not seen any more is forgotten.
FORGET_S = 60.0


@dataclass(frozen=True, eq=False)
class _Rest:
    """What was seen of a person at rest: from when on, how many frames, and their mean scores.

    Attributes:
        scores: (K + 2,) mean log-probabilities, valence and arousal; 0 for what the network does not say.
    """

    start_s: float
    frames: int
    scores: np.ndarray


class NeutralBaseline:
    """Scores of one face at one time -> scores relative to the same face at rest.

    Valence and arousal lose their mean over the neutral seconds: the person's neutral face is the origin.

    Log-probabilities are corrected as for a change of the prior probabilities (Saerens, Latinne, Decaestecker:
    Adjusting the outputs of a classifier to new a priori probabilities, Neural Computation 14, 2002): a constant of the
    person is taken off each class, and the rest is normalised. With the mean log-probability m of the neutral
    seconds, the constant of class k is max(0, m[k] - m[neutral] + log(ODDS)). So in the (geometric) mean of these
    seconds `neutral` leads every other class by `ODDS`, a class that did not compete with it is left alone, and
    nobody who clearly reads as neutral at rest is changed at all. Nothing is added to a class: the noise of those
    that are never seen at rest is not raised.

    While the neutral seconds last, the mean over those so far is used: there is no delay, and the first frame reads as
    neutral. A person who begins with a smile gets a smile for neutral.

    It keeps a state for each track, so every video needs a new one. It comes before smoothing, so that it sees
    what the network said.

    Args:
        seconds: How long each face is taken for neutral from its first frame on, above 0.
        labels: K names of the emotions; none for a network without classes.

    Raises:
        InputError: if `seconds` is not above 0, or there are classes and none is `neutral`.
    """

    def __init__(self, seconds: float, labels: Sequence[str] = ()) -> None:
        if not seconds > 0:
            raise InputError("The baseline needs more than 0 seconds", received=seconds)
        if labels and NEUTRAL not in labels:
            raise InputError(
                "A neutral baseline needs a network with the class neutral",
                received=", ".join(labels),
                action="Leave the baseline out, or take another run.",
            )
        self.seconds, self.labels = seconds, tuple(labels)
        self._tracks: TrackStates[_Rest] = TrackStates(FORGET_S)

    def __call__(self, track_id: int, time_s: float, scores: Scores) -> Scores:
        known = self._tracks.get(track_id, time_s)
        rest = known[1] if known is not None else _Rest(time_s, 0, np.zeros(len(self.labels) + 2))
        if time_s - rest.start_s <= self.seconds:
            seen = self._vector(scores)
            mean = rest.scores + (seen - rest.scores) / (rest.frames + 1)
            rest = _Rest(rest.start_s, rest.frames + 1, mean)
        self._tracks.put(track_id, time_s, rest)
        return Scores(
            probabilities=self._corrected(scores.probabilities, rest.scores[:-2]),
            valence=_shifted(scores.valence, rest.scores[-2]),
            arousal=_shifted(scores.arousal, rest.scores[-1]),
        )

    def _vector(self, scores: Scores) -> np.ndarray:
        logs = np.zeros(0) if scores.probabilities is None else np.log(np.maximum(scores.probabilities, SMALLEST))
        return np.concatenate([logs, [scores.valence or 0.0, scores.arousal or 0.0]])

    def _corrected(self, probabilities: np.ndarray | None, mean: np.ndarray) -> np.ndarray | None:
        if probabilities is None:
            return None
        excess = mean - mean[self.labels.index(NEUTRAL)] + np.log(ODDS)
        excess[self.labels.index(NEUTRAL)] = 0
        return distribution(probabilities * np.exp(-np.maximum(excess, 0)))


def _shifted(value: float | None, mean: float) -> float | None:
    return None if value is None else float(np.clip(value - mean, -1, 1))
