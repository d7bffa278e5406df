"""Runs a model over batches and gathers what it says, in the order of the input."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.pipeline import StillPipeline
from ferkeras.labels import UNLABELLED

#: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T) bool}, pixels in [0, 255] -> {head: logits
#: (B, K) or (B, T, K)}: a Keras model or an exported artefact.
Runner = Callable[[Any], dict[str, np.ndarray]]


def evaluation_batch(data: StillPipeline | ClipPipeline) -> int:
    """Examples in a batch that is only measured: 256 images, or clips of as many frames together."""
    return max(1, 256 // data.windows.frames) if isinstance(data, ClipPipeline) else 256


def keras_runner(model: keras.Model) -> Runner:
    """`model` as a `Runner`; compiled once, in inference mode."""

    def run(images: Any) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in model.predict_on_batch(images).items()}

    return run


def shuffled_frames(run: Runner, *, seed: int = 0, keep_last: bool = False) -> Runner:
    """`run` on clips whose frames come in a random order, each clip in its own: what is lost is what time told.

    Frames that the mask leaves out stay where they are. The order depends on the seed and on the frames alone. Outputs
    for each frame (B, T, K) are put back to where their frame was.

    Args:
        run: Takes {"frames", "frame_mask"}.
        seed: Of the order.
        keep_last: Leave the last frame of a clip in its place, for outputs that are about that frame.
    """

    def shuffled(inputs: Any) -> dict[str, np.ndarray]:
        frames, mask = inputs["frames"], inputs["frame_mask"]
        source = np.tile(np.arange(frames.shape[1]), (len(frames), 1))  # (B, T), where each frame comes from
        for row, clip, valid in zip(source, frames, mask, strict=True):
            shown = np.flatnonzero(valid)
            moved = shown[:-1] if keep_last else shown
            row[moved] = np.random.default_rng([seed, int(clip.sum(dtype=np.int64))]).permutation(moved)
        clips = np.arange(len(frames))[:, None]
        outputs = run({**inputs, "frames": frames[clips, source]})
        back = np.argsort(source, axis=1)
        return {head: values[clips, back] if values.ndim == 3 else values for head, values in outputs.items()}

    return shuffled


def gather(run: Runner, batches: Iterable[tuple[Any, Any]], *, head: str = "emotion") -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, K) float32 and labels (N,) int64 of all examples of `batches` of (images, labels)."""
    logits, labels = gather_heads(run, batches, heads=(head,))
    return logits[head], labels[head]


def gather_heads(
    run: Runner, batches: Iterable[tuple[Any, Any]], *, heads: Sequence[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Logits (N, K) or (N, T, K) float32 and labels (N,) or (N, T) int64 of each head, see `seen_labels`."""
    logits: dict[str, list[np.ndarray]] = {head: [] for head in heads}
    labels: dict[str, list[np.ndarray]] = {head: [] for head in heads}
    for given, batch_labels in batches:
        inputs = keras.tree.map_structure(np.asarray, given)
        outputs = run(inputs)
        by_head = batch_labels if isinstance(batch_labels, Mapping) else {heads[0]: batch_labels}
        seen = seen_labels(inputs, by_head)
        for head in heads:
            logits[head].append(outputs[head])
            labels[head].append(seen[head])
    return (
        {head: np.concatenate(parts).astype(np.float32) for head, parts in logits.items()},
        {head: np.concatenate(parts).astype(np.int64) for head, parts in labels.items()},
    )


def seen_labels(inputs: Any, labels: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Labels of each head, those of frames (B, T) `UNLABELLED` where the mask is False: what a network says of a frame
    without a face means nothing."""

    def seen(values: np.ndarray) -> np.ndarray:
        return np.where(inputs["frame_mask"], values, UNLABELLED) if values.ndim == 2 else values

    return {head: seen(np.asarray(values)) for head, values in labels.items()}


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Logarithms of the probabilities (..., K) in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (..., K) in float64, which sum to one closely enough for every check."""
    return np.exp(log_softmax(logits))
