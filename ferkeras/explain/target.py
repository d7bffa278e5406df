"""What is explained: one class of the emotions, valence or arousal."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.inference import softmax
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.valence_arousal import expected_values

AFFECT = ("valence", "arousal")


@dataclass(frozen=True)
class Target:
    """One number that a network says of a face.

    Attributes:
        name: The class, `valence` or `arousal`.
        head: Output of the network.
        index: Number of the class; None for valence and arousal.
    """

    name: str
    head: str
    index: int | None = None

    def score(self, outputs: Mapping[str, Any], frame_mask: Any = None) -> Any:
        """(B,) tensor, differentiable: the logit of the class; of valence and arousal the expectation over the bins.

        Args:
            outputs: {head: logits (B, K) or (B, T, K)}. Of T frames the last valid one counts.
            frame_mask: (B, T), for outputs of frames.
        """
        logits = outputs[self.head]
        if len(logits.shape) == 3:
            logits = _at_last(logits, frame_mask)
        if self.index is not None:
            return logits[:, self.index]
        if logits.shape[-1] == 1:
            return logits[:, 0]
        bins = np.array(VALENCE_AROUSAL_BINS, np.float32) / VALENCE_AROUSAL_BINS[-1]
        return keras.ops.matmul(keras.ops.softmax(logits, axis=-1), bins)

    def value(self, outputs: Mapping[str, Any], frame_mask: Any = None) -> np.ndarray:
        """(B,) float64, as people read it: the probability of the class in [0, 1], or a value in [-1, 1]."""
        logits = keras.ops.convert_to_tensor(outputs[self.head])
        if len(logits.shape) == 3:
            logits = _at_last(logits, frame_mask)
        numbers = np.asarray(keras.ops.convert_to_numpy(logits))
        if self.index is not None:
            return softmax(numbers)[:, self.index]
        return expected_values(numbers) if numbers.shape[-1] > 1 else np.clip(numbers[:, 0].astype(float), -1, 1)


def targets_of(heads: Mapping[str, Sequence[Any]]) -> dict[str, Target]:
    """All that can be explained of a network, by name, the emotions first, in the order of the outputs.

    Args:
        heads: As `RunFolder.heads` gives them.
    """
    found = {str(name): Target(str(name), "emotion", index) for index, name in enumerate(heads.get("emotion", ()))}
    return found | {head: Target(head, head) for head in AFFECT if head in heads}


def find_target(heads: Mapping[str, Sequence[Any]], name: str) -> Target:
    """The target `name`; raises `InputError` with a suggestion if the network does not have it."""
    targets = targets_of(heads)
    if name not in targets:
        close = difflib.get_close_matches(name, targets, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"It has {', '.join(targets)}."
        raise InputError("The network does not have this class", received=name, action=hint)
    return targets[name]


def _at_last(logits: Any, frame_mask: Any) -> Any:
    """(B, T, K) -> (B, K) at the last frame that the mask (B, T) leaves in."""
    mask = keras.ops.cast(frame_mask, "float32")
    steps = keras.ops.arange(1, mask.shape[1] + 1, dtype="float32")
    last = keras.ops.argmax(mask * steps, axis=1)
    chosen = keras.ops.one_hot(last, mask.shape[1], dtype="float32")
    return keras.ops.sum(logits * chosen[:, :, None], axis=1)
