"""YuNet, a small convolutional detector with five landmarks that OpenCV runs from a model file of the user's.

Source: Wu, Peng & Yu, "YuNet: a tiny millisecond-level face detector", Machine Intelligence Research, 2023. The model
file (`face_detection_yunet_*.onnx` of the OpenCV zoo) is not part of this package; what is written here was never run
on it, only on a tiny network of the tests with the same inputs and outputs.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.detection import Detector, Faces

#: Least score, largest overlap that remains, and number of candidates that are compared.
SCORE, OVERLAP, CANDIDATES = 0.6, 0.3, 1000
#: Width in pixels to which the smallest wanted face may shrink: twice the 10 pixels from which on YuNet sees faces.
SMALLEST = 20


class YuNet:
    """Finds faces of about `min_face` pixels and more. Not to be called from two threads at once."""

    name = "yunet"

    def __init__(self, model_file: Path, *, min_face: int) -> None:
        try:
            self._network = cv2.FaceDetectorYN.create(str(model_file), "", (320, 320), SCORE, OVERLAP, CANDIDATES)
        except cv2.error as error:
            raise _wrong_file(model_file, error) from error
        self._file, self._min_face = model_file, min_face

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        """Faces of pictures (H, W, 3) uint8 RGB."""
        found = []
        for image in images:
            height, width = image.shape[:2]
            scale = min(1.0, SMALLEST / self._min_face)
            shape = (max(1, round(width * scale)), max(1, round(height * scale)))
            small = cv2.resize(image, shape, interpolation=cv2.INTER_AREA) if scale < 1 else image
            try:
                self._network.setInputSize(shape)
                _, rows = self._network.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
            except cv2.error as error:
                raise _wrong_file(self._file, error) from error
            found.append(faces_of_rows(rows, stretch=(width / shape[0], height / shape[1])))
        return found


def faces_of_rows(rows: np.ndarray | None, *, stretch: tuple[float, float]) -> Faces:
    """OpenCV's rows (N, 15), box, five points, score, times `stretch` in x and y.

    The points begin with the right eye of the person, which is on the picture's left.
    """
    if rows is None or not len(rows):
        return Faces.none()
    rows = rows[np.argsort(-rows[:, 14], kind="stable")].astype(np.float32)
    places = rows[:, :14].reshape(-1, 7, 2) * np.array(stretch, np.float32)
    return Faces(places[:, :2].reshape(-1, 4), np.clip(rows[:, 14], 0, 1), places[:, 2:])


def create(model_file: Path, *, min_face: int) -> Detector:
    return YuNet(model_file, min_face=min_face)


def _wrong_file(path: Path, error: cv2.error) -> InputError:
    reason = " ".join(str(error).split())[:200]
    return InputError("The file is not a model that OpenCV can run as YuNet", received=str(path), action=f"{reason}.")
