"""How the faces of a data set lie in its pictures: the margin with which a face in a photo is to be shown likewise.

A network knows faces of the size that it was trained on. Where a builder cuts the faces out itself, the margin is that
of its settings (`tfds_builders.base.faces.FaceSettings.margin`). Where the pictures came cut out, or were drawn, it was
measured: `MARGINS`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ferkeras.faces.align import Alignment, invert, map_points

#: Name of a data set -> `Alignment.margin`. Medians printed by `python benchmarks/framing.py`:
#:
#: fer2013: -0.078 over the faces that MTCNN finds in the enlarged pictures (87.5 % of 2000), quartiles -0.113 and
#: -0.033. With -0.08 a network trained on FER2013 loses 1.5 ± 1.7 points of accuracy where faces are found and aligned,
#: with 0 it loses 3.3 ± 1.9, with 0.2 it loses 22.7 ± 2.6. The faces also lie 8 % of the side higher than in the
#: template, which changed less than could be measured, as did turning them upright. FER+ labels the same pictures.
#:
#: synthetic_faces: 0.053, quartiles 0.035 and 0.074, from the landmarks with which the faces are drawn.
MARGINS = {"fer2013": -0.08, "fer_plus": -0.08, "synthetic_faces": 0.05}


def margin_of(dataset: str, config: Any = None) -> float:
    """The `Alignment.margin` that shows a face as the pictures of a data set show theirs.

    Args:
        dataset: Its name, with or without its configuration: `fer2013`, `disfa/aligned`.
        config: The builder's configuration. Where it says how the builder cut the faces out, that is the answer.

    Returns:
        The margin; 0, the plain crop, where nothing is known.
    """
    faces = getattr(config, "faces", None)
    if faces is not None and faces.detector != "none":
        return float(faces.margin)
    return MARGINS.get(dataset.partition("/")[0], 0.0)


@dataclass(frozen=True)
class Place:
    """Where a face lies in a square picture, compared with the plain crop of an `Alignment`.

    Attributes:
        margin: The one with which an alignment shows the face in the size that it has in the picture.
        x: How far the face is right of where an alignment puts it, as a share of the picture's side.
        y: How far it is below.
        angle: Degrees by which it is turned clockwise.
    """

    margin: float
    x: float
    y: float
    angle: float


def place(landmarks: np.ndarray, side: float) -> Place:
    """Where the face with these landmarks (5, 2) lies in a picture of `side` x `side` pixels.

    Raises:
        InputError: as `Alignment.matrix`.
    """
    plain = Alignment(size=1).matrix((np.asarray(landmarks, np.float64) + 0.5) / side - 0.5)
    x, y = map_points(invert(plain), np.zeros(2))  # the centre of the crop, in the picture of side 1
    scale = float(np.hypot(plain[0, 0], plain[1, 0]))
    angle = float(np.degrees(np.arctan2(plain[0, 1], plain[0, 0])))
    return Place((scale - 1) / 2, float(x), float(y), angle)
