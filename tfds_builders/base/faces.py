"""How pictures and frames become faces of one size: the settings of a configuration, and the work itself."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment
from ferkeras.faces.choice import choose
from ferkeras.faces.detection import Detector, create_detector
from ferkeras.faces.given import GivenFaces
from ferkeras.faces.landmarks68 import five_points

#: In the place of a detector: the faces of a file that the user brings.
GIVEN = "boxes"


@dataclass(frozen=True, kw_only=True)
class FaceSettings:
    """What is done to find and align a face; `ferkeras prepare --set key=value` changes it.

    Attributes:
        detector: A name in `ferkeras.faces.detection.DETECTORS`, of which `none` takes the whole picture for the face;
            or `boxes`, which takes the faces of a file, see `ferkeras.faces.given`. There a still goes by its id, a
            frame by the name of its recording and its number.
        model_file: For the detectors that want one; with `boxes`, that file.
        choice: Which of several faces.
        size: Height and width S of the aligned face, in pixels.
        margin: What is seen around the face, see `ferkeras.faces.align.Alignment`.
        channels: 1 (luma) or 3 (RGB).
        min_face: Smallest face that is looked for, in pixels of the picture.
        key_interval: Clips: the detector looks at every so-manieth frame, those between are followed.
        max_frames: Clips: longer ones are cut into consecutive ones of this length, which bounds the memory.
    """

    detector: str = "mtcnn"
    model_file: str | None = None
    choice: Literal["largest", "central", "best"] = "central"
    size: int = 112
    margin: float = 0.0
    channels: Literal[1, 3] = 3
    min_face: int = 40
    key_interval: int = 5
    max_frames: int = 300

    @property
    def alignment(self) -> Alignment:
        return Alignment(size=self.size, margin=self.margin)

    def check(self) -> None:
        """Raises `InputError` naming the value that is out of range."""
        for name, least in (("size", 8), ("min_face", 12), ("key_interval", 1), ("max_frames", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}", received=getattr(self, name))
        if not 0 <= self.margin <= 2:
            raise InputError("margin must be in [0, 2]", received=self.margin)
        if self.detector == GIVEN:
            self.given()

    def given(self) -> GivenFaces:
        """The faces of the user's file; raises `InputError` if there is none or it cannot be read."""
        if self.model_file is None:
            raise InputError("The detector boxes needs a file", action="Name it with --set faces.model_file=FILE.csv.")
        return _given(self.model_file)


@dataclass(eq=False, kw_only=True)
class FaceConfig(tfds.core.BuilderConfig):
    """A configuration of a builder that aligns faces.

    Attributes:
        faces: How faces are found and aligned; None stores the pictures of the data set as they are.
    """

    faces: FaceSettings | None = None


@functools.lru_cache(maxsize=1)
def _given(path: str) -> GivenFaces:
    return GivenFaces(Path(path))


@functools.lru_cache(maxsize=1)
def detector_of(name: str, model_file: str | None, min_face: int) -> Detector:
    """The detector of this process, made once: it holds compiled graphs."""
    return create_detector(name, model_file=Path(model_file) if model_file else None, min_face=min_face)


def align_still(
    image: np.ndarray,
    settings: FaceSettings,
    *,
    name: str,
    box: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The chosen face (S, S, C) uint8 of `image` (H, W, 1 or 3), and the matrix (2, 3) from picture to face.

    Landmarks that the data set has are taken as they are, and its box picks the face that the detector finds at it;
    without a detection there the box itself is cut out. None if there is no face.
    """
    alignment = settings.alignment
    if landmarks is not None:
        matrix = alignment.matrix(five_points(landmarks) if len(landmarks) == 68 else landmarks)
        return alignment.crop(colour(image, settings.channels), matrix), matrix
    rgb = colour(image, 3)
    if settings.detector == GIVEN:
        faces, box = settings.given().faces(name), None
    else:
        faces = detector_of(settings.detector, settings.model_file, settings.min_face)([rgb])[0]
    if box is None:
        faces = choose(faces, settings.choice, image_shape=rgb.shape)
    else:
        overlaps = [overlap(found, box) for found in faces.boxes]
        faces = faces[[int(np.argmax(overlaps))]] if overlaps and max(overlaps) > 0.3 else faces[[]]
    if len(faces):
        matrix = face_matrix(alignment, faces.boxes[0], faces.landmarks[0])
    elif box is not None:
        matrix = alignment.box_matrix(box)
    else:
        return None
    return alignment.crop(colour(image, settings.channels), matrix), matrix


def face_matrix(alignment: Alignment, box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(2, 3) from picture to face, by the landmarks (5, 2), or by the box (4,) where they are not known."""
    return alignment.box_matrix(box) if np.isnan(landmarks).any() else alignment.matrix(landmarks)


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared))


def colour(image: np.ndarray, channels: int) -> np.ndarray:
    """(H, W, 1 or 3) uint8 with this number of channels; luma by the weights of ITU-R BT.601."""
    if image.shape[-1] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=-1)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
