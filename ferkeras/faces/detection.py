"""Face detectors behind one interface: pictures in, boxes, scores and five landmarks out."""

import difflib
import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ferkeras.errors import InputError

#: Name -> what it is.
DETECTORS: dict[str, str] = {
    "mtcnn": "MTCNN (Zhang et al., 2016): three small networks, five landmarks; the default",
    "haar": "OpenCV's Haar cascade (Viola & Jones, 2001): fast, frontal faces only, no landmarks",
    "ssd": "OpenCV's ResNet-SSD, from a model file of yours: no landmarks",
    "yunet": "OpenCV's YuNet, from a model file of yours: five landmarks",
    "none": "the whole picture is one face",
}
#: Name -> module, which has a function `create`.
_MODULES = {"mtcnn": "mtcnn", "haar": "haar", "ssd": "ssd", "yunet": "yunet", "none": "whole"}
#: Detectors that want a model file, and which one.
_FROM_FILE = {
    "ssd": "Name the .caffemodel with its .prototxt beside it, or the .pb with its .pbtxt, of OpenCV's ResNet-SSD.",
    "yunet": "Name the .onnx file of OpenCV's YuNet.",
}


@dataclass(frozen=True, eq=False)
class Faces:
    """The N faces of one picture, best score first.

    Attributes:
        boxes: (N, 4) float32 x, y, width, height in pixels of the picture; may reach beyond it.
        scores: (N,) float32 in [0, 1].
        landmarks: (N, 5, 2) float32 x, y of the eye on the picture's left, the eye on its right, the nose tip, the
            mouth corner on the left and on the right; NaN where the detector has none.
    """

    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, indices: Any) -> "Faces":
        indices = np.atleast_1d(np.asarray(indices, dtype=np.intp if np.size(indices) == 0 else None))
        return Faces(self.boxes[indices], self.scores[indices], self.landmarks[indices])

    @staticmethod
    def none() -> "Faces":
        """No face."""
        return Faces(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))


class Detector(Protocol):
    """Finds the faces of pictures (H, W, 3) uint8 RGB, whose sizes may differ."""

    name: str

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]: ...


def create_detector(name: str, *, model_file: Path | None = None, min_face: int = 40) -> Detector:
    """The detector `name`.

    Args:
        name: A key of `DETECTORS`.
        model_file: For `ssd` and `yunet`, which bring no weights of their own.
        min_face: Side in pixels of the smallest face that is looked for; the lower, the slower. MTCNN may find some
            that are smaller.

    Raises:
        InputError: for an unknown name, a model file that is missing, unreadable or not wanted, and a `min_face` under
            12 pixels.
    """
    if name not in DETECTORS:
        close = difflib.get_close_matches(name, DETECTORS, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(DETECTORS)}."
        raise InputError("Unknown face detector", received=name, action=hint)
    if min_face < 12:
        raise InputError("min_face must be at least 12 pixels", received=min_face)
    if (name in _FROM_FILE) != (model_file is not None):
        if model_file is None:
            raise InputError(f"The detector {name} needs a model file", action=_FROM_FILE[name])
        raise InputError(f"The detector {name} takes no model file", received=str(model_file))
    if model_file is not None and not model_file.is_file():
        raise InputError("There is no such model file", received=str(model_file), action=_FROM_FILE[name])
    module = importlib.import_module(f"ferkeras.faces.{_MODULES[name]}")
    if model_file is not None:
        return module.create(model_file, min_face=min_face)
    return module.create(min_face=min_face)
