"""OpenCV's Haar cascade for frontal faces.

Source: Viola & Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001, with the cascade
that OpenCV 4 brings. Fast, for upright frontal faces; it gives no landmarks.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.detection import Detector, Faces

CASCADE = "haarcascade_frontalface_default.xml"
#: Ratio of neighbouring sizes that are looked for, and overlapping finds that make a face.
PYRAMID, NEIGHBOURS = 1.1, 5
#: Weight of the last stage at which the score is one half: about where faces and other things are equally frequent.
MIDDLE = 4.0


class HaarCascade:
    """Finds upright frontal faces of at least `min_face` pixels. Not to be called from two threads at once."""

    name = "haar"

    def __init__(self, *, min_face: int) -> None:
        path = Path(cv2.__file__).parent / "data" / CASCADE
        self._cascade = cv2.CascadeClassifier(str(path))
        if self._cascade.empty():
            raise InputError("OpenCV has no Haar cascade", received=str(path), action="Install OpenCV 4, not 5.")
        self._min_face = min_face

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        """Faces of pictures (H, W, 3) uint8 RGB. The score is the logistic function of the last stage's weight."""
        return [self._detect(image) for image in images]

    def _detect(self, image: np.ndarray) -> Faces:
        boxes, _, weights = self._cascade.detectMultiScale3(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
            scaleFactor=PYRAMID,
            minNeighbors=NEIGHBOURS,
            minSize=(self._min_face, self._min_face),
            outputRejectLevels=True,
        )
        if not len(boxes):
            return Faces.none()
        scores = 1 / (1 + np.exp(MIDDLE - np.asarray(weights, np.float64).ravel()))
        order = np.argsort(-scores, kind="stable")
        landmarks = np.full((len(order), 5, 2), np.nan, np.float32)
        return Faces(np.asarray(boxes, np.float32)[order], scores[order].astype(np.float32), landmarks)


def create(*, min_face: int) -> Detector:
    return HaarCascade(min_face=min_face)
