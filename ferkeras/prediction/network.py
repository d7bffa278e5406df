"""A trained network on faces one after the other: stills each by itself, clips over the last frames of each person."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np

from ferkeras.inference import Runner, softmax
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.prediction.result import Scores
from ferkeras.valence_arousal import expected_values


class Crop(NamedTuple):
    """What a network sees of one face.

    Attributes:
        track_id: Whose face it is.
        frame: Number of its frame.
        pixels: (H, W, C) uint8.
    """

    track_id: int
    frame: int
    pixels: np.ndarray


class Network(Protocol):
    """Says something of each of some faces, which come in the order of time; None where it has seen too little."""

    def __call__(self, crops: Sequence[Crop]) -> list[Scores | None]: ...


class StillNetwork:
    """A network of single faces.

    Args:
        run: Images (B, H, W, C) to logits.
    """

    def __init__(self, run: Runner) -> None:
        self._run = run

    def __call__(self, crops: Sequence[Crop]) -> list[Scores | None]:
        return list(scores_of(self._run(np.stack([crop.pixels for crop in crops])))) if crops else []


class ClipNetwork:
    """A network of clips, over a window that ends at each face.

    The window of a face in frame n are the `frames` frames n, n - stride, n - 2 stride, ... of the same person; those
    without the face are masked. Each face is encoded once where the network lets its encoder run apart.

    Args:
        encode: Images (B, H, W, C) to vectors (B, D), or what keeps them as they are.
        run: Vectors or images of windows (B, T, ...) and their mask (B, T) to logits (B, K) or (B, T, K).
        frames: T.
        stride: Frames of the video from one frame of a window to the next.
        min_frames: Faces that a window must have at least.
    """

    def __init__(
        self,
        encode: Callable[[np.ndarray], np.ndarray],
        run: Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]],
        *,
        frames: int,
        stride: int = 1,
        min_frames: int = 1,
    ) -> None:
        self._encode, self._run = encode, run
        self._frames, self._stride, self._min_frames = frames, stride, min_frames
        self._seen: dict[int, dict[int, np.ndarray]] = defaultdict(dict)  # track -> frame -> vector

    def __call__(self, crops: Sequence[Crop]) -> list[Scores | None]:
        if not crops:
            return []
        vectors = self._encode(np.stack([crop.pixels for crop in crops]))
        windows: list[tuple[np.ndarray, np.ndarray] | None] = []
        for crop, vector in zip(crops, vectors, strict=True):
            self._seen[crop.track_id][crop.frame] = vector
            windows.append(self._window(crop))
        self._forget(before=crops[-1].frame - self._frames * self._stride)
        ready = [window for window in windows if window is not None]
        if not ready:
            return [None] * len(crops)
        clips, masks = (np.stack(parts) for parts in zip(*ready, strict=True))
        outputs = self._run(clips, masks)
        last = masks.shape[1] - 1 - masks[:, ::-1].argmax(1)  # of windows that are padded at their end
        scores = iter(scores_of({head: _at(values, last) for head, values in outputs.items()}))
        return [None if window is None else next(scores) for window in windows]

    def _window(self, crop: Crop) -> tuple[np.ndarray, np.ndarray] | None:
        """Vectors (T, ...) and mask (T,), as in training from the first frame on and padded at the end."""
        seen = self._seen[crop.track_id]
        places = range(crop.frame - (self._frames - 1) * self._stride, crop.frame + 1, self._stride)
        first = min(seen)
        found = [seen.get(place) for place in places if place >= first]
        mask = np.zeros(self._frames, bool)
        mask[: len(found)] = [vector is not None for vector in found]
        if mask.sum() < self._min_frames:
            return None
        clip = np.zeros((self._frames, *seen[crop.frame].shape), seen[crop.frame].dtype)
        for place, vector in enumerate(found):
            if vector is not None:
                clip[place] = vector
        return clip, mask

    def _forget(self, *, before: int) -> None:
        for track_id in list(self._seen):
            kept = {frame: vector for frame, vector in self._seen[track_id].items() if frame > before}
            if kept:
                self._seen[track_id] = kept
            else:
                del self._seen[track_id]


def clip_network(run: Runner, model: keras.Model | None, *, frames: int, stride: int, min_frames: int) -> ClipNetwork:
    """A `ClipNetwork` of `model`, by its encoder and its temporal part where it has them, or else of `run`.

    Args:
        run: Takes {"frames": (B, T, H, W, C), "frame_mask": (B, T)}.
        model: The Keras model, where that is what is run; None for other artefacts.
        frames: See `ClipNetwork`.
        stride: Likewise.
        min_frames: Likewise.
    """
    parts = {} if model is None else {layer.name: layer for layer in model.layers}
    if not {"encoder", "temporal"} <= set(parts):

        def run_whole(clips: np.ndarray, masks: np.ndarray) -> Mapping[str, np.ndarray]:
            return run({"frames": clips, "frame_mask": masks})

        return ClipNetwork(lambda images: images, run_whole, frames=frames, stride=stride, min_frames=min_frames)
    encoder, temporal = parts["encoder"], parts["temporal"]

    def encode(images: np.ndarray) -> np.ndarray:
        return np.asarray(encoder.predict_on_batch(images))

    def run_temporal(clips: np.ndarray, masks: np.ndarray) -> Mapping[str, np.ndarray]:
        return keras.tree.map_structure(np.asarray, temporal.predict_on_batch(_inputs(temporal, clips, masks)))

    return ClipNetwork(encode, run_temporal, frames=frames, stride=stride, min_frames=min_frames)


def _inputs(temporal: Any, clips: np.ndarray, masks: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs of a temporal part by their names: the mask is called `frame_mask`, the vectors whatever is left."""
    (vectors,) = {tensor.name for tensor in temporal.inputs} - {"frame_mask"}
    return {vectors: clips, "frame_mask": masks}


def _at(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(B, K) of (B, K), or of (B, T, K) at one place in T of each."""
    return values[np.arange(len(values)), places] if values.ndim == 3 else values


def scores_of(outputs: Mapping[str, np.ndarray]) -> list[Scores]:
    """`Scores` of B faces from logits of heads (B, K): softmax over the emotions; for valence and arousal the
    expectation over 21 bins, or the number itself, on the scale of [-1, 1]."""
    parts: dict[str, Any] = {}
    if "emotion" in outputs:
        parts["probabilities"] = softmax(np.asarray(outputs["emotion"]))
    for head in ("valence", "arousal"):
        if head in outputs:
            parts[head] = _values(np.asarray(outputs[head])).tolist()
    count = len(next(iter(parts.values())))
    return [Scores(**{name: values[index] for name, values in parts.items()}) for index in range(count)]


def _values(logits: np.ndarray) -> np.ndarray:
    if logits.shape[-1] == len(VALENCE_AROUSAL_BINS):
        return expected_values(logits)
    return np.clip(logits[..., 0].astype(np.float64), -1, 1)
