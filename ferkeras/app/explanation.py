"""Why the network said so: a map, such as Grad-CAM, over what it saw of a face."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ferkeras.app.model import Model
from ferkeras.explain.maps import explain
from ferkeras.explain.overlay import overlay, write_picture
from ferkeras.explain.target import find_target, targets_of

if TYPE_CHECKING:
    import keras

#: Side of the picture on the page, in pixels.
SIDE = 448


class Explainer:
    """Explains faces to whoever asks; the network is loaded for the first one.

    Args:
        model: The run.

    Attributes:
        targets: What can be explained: the emotions, valence, arousal.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._heads = model.predictor.folder.heads()
        self.targets = tuple(targets_of(self._heads))
        self._network = cache(self._load)

    def __call__(self, crop: np.ndarray, target: str, method: str, folder: Path) -> tuple[Path, bool]:
        """PNG of the face under the colours of its map, and whether any place speaks for the target.

        Args:
            crop: (h, w, 1 or 3) uint8, what the network saw.
            target: One of `targets`.
            method: One of `ferkeras.explain.maps.METHODS`.
            folder: For the file.

        Raises:
            InputError: for another target or method, or a network that the method cannot explain.
        """
        wanted = find_target(self._heads, target)
        with self._model.turn:
            (heat,) = explain(self._network(), crop[None].astype(np.float32), wanted, method=method).map
        height, width = crop.shape[:2]
        scale = SIDE / max(height, width)
        size = (round(width * scale), round(height * scale))
        face = cv2.resize(crop, size, interpolation=cv2.INTER_CUBIC)
        face = face[..., None] if face.ndim == 2 else face  # OpenCV drops a single channel
        path = folder / f"{method}_{target}.png"
        write_picture(overlay(face, cv2.resize(heat, size, interpolation=cv2.INTER_LINEAR)), path)
        return path, bool(heat.any())

    def _load(self) -> "keras.Model":
        return self._model.predictor.folder.load_model()
