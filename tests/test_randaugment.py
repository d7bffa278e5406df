"""RandAugment: each operation by hand and against Pillow and OpenCV, and how the operations are drawn."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from ferkeras.data import randaugment as operations
from ferkeras.data.randaugment import OPERATIONS, randaugment

#: Operations of one direction, and those without a magnitude.
ONE_WAY = {"identity", "autocontrast", "equalize", "solarize", "posterize"}


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def apply(images: np.ndarray, *, number: int = 1, strength: float = 0.5, seed: tuple[int, int] = (0, 0)) -> np.ndarray:
    images = tf.constant(images)
    return randaugment(images, operations=number, strength=strength, seed=tf.constant(seed)).numpy()


def one(name: str, image: np.ndarray, amount: float) -> np.ndarray:
    """The operation `name` on one image (H, W, C)."""
    return getattr(operations, name)(tf.constant(image[None]), tf.constant([amount])).numpy()[0]


# Each operation by hand, on grey images of one or two rows

HAND = {
    "identity": ("identity", 1.0, [[0, 100, 255]], [[0, 100, 255]]),
    "autocontrast": ("autocontrast", 1.0, [[50, 75, 100]], [[0, 128, 255]]),  # 127.5 is rounded to the even number
    "autocontrast of one value": ("autocontrast", 1.0, [[9, 9, 9]], [[9, 9, 9]]),
    # Cumulative counts 2, 3, 4 less the 2 of the first value, in 255ths of 4 - 2.
    "equalize": ("equalize", 1.0, [[7, 7, 8, 200]], [[0, 0, 128, 255]]),
    "equalize of one value": ("equalize", 1.0, [[9, 9, 9]], [[9, 9, 9]]),
    "solarize": ("solarize", 0.5, [[0, 127, 128, 255]], [[0, 127, 127, 0]]),
    "solarize backward": ("solarize", -0.5, [[0, 127, 128, 255]], [[0, 127, 127, 0]]),
    "solarize of strength 1": ("solarize", 1.0, [[0, 255]], [[255, 0]]),
    "posterize": ("posterize", 0.5, [[0, 3, 4, 255]], [[0, 0, 4, 252]]),
    "posterize of strength 1": ("posterize", -1.0, [[15, 16, 255]], [[0, 16, 240]]),
    "contrast": ("contrast", 1.0, [[90, 110]], [[81, 119]]),
    "less contrast": ("contrast", -1.0, [[50, 150]], [[95, 105]]),
    "brightness": ("brightness", 0.5, [[0, 100, 200]], [[0, 145, 255]]),
    "less brightness": ("brightness", -1.0, [[0, 100, 200]], [[0, 10, 20]]),
    "translate_x": ("translate_x", 331 / 450, [[10, 20, 30]], [[20, 30, 30]]),  # one pixel of three
    "translate_x back": ("translate_x", -331 / 450, [[10, 20, 30]], [[10, 10, 20]]),
    "translate_y": ("translate_y", 331 / 450, [[10], [20], [30]], [[20], [30], [30]]),
    # The rows are half a pixel from the centre: the upper one shows what is 0.15 pixels to the left.
    "shear_x": ("shear_x", 1.0, [[0, 100], [0, 100]], [[0, 85], [15, 100]]),
    "shear_y": ("shear_y", 1.0, [[0, 0], [100, 100]], [[0, 15], [85, 100]]),
}


@pytest.mark.parametrize(("name", "amount", "before", "after"), HAND.values(), ids=HAND)
def test_an_operation_by_hand(name: str, amount: float, before: list[list[int]], after: list[list[int]]) -> None:
    changed = one(name, np.array(before, np.uint8)[..., None], amount)[..., 0]
    np.testing.assert_array_equal(changed, after)


def test_geometry_leaves_a_flat_image() -> None:
    flat = np.full((3, 4, 1), 77, np.uint8)
    for name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"):
        np.testing.assert_array_equal(one(name, flat, 1.0), flat, err_msg="what comes into view is mirrored, not black")


def test_rotate_by_thirty_degrees() -> None:
    """The ray from the centre to the right is found 30 degrees further: what is shown at it came from there."""
    y, x = np.mgrid[:41, :41] - 20.0
    dot = 255 * np.exp(-((x - 12) ** 2 + y**2) / 6)
    turned = one("rotate", dot.round().astype(np.uint8)[..., None], 1.0)[..., 0].astype(float)
    place = np.array([(turned * x).sum(), (turned * y).sum()]) / turned.sum()
    np.testing.assert_allclose(np.degrees(np.arctan2(place[1], place[0])), -30, atol=1)
    np.testing.assert_allclose(np.hypot(*place), 12, atol=0.2)


def test_colour_towards_grey_and_away() -> None:
    red = np.array([[[200, 100, 100]]], np.uint8)  # luma 0.299 * 200 + 0.701 * 100 = 129.9
    np.testing.assert_allclose(one("color", red, -1.0)[0, 0].astype(int), [137, 127, 127], atol=1)
    np.testing.assert_allclose(one("color", red, 1.0)[0, 0].astype(int), [255, 73, 73], atol=1)
    grey = np.full((1, 1, 3), 100, np.uint8)
    np.testing.assert_array_equal(one("color", grey, 1.0), grey)


# Each operation against programs of others


def pillow(change: Callable[[Image.Image], Image.Image], image: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(image if image.shape[-1] == 3 else image[..., 0])
    return np.asarray(change(picture)).reshape(image.shape)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("amount", [-0.7, 0.4, 1.0])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("autocontrast", lambda _, picture: ImageOps.autocontrast(picture)),
        ("solarize", lambda a, picture: ImageOps.solarize(picture, round(256 * (1 - abs(a)) + 0.499))),
        ("posterize", lambda a, picture: ImageOps.posterize(picture, 8 - round(4 * abs(a)))),
        ("color", lambda a, picture: ImageEnhance.Color(picture).enhance(1 + 0.9 * a)),
        ("contrast", lambda a, picture: ImageEnhance.Contrast(picture).enhance(1 + 0.9 * a)),
        ("brightness", lambda a, picture: ImageEnhance.Brightness(picture).enhance(1 + 0.9 * a)),
    ],
)
def test_operations_agree_with_pillow(
    name: str, change: Callable[[float, Image.Image], Image.Image], amount: float, channels: int
) -> None:
    image = noise(24, 20, channels) // 2 + 60
    expected = pillow(lambda picture: change(amount, picture), image)
    changed = one(name, image, amount) if channels == 3 or name != "color" else image
    # Pillow cuts fractions off, and rounds the greys in between.
    np.testing.assert_allclose(changed.astype(int), expected.astype(int), atol=2)


@pytest.mark.parametrize("amount", [-0.7, 0.4, 1.0])
def test_sharpness_agrees_with_pillow_inside_the_border(amount: float) -> None:
    image = noise(24, 20, 3)
    expected = pillow(lambda picture: ImageEnhance.Sharpness(picture).enhance(1 + 0.9 * amount), image)
    difference = one("sharpness", image, amount).astype(int) - expected
    assert np.abs(difference[1:-1, 1:-1]).max() <= 2
    smooth = pillow(lambda picture: picture.filter(ImageFilter.SMOOTH), image)
    assert np.abs(smooth.astype(int) - image).mean() > 20, "the two forms differ clearly"


@pytest.mark.parametrize("side", [7, 48, 120])
def test_equalize_agrees_with_opencv(side: int) -> None:
    image = (np.random.default_rng(1).normal(90, 20, (side, side, 3))).clip(0, 255).astype(np.uint8)
    expected = np.stack([cv2.equalizeHist(image[..., channel]) for channel in range(3)], axis=-1)
    np.testing.assert_array_equal(one("equalize", image, 1.0), expected)


# Amounts


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_every_operation_takes_each_image_with_its_own_amount_and_no_image_too(operation: operations.Operation) -> None:
    images, amounts = noise(5, 12, 10, 3), np.array([-1.0, -0.3, 0.0, 0.4, 1.0], np.float32)
    together = operation(tf.constant(images), tf.constant(amounts)).numpy()
    for index in range(5):
        alone = operation(tf.constant(images[index : index + 1]), tf.constant(amounts[index : index + 1])).numpy()
        np.testing.assert_array_equal(together[index], alone[0])
    assert together.dtype == np.uint8
    assert operation(tf.constant(images[:0]), tf.constant(amounts[:0])).shape == (0, 12, 10, 3)
    if operation.__name__ not in ("autocontrast", "equalize"):
        np.testing.assert_array_equal(together[2], images[2], err_msg="amount 0 changes nothing")


def test_strength_0_leaves_an_image_that_has_all_values_equally_often() -> None:
    rng = np.random.default_rng(0)
    images = np.stack([rng.permutation(256).reshape(16, 16, 1) for _ in range(64)]).astype(np.uint8)
    np.testing.assert_array_equal(apply(images, number=3, strength=0.0), images)
    assert (apply(images, number=3, strength=0.3) != images).any(axis=(1, 2, 3)).mean() > 0.9


# Draws


def outcomes(image: np.ndarray, strength: float) -> dict[str, np.ndarray]:
    """What one operation makes of `image` (H, W, C), by its name and direction."""
    found = {}
    for operation in OPERATIONS:
        name = operation.__name__
        if name == "color" and image.shape[-1] == 1:
            continue
        found[name] = one(name, image, strength)
        if name not in ONE_WAY:
            found[name + " backward"] = one(name, image, -strength)
    return found


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_draws_its_own_operation_and_all_are_equally_likely(channels: int) -> None:
    image = noise(12, 12, channels) // 2 + 60
    changed = apply(np.repeat(image[None], 2000, axis=0), strength=0.5)
    expected = outcomes(image, 0.5)
    drawn = {name: int((changed == result).all(axis=(1, 2, 3)).sum()) for name, result in expected.items()}
    assert sum(drawn.values()) == 2000, "each image is the outcome of exactly one"
    each = 2000 / (14 if channels == 3 else 13)
    for name, count in drawn.items():
        directions = 1 if name in ONE_WAY else 2
        assert abs(count - each / directions) < 5 * np.sqrt(each), name
    # Not in runs: neighbours draw alike no more often than by chance.
    alike = (changed[1:] == changed[:-1]).all(axis=(1, 2, 3)).mean()
    assert alike < 0.15


def test_two_operations_are_one_after_the_other() -> None:
    image = noise(12, 12, 1) // 2 + 60
    changed = apply(np.repeat(image[None], 200, axis=0), number=2)
    first = outcomes(image, 0.5).values()
    second = np.unique([result for once in first for result in outcomes(once, 0.5).values()], axis=0)
    known = {result.tobytes() for result in second}
    assert all(result.tobytes() in known for result in changed)
    assert len({result.tobytes() for result in changed}) > 80


def test_the_seed_alone_decides() -> None:
    images = noise(16, 12, 10, 3)
    first = apply(images, number=2)
    np.testing.assert_array_equal(apply(images, number=2), first)
    assert not np.array_equal(apply(images, number=2, seed=(0, 1)), first)


def test_neighbours_do_not_matter() -> None:
    images, others = noise(6, 12, 10, 3), noise(6, 12, 10, 3, seed=1)
    others[2] = images[2]
    np.testing.assert_array_equal(apply(others, number=2)[2], apply(images, number=2)[2])


@pytest.mark.parametrize("shape", [(1, 24, 24, 1), (5, 16, 40, 1), (5, 40, 16, 3), (3, 1, 1, 1)])
def test_a_function_of_unknown_batch_size_agrees(shape: tuple[int, ...]) -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, *shape[1:]), tf.uint8)])
    def traced(batch: tf.Tensor) -> tf.Tensor:
        changed = randaugment(batch, operations=2, strength=0.5, seed=tf.constant([0, 0]))
        assert changed.shape.as_list() == [None, *shape[1:]]
        return changed

    images = noise(*shape)
    np.testing.assert_array_equal(traced(images), apply(images, number=2))
