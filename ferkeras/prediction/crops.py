"""From a face in a picture to the pixels that the network of a run was trained to see."""

from dataclasses import dataclass

import numpy as np

from ferkeras.data.preprocess import Preprocessing
from ferkeras.faces.align import Alignment
from ferkeras.faces.track import TrackedFace


@dataclass(frozen=True)
class Cropper:
    """Turns a face upright, cuts it out and gives it the size and colour of a network's input.

    Attributes:
        preprocessing: Size and colour.
        alignment: Where a face lies in its crop.
        whole: Pictures are faces already: nothing is cut, and they are scaled as in training.
    """

    preprocessing: Preprocessing
    alignment: Alignment
    whole: bool = False

    def __call__(self, image: np.ndarray, face: TrackedFace) -> np.ndarray:
        """(H, W, C) uint8 of `image` (h, w, 3) uint8."""
        if self.whole:
            return np.asarray(self.preprocessing(image))
        return np.asarray(self.preprocessing(self.alignment.crop(image, self.matrix(face))))

    def matrix(self, face: TrackedFace) -> np.ndarray:
        """(2, 3) from pixels of the picture to those of the crop: by the landmarks, or by the box without them."""
        if np.isfinite(face.landmarks).all():
            return self.alignment.matrix(face.landmarks)
        return self.alignment.box_matrix(face.box)
