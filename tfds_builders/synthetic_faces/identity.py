"""Who is shown: everything about a face that does not move, drawn from one random generator per subject."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Colour = tuple[float, float, float]

# RGB in [0, 255], dark hair and dark eyes first; a subject lies between two neighbours. Fair hair and eyes
# occur with light skin only, as in most people.
_SKIN = np.array([(247, 216, 194), (233, 190, 160), (210, 160, 122), (172, 122, 86), (134, 92, 66), (104, 70, 52)])
_HAIR = np.array([(28, 22, 20), (62, 42, 30), (106, 72, 44), (168, 124, 72), (212, 180, 126), (150, 148, 146)])
_IRIS = np.array([(62, 42, 28), (92, 62, 36), (86, 104, 62), (82, 112, 146)])
HAIR_STYLES = ("bald", "short", "fringe", "long")
BEARDS = ("none", "moustache", "full")


@dataclass(frozen=True)
class Identity:
    """The unmoving traits of one subject.

    Lengths are in face units (half the width of an average face is about 0.92); colours are RGB in [0, 255].
    """

    skin: Colour
    hair: Colour
    lips: Colour
    iris: Colour
    face_width: float
    chin: float  # y of the relaxed chin
    jaw_squareness: float  # exponent of the outline: small is square, large is pointed
    eye_distance: float
    eye_width: float
    eye_openness: float
    eye_tilt: float
    brow_height: float
    brow_arch: float
    brow_tilt: float
    brow_thickness: float
    nose_width: float
    nose_length: float
    mouth_width: float
    mouth_slope: float  # resting height of the lip corners; positive hangs
    lip_thickness: float
    age: float  # 0 is smooth, 1 is lined
    hair_style: str
    beard: str
    glasses: bool


def _at(share: float, palette: npt.NDArray[np.int_]) -> Colour:
    position = share * (len(palette) - 1)
    low = min(int(position), len(palette) - 2)
    red, green, blue = palette[low] + (position - low) * (palette[low + 1] - palette[low])
    return float(red), float(green), float(blue)


def sample_identity(rng: np.random.Generator) -> Identity:
    """Draws one subject. The ranges are the author's, chosen to look like different people."""
    darkness = rng.uniform(0.0, 1.0)
    skin = _at(darkness, _SKIN)
    return Identity(
        skin=skin,
        hair=_at(rng.uniform(0.0, 1.0 - 0.75 * darkness) ** 1.5, _HAIR),
        lips=(0.72 * skin[0] + 42, 0.52 * skin[1] + 14, 0.55 * skin[2] + 18),
        iris=_at(rng.uniform(0.0, 1.0 - 0.75 * darkness), _IRIS),
        face_width=rng.uniform(0.84, 0.98),
        chin=rng.uniform(1.0, 1.08),
        jaw_squareness=rng.uniform(0.7, 1.05),
        eye_distance=rng.uniform(0.37, 0.42),
        eye_width=rng.uniform(0.2, 0.24),
        eye_openness=rng.uniform(0.85, 1.15),
        eye_tilt=rng.uniform(-0.02, 0.04),
        brow_height=rng.uniform(-0.03, 0.03),
        brow_arch=rng.uniform(0.02, 0.09),
        brow_tilt=rng.uniform(-0.03, 0.03),
        brow_thickness=rng.uniform(0.06, 0.11),
        nose_width=rng.uniform(0.12, 0.18),
        nose_length=rng.uniform(0.40, 0.50),
        mouth_width=rng.uniform(0.32, 0.39),
        mouth_slope=rng.uniform(-0.03, 0.02),
        lip_thickness=rng.uniform(0.7, 1.3),
        age=rng.uniform(0.0, 1.0),
        hair_style=HAIR_STYLES[rng.choice(4, p=(0.1, 0.35, 0.25, 0.3))],
        beard=BEARDS[rng.choice(3, p=(0.8, 0.1, 0.1))],
        glasses=bool(rng.random() < 0.2),
    )
