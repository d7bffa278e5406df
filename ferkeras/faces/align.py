"""Faces in a canonical pose: a similarity transform of five landmarks onto a template, and its inverse.

Pixel coordinates count from the centre of the first pixel: the upper left corner of a picture is (-0.5, -0.5), its
lower right corner (W - 0.5, H - 0.5). Boxes (x, y, width, height) count from that corner: the whole picture is
(0, 0, W, H).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ferkeras.errors import InputError

#: x, y of eye, eye, nose tip, mouth corner, mouth corner, the left one in the image first, in a crop of 112 x 112
#: pixels. Source: Deng et al., "ArcFace", CVPR 2019; the numbers published with it. Not quite
#: symmetric: it differs from its mirror image in the crop by up to 1.3 pixels.
TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)
TEMPLATE_SIZE = 112
#: How much each landmark counts. Nose and mouth move with expression and pose: with equal weights the smile of the
#: portrait in the tests pushes its eyes 3.5 of 112 pixels from their place, with these 2. In return a face that is
#: turned away, whose eyes are closer to each other, is shown larger: by 1.3 where its width is 0.6 of the frontal one.
WEIGHTS = np.array([10.0, 10.0, 1.0, 1.0, 1.0]) / 23


@dataclass(frozen=True)
class Alignment:
    """Where a face lies in its crop.

    Attributes:
        size: Height and width S of the crop in pixels.
        margin: What is seen around the plain crop on each of its four sides, as a fraction of the side of the plain
            crop: the face shrinks to 1 / (1 + 2 margin) of its size, around the centre of the crop. Down to -0.3,
            negative ones cut into the face.
    """

    size: int = TEMPLATE_SIZE
    margin: float = 0.0

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InputError("size must be at least 1 pixel", received=self.size)
        if not -0.3 <= self.margin <= 10:
            raise InputError("margin must be in [-0.3, 10]", received=self.margin)

    @property
    def template(self) -> np.ndarray:
        """(5, 2) float32 x, y: where the landmarks belong, in pixels of the crop."""
        from_centre = TEMPLATE - (TEMPLATE_SIZE - 1) / 2
        scale = self.size / TEMPLATE_SIZE / (1 + 2 * self.margin)
        return (from_centre * scale + (self.size - 1) / 2).astype(np.float32)

    def matrix(self, landmarks: np.ndarray) -> np.ndarray:
        """(2, 3) float64 from pixels of the picture to pixels of the crop: rotation, one scale, shift; no reflection.

        Source: Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI
        1991, weighted by `WEIGHTS`. In the plane its solution is linear regression in complex numbers:
        crop = a * picture + b.

        Args:
            landmarks: (5, 2) x, y in pixels of the picture, in the order of `TEMPLATE`.

        Raises:
            InputError: if a landmark is not finite, or all are in one place.
        """
        points = np.asarray(landmarks, np.float64)
        if points.shape != (5, 2):
            raise InputError("Landmarks of a face must be (5, 2)", received=f"shape {points.shape}")
        picture, crop = points @ (1, 1j), self.template.astype(np.float64) @ (1, 1j)
        picture_mean, crop_mean = WEIGHTS @ picture, WEIGHTS @ crop
        centred = picture - picture_mean
        variance = WEIGHTS @ np.abs(centred) ** 2
        if not variance > 1e-6:  # also where it is NaN
            what, action = "Landmarks must be finite and not all in one place", "For boxes alone there is `box_matrix`."
            raise InputError(what, received=points.tolist(), action=action)
        a = WEIGHTS @ (centred.conj() * (crop - crop_mean)) / variance
        b = crop_mean - a * picture_mean
        return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])

    def box_matrix(self, box: np.ndarray) -> np.ndarray:
        """The same for a face without landmarks: the square around the centre of `box` becomes the plain crop.

        The side of the square is the longer one of the box (4,) x, y, width, height: nothing of the face is cut off.

        Raises:
            InputError: if the box is not finite or empty.
        """
        x, y, width, height = (float(value) for value in box)
        if not (np.isfinite([x, y]).all() and 0 < width < np.inf and 0 < height < np.inf):
            action = "Width and height are above 0."
            raise InputError("A box must be finite and not empty", received=[x, y, width, height], action=action)
        scale = self.size / (1 + 2 * self.margin) / max(width, height)
        centre = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
        return np.column_stack([np.eye(2) * scale, (self.size - 1) / 2 - scale * centre])

    def crop(self, image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """(S, S, C) uint8 of `image` (H, W, C) uint8 seen through `matrix` (2, 3), without aliasing.

        Beyond the border of the picture its outermost pixels are repeated. Black would draw an edge, stronger than any
        in the face, through the crop, and change the mean by which some networks normalise.
        """
        height, width, channels = image.shape
        corners = np.array([[-1, -1], [self.size, -1], [-1, self.size], [self.size, self.size]])
        seen = map_points(invert(matrix), corners)
        reach = 2 / max(_scale(matrix), 1e-3) + 2  # pixels beyond, for the filters
        left, top = np.clip(np.floor(seen.min(0) - reach), 0, (width - 1, height - 1)).astype(int)
        right, bottom = np.clip(np.ceil(seen.max(0) + reach), (left + 1, top + 1), (width, height)).astype(int)
        part = image[top:bottom, left:right]
        matrix = matrix @ [[1, 0, left], [0, 1, top], [0, 0, 1]]
        if _scale(matrix) < 1:  # warpAffine reads 4 x 4 pixels whatever the scale, so averages must be taken before
            part, shrink = _shrink(part, _scale(matrix))
            matrix = matrix @ np.vstack([invert(shrink), [0, 0, 1]])
        shape = (self.size, self.size)
        warped = cv2.warpAffine(part, matrix, shape, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return warped.reshape(self.size, self.size, channels)


def invert(matrix: np.ndarray) -> np.ndarray:
    """(2, 3) of the way back."""
    return np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (..., 2) through `matrix` (2, 3), in float64; NaN stays NaN."""
    return points @ matrix[:, :2].T + matrix[:, 2]


def map_box(matrix: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(4,) the smallest upright box x, y, width, height around `box` (4,) seen through `matrix`."""
    x, y, width, height = (float(value) for value in box)
    corners = np.array([[x, y], [x + width, y], [x, y + height], [x + width, y + height]]) - 0.5
    mapped = map_points(matrix, corners) + 0.5
    return np.concatenate([mapped.min(0), np.ptp(mapped, axis=0)])


def _scale(matrix: np.ndarray) -> float:
    """Crop pixels per pixel of the picture."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def _shrink(image: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """`image` (H, W, C) with the sides scaled by about `scale` below 1, and the exact (2, 3) from it to the result."""
    height, width = image.shape[:2]
    small_width, small_height = max(round(width * scale), 1), max(round(height * scale), 1)
    small = cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA)
    factors = np.array([small_width / width, small_height / height])
    return small, np.column_stack([np.diag(factors), (factors - 1) / 2])
