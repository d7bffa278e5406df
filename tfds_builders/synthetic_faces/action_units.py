"""Facial action units, the emotions as combinations of them, and valence and arousal computed from them.

Action units (AUs) are the movements that the Facial Action Coding System describes (Ekman, Friesen and
Hager, "Facial Action Coding System", 2002). An intensity here is a number in [0, 1]: 0 is a relaxed muscle,
1 is FACS level E. The table `DISPLAYS` follows the emotion predictions of EMFACS (Friesen and Ekman,
"EMFACS-7", 1983) and of the FACS Investigator's Guide (2002, table 10-1), reduced to the sixteen units that
the renderer can draw.

Deviations: AU 16 (lower lip depressor), 22 and 24 are not drawn, so their variants are left out; AU 26 and 27
always come with AU 25, since a dropped jaw parts the drawn lips.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: The units in the order of every `action_units` vector, with their FACS names.
ACTION_UNITS: dict[int, str] = {
    1: "inner brow raiser",
    2: "outer brow raiser",
    4: "brow lowerer",
    5: "upper lid raiser",
    6: "cheek raiser",
    7: "lid tightener",
    9: "nose wrinkler",
    10: "upper lip raiser",
    12: "lip corner puller",
    15: "lip corner depressor",
    17: "chin raiser",
    20: "lip stretcher",
    23: "lip tightener",
    25: "lips part",
    26: "jaw drop",
    27: "mouth stretch",
}
#: Position of a unit in an `action_units` vector: `INDEX[12]` is where the lip corner puller stands.
INDEX: dict[int, int] = {unit: position for position, unit in enumerate(ACTION_UNITS)}


@dataclass(frozen=True)
class Display:
    """One way to show an emotion: units that are always there, and units that may join them.

    Args:
        core: Lowest and highest intensity per unit at full strength.
        optional: Probability, lowest and highest intensity per unit that may join.
        weight: Relative frequency among the displays of the same emotion.
    """

    core: dict[int, tuple[float, float]]
    optional: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    weight: float = 1.0


DISPLAYS: dict[str, tuple[Display, ...]] = {
    "angry": (
        Display({4: (0.7, 1.0), 7: (0.5, 1.0), 23: (0.6, 1.0)}, {5: (0.6, 0.3, 0.7), 17: (0.4, 0.3, 0.7)}, 2.0),
        Display({4: (0.7, 1.0), 5: (0.3, 0.8), 7: (0.5, 0.9), 10: (0.4, 0.8), 25: (0.5, 1.0), 26: (0.2, 0.6)}),
    ),
    "disgust": (
        Display({9: (0.7, 1.0)}, {4: (0.3, 0.2, 0.6), 10: (0.4, 0.3, 0.7), 17: (0.4, 0.3, 0.8)}, 2.0),
        Display({10: (0.7, 1.0), 9: (0.2, 0.6), 17: (0.4, 0.9)}, {15: (0.4, 0.2, 0.6)}),
        Display({9: (0.6, 1.0), 10: (0.4, 0.8), 25: (0.4, 0.9)}, {26: (0.5, 0.2, 0.5)}),
    ),
    "fear": (
        Display(
            {1: (0.6, 1.0), 2: (0.4, 0.8), 4: (0.4, 0.8), 5: (0.6, 1.0), 20: (0.6, 1.0), 25: (0.4, 0.9)},
            {7: (0.3, 0.2, 0.4), 26: (0.4, 0.2, 0.5)},
            3.0,
        ),
        Display(
            {1: (0.7, 1.0), 2: (0.3, 0.7), 4: (0.6, 1.0), 5: (0.7, 1.0), 25: (0.5, 1.0)},
            {20: (0.6, 0.3, 0.6), 26: (0.6, 0.2, 0.6)},
        ),
    ),
    "happy": (
        Display({6: (0.5, 1.0), 12: (0.7, 1.0)}, {7: (0.2, 0.2, 0.5)}),
        Display({6: (0.5, 1.0), 12: (0.7, 1.0), 25: (0.5, 1.0)}, {26: (0.4, 0.2, 0.7)}),
    ),
    "sad": (
        Display({1: (0.6, 1.0), 4: (0.3, 0.7), 15: (0.6, 1.0)}, {17: (0.5, 0.3, 0.8)}, 2.0),
        Display({1: (0.7, 1.0), 15: (0.5, 0.9), 17: (0.4, 0.9)}, {4: (0.4, 0.2, 0.5), 7: (0.2, 0.2, 0.4)}),
    ),
    "surprise": (
        Display({1: (0.7, 1.0), 2: (0.7, 1.0), 5: (0.5, 0.9), 25: (0.6, 1.0), 26: (0.6, 1.0)}, {}, 2.0),
        Display({1: (0.7, 1.0), 2: (0.7, 1.0), 5: (0.5, 1.0), 25: (0.7, 1.0), 27: (0.5, 1.0)}),
    ),
    "neutral": (Display({}),),
}

#: Strength of a display, drawn uniformly; near the lower end it is hard to tell from a neutral face.
STRENGTH = (0.55, 1.0)
#: A face is never quite at rest: a unit is slack with this probability, by a half-normal
#: amount of this deviation.
SLACK_PROBABILITY, SLACK_SIZE = 0.3, 0.06
#: The two sides of a face differ by up to this share of the intensity.
ASYMMETRY = 0.2

# unit: (weight in valence, weight in arousal); see `valence_arousal`.
_AFFECT: dict[int, tuple[float, float]] = {
    1: (-0.25, -0.15),
    2: (0.25, 0.35),
    4: (-0.60, 0.10),
    5: (0.00, 0.80),
    6: (0.35, 0.10),
    7: (-0.15, 0.25),
    9: (-0.75, 0.20),
    10: (-0.45, 0.20),
    12: (1.10, 0.20),
    15: (-0.75, -0.55),
    17: (-0.30, -0.20),
    20: (-0.55, 0.40),
    23: (-0.35, 0.35),
    25: (0.00, 0.20),
    26: (0.00, 0.40),
    27: (0.00, 0.60),
}
_AFFECT_WEIGHTS: FloatArray = np.array([_AFFECT[unit] for unit in ACTION_UNITS])


def vector(intensities: dict[int, float]) -> FloatArray:
    """Intensities by unit number, as a vector (N,) in the order of `ACTION_UNITS`; units not named are 0."""
    result = np.zeros(len(ACTION_UNITS))
    for unit, intensity in intensities.items():
        result[INDEX[unit]] = intensity
    return result


def sample_display(rng: np.random.Generator, emotion: str, strength: float) -> FloatArray:
    """Draws the apex of one display of `emotion`, scaled by `strength` in [0, 1], without slack: (N,)."""
    displays = DISPLAYS[emotion]
    weights = np.array([display.weight for display in displays])
    display = displays[rng.choice(len(displays), p=weights / weights.sum())]
    chosen = {unit: rng.uniform(low, high) for unit, (low, high) in display.core.items()}
    for unit, (probability, low, high) in display.optional.items():
        if rng.random() < probability:
            chosen[unit] = rng.uniform(low, high)
    if 26 in chosen or 27 in chosen:
        chosen.setdefault(25, rng.uniform(0.4, 0.8))
    return strength * vector(chosen)


def sample_slack(rng: np.random.Generator) -> FloatArray:
    """Draws the small intensities of a face at rest, (N,)."""
    count = len(ACTION_UNITS)
    return np.abs(rng.normal(0.0, SLACK_SIZE, count)) * (rng.random(count) < SLACK_PROBABILITY)


def sample_asymmetry(rng: np.random.Generator) -> FloatArray:
    """Draws the factors of the image-left and the image-right side, (2, N), with mean 1 over the sides."""
    difference = rng.uniform(-ASYMMETRY, ASYMMETRY, len(ACTION_UNITS))
    return np.stack([1.0 - difference, 1.0 + difference])


def valence_arousal(action_units: FloatArray) -> npt.NDArray[np.int32]:
    """Valence and arousal of a face, in the integer bins -10 to 10 of AFEW-VA.

        valence = round(10 * tanh(sum_i v_i a_i))
        arousal = round(10 * tanh(sum_i w_i a_i))

    with the weights v, w of `_AFFECT`. The weights are a construction. Their signs follow where the
    circumplex model (Russell, "A circumplex model of affect", 1980) puts the emotions that a unit takes part
    in; their sizes are set so that a full display of each emotion lands near its place there and a relaxed
    face at (0, 0).

    Args:
        action_units: Intensities (..., N) in [0, 1].

    Returns:
        Integers (..., 2) in [-10, 10]: valence, then arousal.
    """
    return np.rint(10.0 * np.tanh(np.asarray(action_units) @ _AFFECT_WEIGHTS)).astype(np.int32)
