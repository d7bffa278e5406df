"""How faithful a map is: what the network says while the picture is taken away, or built up, in the map's order."""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import keras
import numpy as np

from ferkeras.errors import InputError
from ferkeras.explain.network import Inputs, pixels_of, values
from ferkeras.explain.target import Target

STEPS = 24


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """Curves and areas for each of B examples.

    Attributes:
        deletion: (B, steps + 1): how much of the target is left with 0 to all pixels taken away. A faithful map takes
            it away early: the smaller the area, the better.
        insertion: (B, steps + 1): likewise with 0 to all pixels put into the blurred picture; larger is better.
    """

    deletion: np.ndarray
    insertion: np.ndarray

    @property
    def deletion_area(self) -> np.ndarray:
        """(B,) area under the curve over the share of pixels in [0, 1]."""
        return _area(self.deletion)

    @property
    def insertion_area(self) -> np.ndarray:
        return _area(self.insertion)


def faithfulness(
    model: keras.Model, inputs: Inputs, target: Target, maps: np.ndarray, *, steps: int = STEPS, batch: int = 32
) -> Faithfulness:
    """Insertion and deletion.

    Source: Petsiuk et al., "RISE", BMVC 2018, section 4.2: deletion by a constant, insertion into a blurred picture.
    Deviations: the constant is the mean of the picture, and the pixels of a clip are ranked over all its frames. For
    valence and arousal, which have no probability, the curve is 1 - |value - value of the whole picture| / 2.

    Args:
        model: A trained network.
        inputs: Images (B, H, W, C), or {"frames": (B, T, H, W, C), "frame_mask": (B, T)}, pixels in [0, 255].
        target: What the maps explain.
        maps: (B, [T,] H, W); the largest values go first, of equal ones those that stand first in the picture.
        steps: Points of a curve after its first one.
        batch: Changed copies that the network sees at once.

    Raises:
        InputError: for maps of another shape, or no step.
    """
    pixels = pixels_of(inputs)
    if maps.shape != pixels.shape[:-1] or steps < 1:
        what = f"Maps must have the shape {pixels.shape[:-1]} of the pictures, and a curve at least one step"
        raise InputError(what, received=f"{maps.shape}, {steps} steps")
    curves: dict[str, list[np.ndarray]] = {"deletion": [], "insertion": []}
    for index, (picture, importance) in enumerate(zip(pixels, maps, strict=True)):
        order = np.argsort(-importance, axis=None, kind="stable")
        mean = np.broadcast_to(picture.mean(axis=tuple(range(picture.ndim - 1))), picture.shape)
        for name, start, end in (("deletion", picture, mean), ("insertion", _blurred(picture), picture)):
            copies = _between(start, end, order, steps)
            mask = inputs["frame_mask"][index] if isinstance(inputs, Mapping) else None
            given = copies if mask is None else {"frames": copies, "frame_mask": np.tile(mask, (len(copies), 1))}
            found = values(model, given, target.value, batch=batch)
            if target.index is None:
                whole = found[0] if name == "deletion" else found[-1]
                found = 1 - np.abs(found - whole) / 2
            curves[name].append(found)
    return Faithfulness(np.stack(curves["deletion"]), np.stack(curves["insertion"]))


def random_maps(shape: tuple[int, ...], *, seed: int = 0) -> np.ndarray:
    """Maps (B, ...) of noise, the level that a map must beat; an example's does not depend on B."""
    return np.stack([np.random.default_rng([seed, index]).random(shape[1:]) for index in range(shape[0])])


def _between(start: np.ndarray, end: np.ndarray, order: np.ndarray, steps: int) -> np.ndarray:
    """(steps + 1, ...) pictures in which more and more pixels, in `order`, are those of `end`."""
    copies = np.tile(start, (steps + 1, *[1] * start.ndim))
    flat, last = copies.reshape(steps + 1, -1, start.shape[-1]), end.reshape(-1, end.shape[-1])
    for step in range(1, steps + 1):
        changed = order[: round(step * len(order) / steps)]
        flat[step, changed] = last[changed]
    return copies


def _blurred(picture: np.ndarray) -> np.ndarray:
    """([T,] H, W, C) without its details: a Gaussian of a tenth of the side."""
    frames = picture.reshape(-1, *picture.shape[-3:])
    sigma = max(frames.shape[1:3]) / 10
    blurred = [cv2.GaussianBlur(frame, (0, 0), sigma).reshape(frame.shape) for frame in frames]
    return np.stack(blurred).reshape(picture.shape)


def _area(curves: np.ndarray) -> np.ndarray:
    return np.trapezoid(curves, dx=1 / (curves.shape[1] - 1), axis=1)
