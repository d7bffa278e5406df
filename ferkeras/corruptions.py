"""Fifteen ways in which pictures of faces get worse, each in five severities: what a robust network still reads.

Source: Hendrycks & Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR
2019, for the idea, the five severities and the mean over them. Deviations: the list is made for faces, with occlusions
and with what a detector does wrong (rotation, translation) in place of weather, and the strengths are chosen for crops
of 48 pixels. Lengths are fractions of the image's shorter side, so that they mean the same at any size; noise is drawn
for each pixel and channel, and JPEG has its blocks of 8 pixels at any size.
"""

import functools
import zlib
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ferkeras.errors import InputError

#: uint8 (H, W, C), a strength and a generator to uint8 (H, W, C) or values that are to be rounded and clipped.
Corruption = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
#: Severities run from 1 to this.
SEVERITIES = 5
#: What a mask over the lower half of a face looks like in grey.
_MASK_GREY = 200


def corrupt(image: np.ndarray, name: str, *, severity: int, seed: int = 0, index: int = 0) -> np.ndarray:
    """`image` after one corruption.

    What is drawn depends on `seed`, `name` and `index` and not on the severity: from 1 to 5 the same noise grows, and
    the same face turns further to the same side.

    Args:
        image: (H, W, C) uint8, of any size and number of channels.
        name: A key of `STRENGTHS`.
        severity: 1 to 5.
        seed: Of everything random.
        index: Of the image among others, each of which is corrupted in its own way.

    Returns:
        (H, W, C) uint8, a new array.

    Raises:
        InputError: for another name, severity or kind of array.
    """
    if image.ndim != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise InputError("An image is uint8 of shape (H, W, C)", received=f"{image.dtype} of shape {image.shape}")
    if severity not in range(1, SEVERITIES + 1):
        raise InputError(f"A severity is a whole number from 1 to {SEVERITIES}", received=severity)
    apply, strengths = _CORRUPTIONS[check_names([name])[0]]
    random = np.random.default_rng([seed, index, zlib.crc32(name.encode())])
    worse = apply(image, strengths[severity - 1], random)
    return np.clip(np.round(worse), 0, 255).astype(np.uint8).reshape(image.shape)


def check_names(names: Sequence[str]) -> list[str]:
    """`names`, or all of them where the list is empty; raises `InputError` for one that is no corruption."""
    unknown = [name for name in names if name not in _CORRUPTIONS]
    if unknown:
        raise InputError("Unknown corruption", received=", ".join(unknown), action=f"Known: {', '.join(_CORRUPTIONS)}.")
    return list(dict.fromkeys(names)) or list(_CORRUPTIONS)


def _gaussian_noise(image: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    return image + 255 * sigma * random.standard_normal(image.shape)


def _shot_noise(image: np.ndarray, photons: float, random: np.random.Generator) -> np.ndarray:
    """A white pixel is `photons` on average; the fewer, the more their number varies."""
    return random.poisson(image / 255 * photons) / photons * 255


def _impulse_noise(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """Salt and pepper in equal parts."""
    lot, salt = random.random(image.shape), random.random(image.shape) < 0.5
    return np.where(lot < share, np.where(salt, 255, 0), image)


def _gaussian_blur(image: np.ndarray, sigma: float, random: np.random.Generator) -> np.ndarray:
    del random
    pixels = sigma * _side(image)
    return _by_channel(image, lambda plane: cv2.GaussianBlur(plane, (0, 0), pixels, borderType=cv2.BORDER_REFLECT_101))


def _motion_blur(image: np.ndarray, length: float, random: np.random.Generator) -> np.ndarray:
    """The mean along a straight way of `length` in any direction."""
    reach, angle = length * _side(image) / 2, random.uniform(0, np.pi)
    steps = np.linspace(-reach, reach, 8 * int(np.ceil(reach)) + 1)
    return _filtered(image, _mean_over(steps * np.sin(angle), steps * np.cos(angle)))


def _defocus_blur(image: np.ndarray, radius: float, random: np.random.Generator) -> np.ndarray:
    """The mean over a disc, the image of a point in a lens that is out of focus."""
    del random
    return _filtered(image, _disc(radius * _side(image)))


def _brightness(image: np.ndarray, more: float, random: np.random.Generator) -> np.ndarray:
    del random
    return image + 255 * more


def _darkness(image: np.ndarray, left: float, random: np.random.Generator) -> np.ndarray:
    del random
    return image * left


def _contrast(image: np.ndarray, left: float, random: np.random.Generator) -> np.ndarray:
    del random
    mean = image.mean()
    return (image - mean) * left + mean


def _jpeg(image: np.ndarray, quality: float, random: np.random.Generator) -> np.ndarray:
    """Three channels are RGB and compressed together; any other number is compressed one by one."""
    del random

    def coded(picture: np.ndarray) -> np.ndarray:
        _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))

    if image.shape[-1] == 3:
        return coded(np.ascontiguousarray(image[..., ::-1]))[..., ::-1]
    return _by_channel(image, coded)


