"""OpenCV's ResNet-SSD face detector, from a model file of the user's.

Source: Liu et al., "SSD: single shot multibox detector", ECCV 2016, with the ten-layer residual network of OpenCV's
samples (`res10_300x300_ssd_iter_140000.caffemodel` and `deploy.prototxt`, or `opencv_face_detector_uint8.pb` and
`.pbtxt`). The files are not part of this package; what is written here was never run on them, only on a tiny network of
the tests with the same inputs and outputs.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.detection import Detector, Faces

#: Height and width that the network was trained on, the mean that is taken off its blue, green and red, least score.
SIDE, MEAN, SCORE = 300, (104.0, 177.0, 123.0), 0.5
#: Suffix of the weights -> suffixes of the network's description, which lies beside them.
DESCRIPTIONS = {".caffemodel": ".prototxt", ".pb": ".pbtxt"}


class ResNetSSD:
    """Finds faces; smaller ones than `min_face` are left out. Not to be called from two threads at once."""

    name = "ssd"

    def __init__(self, model_file: Path, *, min_face: int) -> None:
        self._file, self._min_face = model_file, min_face
        try:
            self._network = cv2.dnn.readNet(str(model_file), str(description_of(model_file)))
        except cv2.error as error:
            raise _wrong_file(model_file, error) from error

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        """Faces of pictures (H, W, 3) uint8 RGB, which are all scaled to one size."""
        if not len(images):
            return []
        small = [cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for image in images]
        blob = cv2.dnn.blobFromImages(small, 1.0, (SIDE, SIDE), MEAN, swapRB=True, crop=False)
        try:
            self._network.setInput(blob)
            rows = self._network.forward().reshape(-1, 7)
        except cv2.error as error:
            raise _wrong_file(self._file, error) from error
        return [
            faces_of_rows(rows[rows[:, 0] == index], shape=image.shape, min_face=self._min_face)
            for index, image in enumerate(images)
        ]


def description_of(model_file: Path) -> Path:
    """The file beside the weights that describes the network; raises `InputError` if there is not exactly one."""
    suffix = DESCRIPTIONS.get(model_file.suffix)
    if suffix is None:
        raise InputError("ResNet-SSD comes as a .caffemodel or .pb file", received=str(model_file))
    same_name = model_file.with_suffix(suffix)
    found = [same_name] if same_name.is_file() else sorted(model_file.parent.glob(f"*{suffix}"))
    if len(found) != 1:
        received = ", ".join(path.name for path in found) or "none"
        raise InputError(f"One {suffix} file must lie beside {model_file.name}", received=received)
    return found[0]


def faces_of_rows(rows: np.ndarray, *, shape: tuple[int, ...], min_face: int) -> Faces:
    """OpenCV's rows (N, 7): picture, class, score, and the box's corners as fractions of the picture's sides."""
    rows = rows[rows[:, 2] >= SCORE]
    height, width = shape[:2]
    corners = rows[:, 3:] * np.array([width, height, width, height], np.float32)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1).astype(np.float32)
    order = np.argsort(-rows[:, 2], kind="stable")
    order = order[boxes[order, 2:].max(axis=1, initial=0) >= min_face]
    landmarks = np.full((len(order), 5, 2), np.nan, np.float32)
    return Faces(boxes[order], np.clip(rows[order, 2], 0, 1).astype(np.float32), landmarks)


def create(model_file: Path, *, min_face: int) -> Detector:
    return ResNetSSD(model_file, min_face=min_face)


def _wrong_file(path: Path, error: cv2.error) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError(
        "The file is not a model that OpenCV can run as ResNet-SSD", received=str(path), action=f"{reason}."
    )
