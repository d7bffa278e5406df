"""Test-time augmentation: one answer from several views of the same image or clip."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from ferkeras.data.crops import crop_boxes
from ferkeras.errors import InputError
from ferkeras.inference import Runner, softmax


def flip_views(images: Any) -> list[Any]:
    """The images (B, H, W, C) and their mirror images; clips likewise, all frames of which are mirrored."""
    if isinstance(images, Mapping):
        return [{**images, "frames": frames} for frames in flip_views(images["frames"])]
    return [images, images[..., ::-1, :]]


def ten_crop_views(images: np.ndarray, *, fraction: float = 40 / 48) -> list[np.ndarray]:
    """Four corners and the centre at `fraction` of the side, each scaled back to (H, W), and their mirror images.

    The boxes are those of `ferkeras.data.crops`; 40 of 48 pixels is the custom on FER2013.

    Raises:
        InputError: for clips.
    """
    if isinstance(images, Mapping):
        raise InputError("Ten crops are for still images", received="clips", action="Take the views flip or scales.")
    height, width = images.shape[1:3]
    views = []
    for rows, columns in crop_boxes(height, width, fraction=fraction):
        views += flip_views(_resized(images[:, rows, columns], height, width))
    return views


def scale_views(images: Any) -> list[Any]:
    """The images (B, H, W, C) as they are, from nearer and from farther off, and their mirror images; clips likewise.

    Source: multi-scale evaluation as in Simonyan & Zisserman, ICLR 2015 (arXiv 1409.1556), section 4.2. Deviation: the
    size of the views stays that of the network. A border of 1/24 of the side, 2 of 48 pixels, is cut off on every side,
    or laid around it as the mirror image of what is there, and the result is scaled back to (H, W).
    """
    if isinstance(images, Mapping):
        return [{**images, "frames": frames} for frames in scale_views(images["frames"])]
    height, width = images.shape[-3:-1]
    y, x = (round(side / 24) for side in (height, width))
    nearer = images[..., y : height - y, x : width - x, :]
    farther = np.pad(images, [(0, 0)] * (images.ndim - 3) + [(y, y), (x, x), (0, 0)], mode="reflect")
    scales = [images, _resized(nearer, height, width), _resized(farther, height, width)]
    return [view for scale in scales for view in flip_views(scale)]


def _resized(images: np.ndarray, height: int, width: int) -> np.ndarray:
    """(..., h, w, C) -> (..., height, width, C) float32, bilinear."""
    flat = images.reshape(-1, *images.shape[-3:]).astype("float32")
    resized = np.asarray(keras.ops.image.resize(flat, (height, width), interpolation="bilinear"))
    return resized.reshape(*images.shape[:-3], *resized.shape[1:])


VIEWS: dict[str, Callable[..., list[Any]]] = {
    "none": lambda images: [images],
    "flip": flip_views,
    "ten_crop": ten_crop_views,
    "scales": scale_views,
}


def with_views(run: Runner, tta: str, *, fraction: float = 40 / 48) -> Runner:
    """Test-time augmentation: the logarithm of the mean probability over the views named `tta`.

    Args:
        run: The model.
        tta: A key of `VIEWS`.
        fraction: `ten_crop`: side of a crop as a fraction of the image's side.
    """
    if tta == "none":
        return run
    views = functools.partial(ten_crop_views, fraction=fraction) if tta == "ten_crop" else VIEWS[tta]

    def averaged(images: Any) -> dict[str, np.ndarray]:
        outputs = [run(view) for view in views(images)]
        return {
            name: np.log(np.mean([softmax(output[name]) for output in outputs], axis=0) + 1e-30) for name in outputs[0]
        }

    return averaged