def _low_resolution(image: np.ndarray, pixels: float, random: np.random.Generator) -> np.ndarray:
    """The face from so far that `pixels` are left of the shorter side; a smaller image stays as it is."""
    del random
    height, width = image.shape[:2]
    factor = min(1.0, pixels / _side(image))
    small = max(1, round(width * factor)), max(1, round(height * factor))

    def down_and_up(plane: np.ndarray) -> np.ndarray:
        shrunk = cv2.resize(plane, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR)

    return _by_channel(image, down_and_up)


def _occlusion(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """A rectangle of one grey, `share` of either side, anywhere."""
    sides = [max(1, round(share * length)) for length in image.shape[:2]]
    place, grey = random.random(2), random.integers(0, 256)
    top, left = (int(at * (length - side + 1)) for at, length, side in zip(place, image.shape, sides, strict=False))
    covered = image.copy()
    covered[top : top + sides[0], left : left + sides[1]] = grey
    return covered


def _mask(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """The lower `share` of the face is hidden, as by a mask: first the chin, then the mouth, then the nose."""
    del random
    covered = image.copy()
    covered[image.shape[0] - round(share * image.shape[0]) :] = _MASK_GREY
    return covered


def _rotation(image: np.ndarray, degrees: float, random: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    turn = degrees * random.choice([-1, 1])
    return _warped(image, cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turn, 1.0))


def _translation(image: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    angle, way = random.uniform(0, 2 * np.pi), share * _side(image)
    return _warped(image, np.array([[1, 0, way * np.cos(angle)], [0, 1, way * np.sin(angle)]]))


def _side(image: np.ndarray) -> int:
    return min(image.shape[:2])


def _by_channel(image: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """OpenCV drops a last axis of 1, and some of its functions take four channels at most."""
    return np.stack([change(np.ascontiguousarray(image[..., c])) for c in range(image.shape[-1])], axis=-1)


def _warped(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """What comes in from outside is the mirrored border: black corners would be a second corruption."""
    size = image.shape[1::-1]
    return _by_channel(
        image,
        lambda plane: cv2.warpAffine(plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
    )


def _filtered(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return _by_channel(image, lambda plane: cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101))


@functools.lru_cache(maxsize=SEVERITIES)
def _disc(radius: float) -> np.ndarray:
    """The kernel of a disc; the same for all images of a size, and slow to make."""
    fine = np.linspace(-radius, radius, 8 * int(np.ceil(radius)) + 1)
    y, x = np.meshgrid(fine, fine, indexing="ij")
    inside = np.hypot(y, x) <= radius
    return _mean_over(y[inside], x[inside])


def _mean_over(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The kernel of the mean over shifts (M,) in pixels, each spread over its four neighbours: it may be broken."""
    reach = int(np.ceil(max(np.abs(y).max(), np.abs(x).max()))) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = (1 - np.abs(y - top - row)) * (1 - np.abs(x - left - column))
        np.add.at(kernel, (top + row + reach, left + column + reach), weight)
    return kernel / kernel.sum()


_CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.04, 0.08, 0.12, 0.18, 0.26)),  # standard deviation, of the range of values
    "shot_noise": (_shot_noise, (200, 80, 40, 20, 10)),  # photons of a white pixel
    "impulse_noise": (_impulse_noise, (0.01, 0.03, 0.06, 0.11, 0.17)),  # share of the values
    "gaussian_blur": (_gaussian_blur, (0.0125, 0.02, 0.03, 0.04, 0.06)),  # standard deviation, of the side
    "motion_blur": (_motion_blur, (0.06, 0.1, 0.15, 0.2, 0.27)),  # length, of the side
    "defocus_blur": (_defocus_blur, (0.025, 0.035, 0.05, 0.065, 0.085)),  # radius, of the side
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),  # added, of the range of values
    "darkness": (_darkness, (0.6, 0.45, 0.3, 0.2, 0.1)),  # factor on the values
    "contrast": (_contrast, (0.6, 0.45, 0.3, 0.2, 0.1)),  # factor on the distance from the image's mean
    "jpeg": (_jpeg, (60, 40, 25, 15, 9)),  # quality of libjpeg, 1 to 100
    "low_resolution": (_low_resolution, (32, 24, 16, 12, 8)),  # pixels that are left of the shorter side
    "occlusion": (_occlusion, (0.2, 0.3, 0.4, 0.5, 0.6)),  # sides of the rectangle, of those of the image
    "mask": (_mask, (0.15, 0.25, 0.35, 0.45, 0.55)),  # of the height, from below
    "rotation": (_rotation, (6, 12, 18, 25, 35)),  # degrees, to either side
    "translation": (_translation, (0.05, 0.1, 0.15, 0.2, 0.27)),  # length of the shift, of the side
}
#: Corruption -> its strength at each severity; units are those of the table above.
STRENGTHS: dict[str, tuple[float, ...]] = {name: strengths for name, (_, strengths) in _CORRUPTIONS.items()}
