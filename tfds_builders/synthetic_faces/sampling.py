"""One example from (seed, split, index) alone, so that the order of generation changes nothing."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.synthetic_faces.action_units import (
    STRENGTH,
    FloatArray,
    sample_asymmetry,
    sample_display,
    sample_slack,
    valence_arousal,
)
from tfds_builders.synthetic_faces.dynamics import sample_performance
from tfds_builders.synthetic_faces.face_shape import LANDMARKS
from tfds_builders.synthetic_faces.identity import Identity, sample_identity
from tfds_builders.synthetic_faces.render import Image, render_face
from tfds_builders.synthetic_faces.scene import sample_motion, sample_pose, sample_scene

SPLITS = ("train", "validation", "test")
_SUBJECT, _STILL, _CLIP = range(3)
EXAMPLES_PER_SUBJECT = 21  # three of each emotion
#: Probability that a frame of a clip has no face, as if the tracker had lost it.
LOST_FRAME_PROBABILITY = 0.02


@dataclass(frozen=True)
class Still:
    """One image with everything known about it: see the feature table in the README."""

    image: Image
    emotion: str
    subject: str
    action_units: npt.NDArray[np.float32]
    valence: int
    arousal: int
    landmarks: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Clip:
    """One clip with everything known about it, T frames: see the feature table in the README."""

    frames: Image
    emotion: str
    subject: str
    face_found: npt.NDArray[np.bool_]
    landmarks: npt.NDArray[np.float32]
    action_units: npt.NDArray[np.float32]
    valence: npt.NDArray[np.int32]
    arousal: npt.NDArray[np.int32]


def stream(seed: int, split: str, kind: int, index: int) -> np.random.Generator:
    """An independent generator for one thing; `SPLITS` numbers the splits."""
    if split not in SPLITS:
        raise InputError(f"split must be one of {SPLITS}", received=split, action="Choose one of these names.")
    return np.random.default_rng([seed, SPLITS.index(split), kind, index])


def subject_of(seed: int, split: str, index: int) -> tuple[str, Identity]:
    """Name and traits of the subject that example `index` of `split` shows; no subject is in two splits."""
    number = index // EXAMPLES_PER_SUBJECT
    return f"{split}_s{number:04d}", sample_identity(stream(seed, split, _SUBJECT, number))


def sample_still(seed: int, split: str, index: int, *, size: int, channels: int) -> Still:
    """Draws and renders still example `index` of `split`.

    The emotions take turns, so every class is equally large.
    """
    subject, identity = subject_of(seed, split, index)
    rng = stream(seed, split, _STILL, index)
    emotion = EMOTIONS[index % len(EMOTIONS)]
    rest = sample_slack(rng)
    display = sample_display(rng, emotion, rng.uniform(*STRENGTH))
    both = np.clip(np.maximum(rest, display) * sample_asymmetry(rng), 0.0, 1.0)  # (2, N)
    units: FloatArray = both.mean(axis=0)
    image, points = render_face(
        identity,
        both,
        pose=sample_pose(rng),
        scene=sample_scene(rng),
        size=size,
        channels=channels,
        noise_rng=rng,
    )
    valence, arousal = valence_arousal(units)
    return Still(image, emotion, subject, units.astype(np.float32), int(valence), int(arousal), points)


def sample_clip(seed: int, split: str, index: int, *, size: int, channels: int, frames: int, fps: float) -> Clip:
    """Draws and renders clip `index` of `split`: `frames` frames at `fps` frames per second.

    A frame without a face is black and its landmarks are 0; its valence and arousal are still the true ones.
    """
    subject, identity = subject_of(seed, split, index)
    rng = stream(seed, split, _CLIP, index)
    emotion = EMOTIONS[index % len(EMOTIONS)]
    times = np.arange(frames) / fps
    rest, asymmetry = sample_slack(rng), sample_asymmetry(rng)
    performance = np.maximum(rest, sample_performance(rng, emotion, times))
    both = np.clip(performance[:, None, :] * asymmetry, 0.0, 1.0)  # (T, 2, N)
    units: FloatArray = both.mean(axis=1)
    poses, scene = sample_motion(rng, times), sample_scene(rng)
    found = rng.random(frames) >= LOST_FRAME_PROBABILITY
    images = np.zeros((frames, size, size, channels), np.uint8)
    points = np.zeros((frames, LANDMARKS, 2), np.float32)
    for t in np.flatnonzero(found):
        images[t], points[t] = render_face(
            identity, both[t], pose=poses[t], scene=scene, size=size, channels=channels, noise_rng=rng
        )
    affect = valence_arousal(units)
    return Clip(
        images,
        emotion,
        subject,
        found,
        points,
        units.astype(np.float32),
        affect[:, 0].copy(),
        affect[:, 1].copy(),
    )
