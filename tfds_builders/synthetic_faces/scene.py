"""What surrounds the face: head pose, light, background, camera and things in the way, drawn at random."""

from dataclasses import dataclass, replace

import numpy as np

from tfds_builders.synthetic_faces.action_units import FloatArray
from tfds_builders.synthetic_faces.face_shape import Pose
from tfds_builders.synthetic_faces.identity import Colour

#: Largest absolute yaw, pitch and roll, in degrees.
MAX_YAW, MAX_PITCH, MAX_ROLL = 20.0, 8.0, 15.0
#: Smallest and largest size of a face.
SCALE = (0.86, 1.0)
OCCLUSION_PROBABILITY = 0.08


@dataclass(frozen=True)
class Bar:
    """A thick line with round ends: clutter behind the face, or a hand, scarf or microphone before it.

    Args:
        start: One end, as a share of the canvas.
        end: The other end.
        width: Thickness as a share of the canvas.
        colour: RGB in [0, 255].
    """

    start: tuple[float, float]
    end: tuple[float, float]
    width: float
    colour: Colour


@dataclass(frozen=True)
class Scene:
    """What stays the same over the frames of a clip.

    Args:
        background: RGB at the top and at the bottom.
        clutter: Shapes in the background.
        light_angle: Direction the light comes from, radians.
        light_strength: Difference of brightness across the image, as a share.
        brightness: Factor on all pixels.
        contrast: Factor around mid-grey.
        blur: Gaussian blur in pixels of a 48-pixel image.
        noise: Standard deviation of the sensor noise, in grey levels.
        occluder: Something in the way, or None.
    """

    background: tuple[Colour, Colour] = ((150.0, 150.0, 150.0), (120.0, 120.0, 120.0))
    clutter: tuple[Bar, ...] = ()
    light_angle: float = 0.0
    light_strength: float = 0.0
    brightness: float = 1.0
    contrast: float = 1.0
    blur: float = 0.0
    noise: float = 0.0
    occluder: Bar | None = None


def largest_shift(scale: float) -> tuple[float, float]:
    """Largest absolute shift across and along, as shares of the canvas, that keep the landmarks on it."""
    room = 1.0 - scale
    return 0.05 + 0.4 * room, 0.02 + 0.35 * room


def sample_pose(rng: np.random.Generator) -> Pose:
    """Draws a head pose; rotations are normal variables, clipped to the largest value."""

    def angle(largest: float) -> float:
        return float(np.radians(np.clip(rng.normal(0.0, largest / 2.5), -largest, largest)))

    scale = rng.uniform(*SCALE)
    across, along = largest_shift(scale)
    return Pose(
        yaw=angle(MAX_YAW),
        pitch=angle(MAX_PITCH),
        roll=angle(MAX_ROLL),
        scale=scale,
        shift_x=rng.uniform(-across, across),
        shift_y=rng.uniform(-along, along),
        gaze_x=float(np.clip(rng.normal(0.0, 0.35), -1.0, 1.0)),
        gaze_y=float(np.clip(rng.normal(0.0, 0.3), -1.0, 1.0)),
        blink=rng.uniform(0.0, 0.15),
    )


def sample_motion(rng: np.random.Generator, times: FloatArray) -> list[Pose]:
    """Draws one pose per time (T,), in seconds: a head that sways slowly and may blink once."""
    centre = sample_pose(rng)
    sway = {}
    for name, largest in (("yaw", MAX_YAW), ("pitch", MAX_PITCH), ("roll", MAX_ROLL)):
        limit = np.radians(largest)
        wave = np.sin(2.0 * np.pi * (rng.uniform(0.1, 0.5) * times + rng.random()))
        sway[name] = np.clip(getattr(centre, name) + rng.uniform(0.0, 0.2) * limit * wave, -limit, limit)
    blink_at = rng.uniform(0.0, 2.0 * times[-1])  # half of the clips end before it
    blink = np.maximum(centre.blink, np.exp(-(((times - blink_at) / 0.1) ** 2)))
    return [
        replace(
            centre,
            yaw=float(sway["yaw"][t]),
            pitch=float(sway["pitch"][t]),
            roll=float(sway["roll"][t]),
            blink=float(blink[t]),
        )
        for t in range(len(times))
    ]


def sample_scene(rng: np.random.Generator) -> Scene:
    """Draws light, background, camera and, now and then, an occluder."""
    return Scene(
        background=(_colour(rng), _colour(rng)),
        clutter=tuple(_sample_clutter(rng) for _ in range(3)),
        light_angle=rng.uniform(0.0, 2.0 * np.pi),
        light_strength=rng.uniform(0.0, 0.4),
        brightness=rng.uniform(0.85, 1.15),
        contrast=rng.uniform(0.85, 1.2),
        blur=rng.uniform(0.0, 0.4),
        noise=rng.uniform(1.0, 4.0),
        occluder=_sample_occluder(rng) if rng.random() < OCCLUSION_PROBABILITY else None,
    )


def _colour(rng: np.random.Generator) -> Colour:
    red, green, blue = np.clip(rng.uniform(0.0, 255.0) + rng.uniform(-40.0, 40.0, 3), 0.0, 255.0)
    return float(red), float(green), float(blue)


def _sample_clutter(rng: np.random.Generator) -> Bar:
    x, y = rng.uniform(-0.1, 1.1, (2, 2))
    return Bar(
        start=(float(x[0]), float(y[0])),
        end=(float(x[1]), float(y[1])),
        width=rng.uniform(0.02, 0.2),
        colour=_colour(rng),
    )


def _sample_occluder(rng: np.random.Generator) -> Bar:
    """A bar that reaches in from outside and ends on the face: it hides a part, never most of it."""
    angle = rng.uniform(0.0, 2.0 * np.pi)
    outward = np.array([np.cos(angle), np.sin(angle)])
    centre = np.array([0.5, 0.5])
    start, end = centre + outward, centre + outward * rng.uniform(0.12, 0.3)
    return Bar(
        start=(float(start[0]), float(start[1])),
        end=(float(end[0]), float(end[1])),
        width=rng.uniform(0.08, 0.18),
        colour=_colour(rng),
    )
