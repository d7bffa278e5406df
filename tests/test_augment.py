"""Augmentation: reproducible, within its ranges and over all of them, each image by itself."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from ferkeras.data.augment import augment
from ferkeras.data.crops import ten_crops
from ferkeras.recipe import Augment

OFF = Augment(flip=False)
EVERYTHING = Augment(
    flip=True, rotation=20.0, translation=0.1, zoom=0.1, brightness=0.1, contrast=0.2, crop=0.8, noise=0.1
)
EACH = [
    Augment(flip=True),
    Augment(flip=False, rotation=30.0),
    Augment(flip=False, translation=0.3),
    Augment(flip=False, zoom=0.3),
    Augment(flip=False, brightness=0.3),
    Augment(flip=False, contrast=0.3),
    Augment(flip=False, crop=0.7),
    Augment(flip=False, noise=0.2),
]
LATER = Augment(flip=True, rotation=20.0, crop=0.9, randaugment=2, erasing=0.5, noise=0.1, mixup=1.0, cutmix=1.0)


def apply(images: np.ndarray, settings: Augment, *, seed: tuple[int, int] = (0, 0)) -> np.ndarray:
    labels = tf.zeros(len(images), tf.int64)
    return augment(tf.constant(images), labels, settings=settings, classes=3, seed=tf.constant(seed))[0].numpy()


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
        labels = tf.zeros(tf.shape(batch)[0], tf.int64)
        return augment(batch, labels, settings=EVERYTHING, classes=3, seed=tf.constant([0, 0]))[0]

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


def test_crop() -> None:
    moved = dots_of(apply(dotted(400), dataclasses.replace(OFF, crop=0.75)))
    scale = (moved[:, 0, 0] - moved[:, 2, 0]) / 8.0
    assert scale == pytest.approx(1 / 0.75, abs=0.03)
    # Pixel p shows the point 0.75 p + shift, and the cut-out lies within the image wherever it is.
    shifts = CENTRE - (CENTRE + 0.75 * (moved[:, 2] - CENTRE))
    x, y = shifts[:, 0], shifts[:, 1]
    assert covers(x, 0.125 * SIDE[1], slack=0.2)
    assert covers(y, 0.125 * SIDE[0], slack=0.2)
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.2


def test_a_cut_out_at_a_corner_is_what_scaling_it_gives() -> None:
    """Of many cut-outs the outermost come close to the corners, which `resize` cuts out by itself."""
    smooth = tf.image.resize(noise(1, 3, 3, 1), (48, 48), "bicubic").numpy().clip(0, 255).round().astype(np.uint8)
    crops = apply(np.repeat(smooth, 2000, axis=0), dataclasses.replace(OFF, crop=0.5)).astype(float)
    for rows in (slice(0, 24), slice(24, 48)):
        for columns in (slice(0, 24), slice(24, 48)):
            corner = tf.image.resize(smooth[:, rows, columns], (48, 48)).numpy()
            distance = np.abs(crops - corner).mean(axis=(1, 2, 3))
            assert distance.min() < 8, "half a pixel off"
            assert np.median(distance) > 20


def test_the_cut_out_is_turned_about_its_own_centre() -> None:
    settings = dataclasses.replace(OFF, crop=0.5, rotation=90.0)
    y, x = np.mgrid[:48, :48]
    ramp = np.stack([x, y], axis=-1).astype(np.uint8)[None] * 5
    centres = apply(np.repeat(ramp, 300, axis=0), settings)[:, 23:25, 23:25].astype(float).mean(axis=(1, 2)) / 5
    # Wherever it is turned to, the middle of what is shown is the middle of a half-size box inside the image.
    assert centres.min() > 11
    assert centres.max() < 36
    assert np.ptp(centres, axis=0).min() > 22


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


# Noise


def test_noise_has_its_strength_in_each_image_and_no_pattern() -> None:
    grey = np.full((400, 24, 24, 3), 128, np.uint8)
    added = apply(grey, dataclasses.replace(OFF, noise=0.1)).astype(float) - 128
    deviation = added.std(axis=(1, 2, 3)) / 255
    assert covers(2 * deviation - 0.1, 0.1, slack=0.01), "evenly from none to the largest"
    assert np.abs(added.mean(axis=(1, 2, 3))).max() < 3
    strong = added[deviation > 0.05]
    assert scipy.stats.kurtosis(strong / strong.std(axis=(1, 2, 3), keepdims=True), axis=None) == pytest.approx(
        0, abs=0.1
    )
    for first, second in ((added[:, 1:], added[:, :-1]), (added[..., 0], added[..., 1]), (added[1:], added[:-1])):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02


def test_noise_is_clipped_and_does_not_wrap_around() -> None:
    for value in (0, 255):
        changed = apply(np.full((16, 12, 12, 1), value, np.uint8), dataclasses.replace(OFF, noise=0.1)).astype(int)
        assert 0.5 < (changed == value).mean() < 0.8
        assert np.abs(changed - value).max() < 5 * 0.1 * 255


# The later stages, each of which has tests of its own: their order, their labels, their seeds


def test_labels_stay_unless_images_are_mixed() -> None:
    images, labels = tf.constant(noise(6, 12, 12, 1)), tf.constant([0, 1, 2, 0, 1, 2], tf.int64)
    unmixed = dataclasses.replace(LATER, mixup=0.0, cutmix=0.0)
    _, same = augment(images, labels, settings=unmixed, classes=3, seed=tf.constant([0, 0]))
    np.testing.assert_array_equal(same, labels)
    assert same.dtype == tf.int64
    _, targets = augment(images, labels, settings=LATER, classes=3, seed=tf.constant([0, 0]))
    assert targets.shape == (6, 3)
    np.testing.assert_allclose(tf.reduce_sum(targets, axis=1), 1.0, atol=1e-6)


def test_all_at_once_follows_the_seed_alone() -> None:
    images = noise(16, 24, 20, 3)
    for settings in (LATER, dataclasses.replace(LATER, ten_crop=True)):
        first = apply(images, settings)
        assert first.shape == (160 if settings.ten_crop else 16, 24, 20, 3)
        np.testing.assert_array_equal(apply(images, settings), first)
        assert not np.array_equal(apply(images, settings, seed=(0, 1)), first)


def test_a_later_stage_leaves_the_draws_of_the_earlier_ones() -> None:
    """So two recipes that differ in one option can be compared, and old runs repeat."""
    images = noise(64, 24, 20, 1)
    first = dataclasses.replace(OFF, rotation=20.0, brightness=0.1)
    erased = apply(images, dataclasses.replace(first, erasing=1.0, erasing_area=(0.1, 0.1)))
    assert (erased == apply(images, first)).mean() > 0.85


def test_ten_crops_take_the_place_of_a_random_one() -> None:
    images, labels = tf.constant(noise(3, 48, 48, 1)), tf.constant([2, 0, 1], tf.int64)
    for crop, fraction in ((1.0, 40 / 48), (0.5, 0.5)):
        settings = dataclasses.replace(OFF, crop=crop, ten_crop=True)
        crops, repeated = augment(images, labels, settings=settings, classes=3, seed=tf.constant([0, 0]))
        np.testing.assert_array_equal(crops, ten_crops(images, fraction=fraction))
        assert repeated.numpy().tolist() == [2] * 10 + [0] * 10 + [1] * 10


def test_every_crop_of_an_image_is_erased_elsewhere() -> None:
    settings = dataclasses.replace(OFF, ten_crop=True, erasing=1.0, erasing_area=(0.1, 0.1))
    changed = apply(np.zeros((1, 24, 24, 1), np.uint8), settings)
    assert len(np.unique((changed > 0).reshape(10, -1), axis=0)) == 10
    assert changed.any(axis=(1, 2, 3)).all()
