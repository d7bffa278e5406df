"""Augmentation: reproducible, within its ranges and over all of them, each image by itself."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from ferkeras.data.augment import augment
from ferkeras.recipe import Augment

OFF = Augment(flip=False)
EVERYTHING = Augment(flip=True, rotation=20.0, translation=0.1, zoom=0.1, brightness=0.1, contrast=0.2)
EACH = [
    Augment(flip=True),
    Augment(flip=False, rotation=30.0),
    Augment(flip=False, translation=0.3),
    Augment(flip=False, zoom=0.3),
    Augment(flip=False, brightness=0.3),
    Augment(flip=False, contrast=0.3),
]


def apply(images: np.ndarray, settings: Augment, *, seed: tuple[int, int] = (0, 0)) -> np.ndarray:
    return augment(tf.constant(images), settings=settings, seed=tf.constant(seed)).numpy()


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


# Reproducible


@pytest.mark.parametrize("settings", [*EACH, EVERYTHING])
def test_the_seed_alone_decides(settings: Augment) -> None:
    images = noise(16, 24, 20, 1)
    first = apply(images, settings)
    np.testing.assert_array_equal(apply(images, settings), first)
    assert not np.array_equal(apply(images, settings, seed=(0, 1)), first)
    assert not np.array_equal(apply(images, settings, seed=(1, 0)), first)


def test_a_function_of_unknown_batch_size_agrees() -> None:
    images = noise(7, 24, 20, 3)

    @tf.function(input_signature=[tf.TensorSpec((None, 24, 20, 3), tf.uint8)])
    def traced(batch: tf.Tensor) -> tf.Tensor:
        return augment(batch, settings=EVERYTHING, seed=tf.constant([0, 0]))

    np.testing.assert_array_equal(traced(images), apply(images, EVERYTHING))


@pytest.mark.parametrize("shape", [(1, 24, 24, 1), (5, 16, 40, 1), (5, 40, 16, 3), (2, 1, 1, 1)])
@pytest.mark.parametrize("settings", [OFF, *EACH, EVERYTHING])
def test_shape_and_type_stay(settings: Augment, shape: tuple[int, ...]) -> None:
    changed = apply(noise(*shape), settings)
    assert changed.shape == shape
    assert changed.dtype == np.uint8


def test_nothing_switched_on_changes_nothing() -> None:
    images = noise(8, 24, 20, 3)
    np.testing.assert_array_equal(apply(images, OFF), images)


# Each image by itself


@pytest.mark.parametrize("settings", [*EACH, EVERYTHING])
def test_equal_images_of_a_batch_are_changed_in_different_ways(settings: Augment) -> None:
    images = np.repeat(noise(1, 24, 20, 1), 16, axis=0)
    changed = apply(images, settings)
    kinds = len(np.unique(changed.reshape(16, -1), axis=0))
    assert kinds == 2 if settings == Augment(flip=True) else kinds > 12


@pytest.mark.parametrize("settings", [*EACH, EVERYTHING])
def test_neighbours_do_not_matter(settings: Augment) -> None:
    images = noise(6, 24, 20, 3)
    others = noise(6, 24, 20, 3, seed=1)
    others[2] = images[2]
    np.testing.assert_array_equal(apply(others, settings)[2], apply(images, settings)[2])


# Mirror images


def test_flip_gives_the_image_or_its_mirror_image() -> None:
    images = noise(400, 6, 8, 3)
    changed = apply(images, Augment(flip=True))
    same = (changed == images).all(axis=(1, 2, 3))
    mirrored = (changed == images[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 150 < mirrored.sum() < 250  # one half of 400, plus or minus five standard deviations


# Geometry. An image of three channels with one dot in each: two dots tell where everything went, the third must follow.

SIDE = (41, 61)  # height, width
CENTRE = np.array([(SIDE[1] - 1) / 2, (SIDE[0] - 1) / 2])  # x, y
DOTS = CENTRE + np.array([[8.0, 0.0], [-2.0, 7.0], [0.0, 0.0]])


def dotted(batch: int) -> np.ndarray:
    """(B, 41, 61, 3): a soft dot at each of `DOTS`, one per channel, on black."""
    y, x = np.mgrid[: SIDE[0], : SIDE[1]]
    channels = [255 * np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / 4) for dot in DOTS]
    return np.repeat(np.stack(channels, axis=-1).round().astype(np.uint8)[None], batch, axis=0)


def dots_of(images: np.ndarray) -> np.ndarray:
    """(B, 3, 2) x and y of the dot in each channel, by its centre of mass."""
    y, x = np.mgrid[: SIDE[0], : SIDE[1]]
    weights = images.astype(float)
    total = weights.sum(axis=(1, 2))
    return np.stack([np.einsum("bhwc,hw->bc", weights, grid) / total for grid in (x, y)], axis=-1)


def covers(values: np.ndarray, limit: float, *, slack: float) -> bool:
    """Whether `values` spread evenly over [-limit, limit] and not beyond, give or take `slack`."""
    quarters = np.histogram(values, bins=4, range=(-limit - slack, limit + slack))[0]
    reaches = values.min() < -0.95 * limit and values.max() > 0.95 * limit
    return bool(np.abs(values).max() <= limit + slack and reaches and quarters.min() > 0.18 * len(values))


def test_the_dots_are_where_they_are_said_to_be() -> None:
    np.testing.assert_allclose(dots_of(dotted(1))[0], DOTS, atol=0.05)


def test_rotation() -> None:
    moved = dots_of(apply(dotted(400), dataclasses.replace(OFF, rotation=30.0))) - CENTRE
    angles = np.arctan2(moved[:, 0, 1], moved[:, 0, 0])
    assert covers(np.degrees(angles), 30.0, slack=1.0)
    cosine, sine = np.cos(angles), np.sin(angles)
    x, y = DOTS[1] - CENTRE
    expected = np.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)
    assert np.linalg.norm(moved[:, 1] - expected, axis=-1).max() < 0.5
    assert np.linalg.norm(moved[:, 0], axis=-1) == pytest.approx(8.0, abs=0.5)
    assert np.abs(moved[:, 2]).max() < 0.2, "the centre stays"


def test_translation() -> None:
    shifts = dots_of(apply(dotted(400), dataclasses.replace(OFF, translation=0.1))) - DOTS
    assert np.ptp(shifts, axis=1).max() < 0.3, "all dots move alike"
    x, y = shifts[:, 2, 0], shifts[:, 2, 1]
    assert covers(x, 0.1 * SIDE[1], slack=0.2)
    assert covers(y, 0.1 * SIDE[0], slack=0.2)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.2


def test_zoom() -> None:
    moved = dots_of(apply(dotted(400), dataclasses.replace(OFF, zoom=0.2))) - CENTRE
    scale = 8.0 / moved[:, 0, 0]
    assert covers(scale - 1, 0.2, slack=0.02)
    np.testing.assert_allclose(moved[:, 1] * scale[:, None], np.tile(DOTS[1] - CENTRE, (400, 1)), atol=0.4)
    assert np.abs(moved[:, 0, 1]).max() < 0.2, "no rotation"
    assert np.abs(moved[:, 2]).max() < 0.2, "the centre stays"


def test_the_changes_are_composed_to_one_similarity() -> None:
    settings = dataclasses.replace(OFF, rotation=20.0, translation=0.05, zoom=0.1)
    moved = dots_of(apply(dotted(200), settings))

    def as_complex(points: np.ndarray) -> np.ndarray:
        return points[..., 0] + 1j * points[..., 1]

    source, target = as_complex(DOTS), as_complex(moved)
    turn = (target[:, 0] - target[:, 2]) / (source[0] - source[2])
    assert np.abs(target[:, 2] + turn * (source[1] - source[2]) - target[:, 1]).max() < 1.0
    assert np.abs(np.degrees(np.angle(turn))).max() < 21.0
    assert np.abs(1 / np.abs(turn) - 1).max() < 0.12


def test_what_comes_into_view_is_the_mirrored_edge_and_not_black() -> None:
    flat = np.full((32, 24, 24, 1), 200, np.uint8)
    settings = dataclasses.replace(OFF, rotation=45.0, translation=0.3, zoom=0.3)
    assert np.unique(apply(flat, settings)).tolist() == [200]
    ramp = np.broadcast_to(np.arange(0, 240, 10, dtype=np.uint8)[:, None], (64, 24, 24, 1))  # brighter to the right
    shifted = apply(ramp, dataclasses.replace(OFF, translation=0.3)).astype(int)
    assert shifted[:, 12, 0, 0].max() <= 10 * 24 * 0.3 + 5, "a mirrored left edge is dark: it does not wrap around"
    assert shifted[:, 12, -1, 0].min() >= 230 - 10 * 24 * 0.3 - 5


# Light


def test_brightness() -> None:
    images = np.repeat(noise(1, 12, 12, 3) // 4 + 90, 400, axis=0)
    shifts = apply(images, dataclasses.replace(OFF, brightness=0.2)).astype(int) - images
    assert np.ptp(shifts, axis=(1, 2, 3)).max() == 0, "all pixels of an image alike"
    assert covers(shifts[:, 0, 0, 0], 0.2 * 255, slack=1.0)


def test_contrast() -> None:
    images = np.full((400, 12, 12, 1), 100, np.uint8)
    images[:, :6] = 140
    changed = apply(images, dataclasses.replace(OFF, contrast=0.5)).astype(float)
    assert covers((changed[:, 0, 0, 0] - changed[:, -1, 0, 0]) / 40 - 1, 0.5, slack=0.03)
    np.testing.assert_allclose(changed.mean(axis=(1, 2, 3)), 120, atol=0.5)


def test_light_is_clipped_and_does_not_wrap_around() -> None:
    images = np.zeros((64, 8, 8, 1), np.uint8)
    images[:, :4] = 255
    changed = apply(images, dataclasses.replace(OFF, brightness=0.5, contrast=0.5)).astype(int)
    assert (changed[:, 0] > changed[:, -1]).all()
