"""Which of several faces in a picture is meant."""

from typing import Literal

import numpy as np

from ferkeras.faces.detection import Faces

FaceChoice = Literal["all", "largest", "central", "best"]


def choose(faces: Faces, rule: FaceChoice, *, image_shape: tuple[int, ...]) -> Faces:
    """The faces that `rule` picks; of equals the one with the better score, which comes first.

    Args:
        faces: The N faces of a picture.
        rule: `all`; `largest` by area; `central`, whose centre is nearest to the picture's; `best` by score.
        image_shape: H, W, ... of the picture.
    """
    if rule == "all" or not len(faces):
        return faces
    if rule == "best":
        return faces[[0]]
    x, y, width, height = faces.boxes.T.astype(np.float64)
    if rule == "largest":
        return faces[[int(np.argmax(width * height))]]
    distance = np.hypot(x + width / 2 - image_shape[1] / 2, y + height / 2 - image_shape[0] / 2)
    return faces[[int(np.argmin(distance))]]
