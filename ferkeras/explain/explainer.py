"""Explains what a `Predictor` says of faces, in pictures and in videos."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np

from ferkeras.aggregation import AGGREGATION_FILE
from ferkeras.errors import InputError
from ferkeras.explain.maps import Maps, Options, explain
from ferkeras.explain.network import Inputs
from ferkeras.explain.overlay import overlay, placed
from ferkeras.explain.target import Target, find_target, targets_of
from ferkeras.prediction.network import ClipNetwork, Crop
from ferkeras.prediction.predictor import Predictor
from ferkeras.prediction.result import FaceResult, FrameResult, Scores


@dataclass(frozen=True, eq=False)
class FaceMap:
    """One face with what counted in it.

    Attributes:
        result: The face and its scores.
        inputs: What the network was given: an image (1, H, W, C), or {"frames": (1, T, H, W, C), "frame_mask": (1, T)}.
        target: What is explained.
        maps: Of this one example.
    """

    result: FaceResult
    inputs: Inputs
    target: Target
    maps: Maps

    @property
    def crop(self) -> np.ndarray:
        """(H, W, C) uint8: the face as the network sees it; of a clip the last frame."""
        return self.inputs["frames"][0, self._last] if isinstance(self.inputs, Mapping) else self.inputs[0]

    @property
    def map(self) -> np.ndarray:
        """(H, W) in [0, 1], likewise."""
        return self.maps.map[0, self._last] if isinstance(self.inputs, Mapping) else self.maps.map[0]

    @property
    def _last(self) -> int:
        return int(np.flatnonzero(self.inputs["frame_mask"][0])[-1])

    @property
    def value(self) -> float:
        """What the network says of the target: a probability, or a value in [-1, 1]."""
        return value_of(self.result.scores or Scores(), self.target)


class Explainer:
    """Maps for the faces that a predictor finds.

    Args:
        predictor: Finds the faces and judges them; its artefact must be the Keras model.
        method: One of `ferkeras.explain.maps.METHODS`.
        target: A class, `valence` or `arousal`; None is the most probable class of each face, and without classes
            valence.
        options: Settings of the method.

    Raises:
        InputError: for an unknown target, or a run without a network over time that judges clips.
    """

    def __init__(
        self,
        predictor: Predictor,
        *,
        method: str = "gradcam",
        target: str | None = None,
        options: Options | None = None,
    ) -> None:
        heads = predictor.folder.heads()
        self.targets = targets_of(heads)
        self.method, self.options = method, options or Options()
        self._predictor = predictor
        self._target = None if target is None else find_target(heads, target)
        if (predictor.folder.path / AGGREGATION_FILE).is_file():
            action = "Explain the run of the network of single frames that it was made from."
            raise InputError("This run puts frames together without a network", received="it", action=action)

    @cached_property
    def model(self) -> keras.Model:
        return self._predictor.folder.load_model()

    def faces(self, result: FrameResult) -> list[FaceMap]:
        """The faces of a picture or frame, each by itself; for networks of images."""
        if result.image is None:
            return []
        crops = [self._predictor.crop(result.image, face.face) for face in result.faces]
        return [self._explained(face, crop[None]) for face, crop in zip(result.faces, crops, strict=True)]

    def video(self, results: Iterable[FrameResult], *, every_s: float) -> Iterator[tuple[FrameResult, list[FaceMap]]]:
        """Frames of a video, one every so many seconds, with their faces; for a network of clips each face with the
        window of frames that ends there, as soon as it holds enough.

        Args:
            results: Of `Predictor.video` or `stream`, all frames.
            every_s: 0 is every frame.
        """
        windows = _Windows(self._predictor) if self._predictor.takes_clips else None
        due = 0.0
        for result in results:
            inputs: list[Inputs | None] = [None] * len(result.faces)
            if windows is not None:
                inputs = windows.take(result)
            if (result.time_s or 0.0) < due - 1e-6:
                continue
            due = (result.time_s or 0.0) + every_s
            if windows is None:
                yield result, self.faces(result)
                continue
            pairs = zip(result.faces, inputs, strict=True)
            yield result, [self._explained(face, window) for face, window in pairs if window is not None]

    def by_class(self, face: FaceMap) -> list[tuple[Target, float, np.ndarray]]:
        """Every target of the network with what it says of the face, and a map (H, W) in [0, 1] each."""
        found = []
        for target in self.targets.values():
            other = face if target == face.target else self._explained(face.result, face.inputs, target)
            found.append((target, other.value, other.map))
        return found

    def overlay(self, result: FrameResult, faces: Iterable[FaceMap]) -> np.ndarray:
        """The picture (H, W, 3) uint8 of `result` under the maps of its faces, each where the face is."""
        if result.image is None:
            raise InputError("There is no picture to draw on", received=result.source)
        crop = self._predictor.crop
        shown = np.zeros(result.image.shape[:2], np.float32)
        for face in faces:
            matrix = None if crop.whole else crop.matrix(face.result.face)
            there = placed(face.map, matrix, result.image.shape, size=crop.alignment.size)
            shown = np.maximum(shown, there)
        return overlay(result.image, shown)

    def _explained(self, face: FaceResult, inputs: Inputs, target: Target | None = None) -> FaceMap:
        target = target or self._target or self._most_probable(face)
        maps = explain(self.model, inputs, target, method=self.method, options=self.options)
        return FaceMap(face, inputs, target, maps)

    def _most_probable(self, face: FaceResult) -> Target:
        targets = list(self.targets.values())
        probabilities = None if face.scores is None else face.scores.probabilities
        return targets[0 if probabilities is None else int(probabilities.argmax())]


class _Windows:
    """The clips that the network of a predictor sees of each face: its own windows, kept as pixels."""

    def __init__(self, predictor: Predictor) -> None:
        settings, clips = predictor.folder.preprocessing(), predictor.folder.recipe().data.clips
        self._crop = predictor.crop
        self._made: list[tuple[np.ndarray, np.ndarray]] = []
        self._network = ClipNetwork(
            lambda images: images,
            self._keep,
            frames=settings["frames"],
            stride=settings["stride"],
            min_frames=1 if clips is None else clips.min_frames,
        )

    def take(self, result: FrameResult) -> list[Inputs | None]:
        """For each face its window, a batch of one; None where it holds too few frames."""
        if result.image is None:
            return [None] * len(result.faces)
        crops = [Crop(face.face.track_id, result.frame, self._crop(result.image, face.face)) for face in result.faces]
        self._made = []
        ready = [scores is not None for scores in self._network(crops)]
        windows = iter(self._made)
        return [self._inputs(*next(windows)) if is_ready else None for is_ready in ready]

    def _keep(self, clips: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
        """Stands where the network would, and says nothing of its own."""
        self._made = list(zip(clips, masks, strict=True))
        return {"emotion": np.zeros((len(clips), 1))}

    @staticmethod
    def _inputs(clip: np.ndarray, mask: np.ndarray) -> Inputs:
        return {"frames": clip[None], "frame_mask": mask[None]}


def value_of(scores: Scores, target: Target) -> float:
    """The number of `target` in `scores`, NaN where there is none."""
    if target.index is not None:
        return float("nan") if scores.probabilities is None else float(scores.probabilities[target.index])
    found = getattr(scores, target.head)
    return float("nan") if found is None else found
