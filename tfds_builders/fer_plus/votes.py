"""The rules that make a label out of ten votes.

Source: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label
Distribution", ICMI 2016, section 4, and the reader published with the votes, where the paper leaves things open. Common
to all: an emotion with a single vote counts as an error and becomes 0; the last two of the ten columns, `unknown` and
`NF` (not a face), win like emotions do, and the example is then left out.
"""

from typing import Literal

import numpy as np

from ferkeras.labels import EMOTIONS_WITH_CONTEMPT, FER_PLUS_COLUMNS

#: The vote columns of `fer2013new.csv`, in its order.
COLUMNS: tuple[str, ...] = (*FER_PLUS_COLUMNS, "unknown", "NF")
EMOTION_COUNT = len(FER_PLUS_COLUMNS)
#: Position of each column's emotion in the canonical order.
_CANONICAL = [EMOTIONS_WITH_CONTEMPT.index(emotion) for emotion in FER_PLUS_COLUMNS.values()]
_REASONS = {"unknown": "most voters do not know the emotion", "NF": "most voters see no face in it"}

Mode = Literal["majority", "probability", "cross_entropy", "multi_target"]


def target_of(votes: np.ndarray, mode: Mode) -> np.ndarray | str:
    """The target of one face, or why it has none.

    Args:
        votes: (10,) non-negative whole numbers in the order of `COLUMNS`.
        mode: `majority`: the emotion with more than half of the votes, as a one-hot target. `probability` and
            `cross_entropy`: the most voted emotions that together have three quarters of the votes, at most three.
            `multi_target`: every emotion with at least 30 % of the votes.

    Returns:
        (K=8,) float32 in the order of `ferkeras.labels.EMOTIONS_WITH_CONTEMPT`, which sums to 1, or the reason for
        leaving the example out.
    """
    counted = np.where(votes > 1, votes, 0)
    rule = {"majority": _majority, "multi_target": _multi_target}.get(mode, _most_voted)
    kept = rule(counted)
    if kept is None or kept.argmax() >= EMOTION_COUNT:
        return _REASONS.get(COLUMNS[int(counted.argmax())], "the voters disagree")
    target = np.zeros(EMOTION_COUNT, np.float32)
    target[_CANONICAL] = kept[:EMOTION_COUNT] / kept[:EMOTION_COUNT].sum()
    return target


def label_of(target: np.ndarray) -> str:
    """The emotion with the largest share; of equal ones the one that is first in the columns of the csv file."""
    return EMOTIONS_WITH_CONTEMPT[_CANONICAL[int(target[_CANONICAL].argmax())]]


def _majority(votes: np.ndarray) -> np.ndarray | None:
    return np.where(votes == votes.max(), votes, 0) if 2 * votes.max() > votes.sum() else None


def _most_voted(votes: np.ndarray) -> np.ndarray | None:
    """Emotions with equally many votes enter together; `unknown` and `NF` end the search where they come up."""
    kept, left, count = np.zeros_like(votes), votes.copy(), 0
    while 4 * kept.sum() < 3 * votes.sum() and count < 3:
        tied = left == left.max()
        emotions = tied.copy()
        emotions[EMOTION_COUNT:] = False
        kept[emotions] = votes[emotions]
        count += int(emotions.sum())
        if tied[EMOTION_COUNT:].any():
            break
        left[tied] = 0
    return kept if 2 * kept.sum() > votes.sum() and count <= 3 else None


def _multi_target(votes: np.ndarray) -> np.ndarray | None:
    kept = np.where(10 * votes >= 3 * votes.sum(), votes, 0)
    return kept if 2 * kept.sum() > votes.sum() else None
