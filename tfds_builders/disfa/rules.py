"""The rules that turn intensities of action units into an emotion. DISFA itself has no emotion labels.

The sets of action units are those of EMFACS (Friesen and Ekman, 1983) as far as DISFA codes them: 1, 2, 4, 5, 6, 9, 12,
15, 17, 20, 25 and 26. What has no code there (7, 16, 23) is left out of a set, which makes anger (4 + 5 + 7 + 23) the
least certain one.
"""

from typing import Literal

import numpy as np

from ferkeras.labels import EMOTIONS, NO_CLASS

#: The action units that DISFA codes, in the order of the feature `action_units`.
ACTION_UNITS: tuple[int, ...] = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
#: Stands for a frame without a label.
NO_INTENSITY = -1
Matching = Literal["exact", "subset"]
#: Emotion -> sets of active action units that show it.
RULES: dict[str, tuple[frozenset[int], ...]] = {
    "angry": (frozenset({4, 5}),),
    "disgust": (frozenset({9, 15}), frozenset({9, 25, 26})),
    "fear": (frozenset({1, 2, 4, 5, 20, 26}), frozenset({1, 2, 4, 5, 20, 25, 26})),
    "happy": (frozenset({6, 12}),),
    "sad": (frozenset({1, 4, 15}), frozenset({1, 4, 15, 17})),
    "surprise": (frozenset({1, 2, 5, 26}), frozenset({1, 2, 5, 25, 26})),
}


def emotions_of(intensities: np.ndarray, *, threshold: int, matching: Matching, angry: bool = True) -> np.ndarray:
    """The emotion in each frame.

    An action unit is active from an intensity of `threshold` on. A frame is neutral only if all intensities are 0:
    weaker traces than the threshold are neither. With `exact` the active units are one of the sets and no others. With
    `subset` they hold one of the sets and may be more; of several the largest counts, and two emotions with sets of
    the same size are no emotion.

    Args:
        intensities: (T, 12) of integers from 0 to 5, `NO_INTENSITY` where there is no label.
        threshold: From 1 to 5.
        matching: How the active units are compared with a set.
        angry: Whether there is a rule for anger.

    Returns:
        (T,) int32 positions in `EMOTIONS`; `NO_CLASS` where no rule matches or a label is missing.
    """
    patterns, pattern_of = np.unique(intensities, axis=0, return_inverse=True)
    rules = {emotion: sets for emotion, sets in RULES.items() if angry or emotion != "angry"}
    found = [_emotion(pattern, rules, threshold=threshold, matching=matching) for pattern in patterns]
    return np.array(found, np.int32)[pattern_of.reshape(-1)]


def _emotion(
    pattern: np.ndarray, rules: dict[str, tuple[frozenset[int], ...]], *, threshold: int, matching: Matching
) -> int:
    if (pattern == NO_INTENSITY).any():
        return NO_CLASS
    if not pattern.any():
        return EMOTIONS.index("neutral")
    active = {unit for unit, intensity in zip(ACTION_UNITS, pattern, strict=True) if intensity >= threshold}
    sizes = {emotion: max(_matching_sizes(sets, active, matching), default=0) for emotion, sets in rules.items()}
    largest = [emotion for emotion, size in sizes.items() if size and size == max(sizes.values())]
    return EMOTIONS.index(largest[0]) if len(largest) == 1 else NO_CLASS


def _matching_sizes(sets: tuple[frozenset[int], ...], active: set[int], matching: Matching) -> list[int]:
    return [len(units) for units in sets if units == active or (matching == "subset" and units < active)]
