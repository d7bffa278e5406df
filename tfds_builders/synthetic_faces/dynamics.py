"""How a display unfolds: onset, apex and offset of its action units over the frames of a clip.

A construction, so that a clip cannot be read from one frame. Emotions are paired; a pair shares its apex
and differs only in time:

* surprise and fear show the same raised brows, wide eyes and open mouth. Surprise comes at once and fades
  slowly, fear builds up and breaks off: each is the other played backwards.
* anger and disgust show the same lowered brows, wrinkled nose and raised lip. In anger the brows lead, in
  disgust the nose and the lip; both groups keep their lag to the end, so each is again the other played
  backwards.
* happy and sad have a neutral twin: a polite smile and a shrug of the mouth, which flash up and are gone.

README.md tells which of this the literature supports and which it does not. The durations are chosen.
"""

from dataclasses import dataclass

import numpy as np

from tfds_builders.synthetic_faces.action_units import (
    STRENGTH,
    FloatArray,
    sample_display,
    vector,
)

#: Share of clips whose apex is that of the pair; the others show the emotion's own display in any timing.
TWIN_SHARE = 0.85


@dataclass(frozen=True)
class Course:
    """When a group of units moves. All in seconds; `start` counts from the first frame."""

    start: float
    onset: float
    apex: float
    offset: float

    @property
    def end(self) -> float:
        return self.start + self.onset + self.apex + self.offset


def envelope(course: Course, times: FloatArray) -> FloatArray:
    """Share of the apex intensity reached at each of `times` (T,), in [0, 1].

    Rises over the onset, holds over the apex and falls over the offset along half a cosine.
    """
    rise = np.clip((times - course.start) / course.onset, 0.0, 1.0)
    fall = np.clip((course.end - times) / course.offset, 0.0, 1.0)
    return (0.5 - 0.5 * np.cos(np.pi * rise)) * (0.5 - 0.5 * np.cos(np.pi * fall))


def sample_performance(rng: np.random.Generator, emotion: str, times: FloatArray) -> FloatArray:
    """Draws the action units of one clip without slack: (T, N) in [0, 1] for `times` (T,) in seconds."""
    if rng.random() < TWIN_SHARE:
        return _twin(rng, emotion, times)
    apex = sample_display(rng, emotion, rng.uniform(*STRENGTH))
    length = float(times[-1])
    onset, offset = rng.uniform(0.2, 0.8, 2)
    course = _placed(rng, Course(0.0, onset, rng.uniform(0.3, 0.7), offset), length)
    performance = envelope(course, times)[:, None] * apex
    if emotion == "neutral" and rng.random() < 0.5:
        performance = np.maximum(performance, _talk(rng, times))
    return performance


def _twin(rng: np.random.Generator, emotion: str, times: FloatArray) -> FloatArray:
    strength = rng.uniform(0.6, 1.0)

    def level() -> float:
        return strength * rng.uniform(0.75, 1.0)

    length = float(times[-1])
    if emotion in ("surprise", "fear"):
        units = {unit: level() for unit in (1, 2, 5, 25)} | {
            4: 0.3 * level(),
            20: 0.4 * level(),
            26: 0.7 * level(),
        }
        sudden, slow = rng.uniform(0.12, 0.3), rng.uniform(0.8, 1.1)
        onset, offset = (sudden, slow) if emotion == "surprise" else (slow, sudden)
        course = _placed(rng, Course(0.0, onset, rng.uniform(0.15, 0.3), offset), length)
        return envelope(course, times)[:, None] * vector(units)
    if emotion in ("angry", "disgust"):
        brows = vector({unit: level() for unit in (4, 7)})
        nose = vector({9: level(), 10: level(), 17: 0.5 * level()})
        lag, ramp = rng.uniform(0.35, 0.6), rng.uniform(0.25, 0.4)
        first = _placed(rng, Course(0.0, ramp, rng.uniform(0.45, 0.6), ramp), length - lag)
        second = Course(first.start + lag, first.onset, first.apex, first.offset)
        leading, following = (brows, nose) if emotion == "angry" else (nose, brows)
        return envelope(first, times)[:, None] * leading + envelope(second, times)[:, None] * following
    smile = emotion == "happy" or (emotion == "neutral" and rng.random() < 0.5)
    shown = vector({6: 0.7 * level(), 12: level()} if smile else {1: 0.4 * level(), 15: level(), 17: 0.7 * level()})
    if emotion == "neutral":
        ramp = rng.uniform(0.1, 0.2)
        course = _placed(rng, Course(0.0, ramp, rng.uniform(0.1, 0.25), ramp), length)
    else:
        course = _placed(
            rng, Course(0.0, rng.uniform(0.45, 0.7), rng.uniform(0.5, 0.8), rng.uniform(0.3, 0.45)), length
        )
    return envelope(course, times)[:, None] * shown


def _placed(rng: np.random.Generator, course: Course, length: float) -> Course:
    """The course moved to a random place where it fits into `length` seconds; if too long, to the start."""
    start = rng.uniform(0.0, max(0.0, length - course.end))
    return Course(start, course.onset, course.apex, course.offset)


def _talk(rng: np.random.Generator, times: FloatArray) -> FloatArray:
    """Lips and jaw of someone who speaks, about four syllables a second: (T, N)."""
    wave = np.sin(2.0 * np.pi * (rng.uniform(3.0, 4.5) * times + rng.random())) * rng.uniform(0.6, 1.0)
    return np.maximum(wave, 0.0)[:, None] * vector({25: 0.7, 26: 0.45})
