"""Random erasing: how often, how large, of what shape, where, and what is put there."""

import numpy as np
import pytest
import tensorflow as tf

from ferkeras.data.erasing import LARGEST_ASPECT, random_erasing


def apply(
    images: np.ndarray,
    *,
    probability: float = 1.0,
    area: tuple[float, float] = (0.02, 0.33),
    seed: tuple[int, int] = (0, 0),
) -> np.ndarray:
    return random_erasing(tf.constant(images), probability=probability, area=area, seed=tf.constant(seed)).numpy()


def boxes(images: np.ndarray) -> np.ndarray:
    """(n, 4) top, left, height and width of what was erased in black images (n, H, W, 3); a box with holes fails."""
    found = []
    for image in images:
        erased = image.any(axis=-1)  # three random values are all 0 once in 17 million pixels
        rows, columns = np.flatnonzero(erased.any(axis=1)), np.flatnonzero(erased.any(axis=0))
        top, left, height, width = rows[0], columns[0], np.ptp(rows) + 1, np.ptp(columns) + 1
        assert erased.sum() == height * width, "a full rectangle"
        found.append((top, left, height, width))
    return np.array(found)


def black(batch: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.zeros((batch, height, width, 3), np.uint8)


@pytest.mark.parametrize("probability", [0.0, 0.25, 1.0])
def test_probability(probability: float) -> None:
    count = int(apply(black(2000), probability=probability).any(axis=(1, 2, 3)).sum())
    assert abs(count - 2000 * probability) <= 5 * np.sqrt(2000 * probability * (1 - probability))


def test_area_and_shape() -> None:
    found = boxes(apply(black(2000)))
    height, width = found[:, 2], found[:, 3]
    share = height * width / (40 * 60)
    # Sides are rounded to whole pixels: by half a pixel of at least 4.
    assert 0.02 * 0.8 < share.min() < 0.03
    assert 0.31 < share.max() < 0.33 * 1.05
    assert np.mean(share) == pytest.approx((0.02 + 0.33) / 2, abs=0.01), "evenly between its ends"
    aspect = height / width
    assert 1 / LARGEST_ASPECT * 0.85 < aspect.min() < 0.36
    assert 2.5 < aspect.max() < LARGEST_ASPECT * 1.2
    small = share < 0.1  # those are not held back by the border
    logarithm = np.log(aspect[small]) / np.log(LARGEST_ASPECT)
    quarters = np.histogram(logarithm, bins=4, range=(-1, 1))[0] / small.sum()
    assert quarters.min() > 0.15, "evenly on a logarithmic scale"


def test_place() -> None:
    found = boxes(apply(black(2000), area=(0.05, 0.05)))
    top, left, height, width = found.T
    for start, length, side in ((top, height, 40), (left, width, 60)):
        place = start / (side - length)
        assert (place.min(), place.max()) == (0.0, 1.0)
        assert place.mean() == pytest.approx(0.5, abs=0.04)


def test_a_rectangle_never_leaves_an_image() -> None:
    found = boxes(apply(black(300, 12, 60), area=(0.5, 0.9)))
    assert (found[:, 2] <= 12).all()
    share = found[:, 2] * found[:, 3] / (12 * 60)
    assert share.min() > 0.48
    assert share.max() < 0.95
    assert apply(black(20), area=(1.0, 1.0)).any(axis=-1).all()


def test_the_noise_has_all_values_equally_often_and_differs_between_images() -> None:
    images = np.full((64, 30, 30, 3), 9, np.uint8)
    noise = apply(images, area=(1.0, 1.0))
    counts = np.bincount(noise.ravel(), minlength=256)
    expected = noise.size / 256
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)
    flat = noise.reshape(64, -1).astype(float)
    assert np.abs(np.corrcoef(flat) - np.eye(64)).max() < 0.12
    assert np.abs(np.corrcoef(flat[:, :-1].ravel(), flat[:, 1:].ravel())[0, 1]) < 0.02, "neighbouring pixels"


@pytest.mark.parametrize("shape", [(3, 5, 7, 1), (2, 1, 1, 1), (4, 9, 9, 3)])
def test_the_rest_of_an_image_stays(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    changed = apply(images, area=(0.3, 0.3))
    assert changed.dtype == np.uint8
    assert changed.shape == shape
    kept = (changed == images).mean()
    assert kept > 0.4 or shape[1] == 1


def test_the_seed_alone_decides_and_neighbours_do_not_matter() -> None:
    rng = np.random.default_rng(0)
    images, others = (rng.integers(0, 256, (6, 24, 20, 1), dtype=np.uint8) for _ in range(2))
    first = apply(images)
    np.testing.assert_array_equal(apply(images), first)
    assert not np.array_equal(apply(images, seed=(0, 1)), first)
    others[2] = images[2]
    np.testing.assert_array_equal(apply(others)[2], first[2])


def test_a_function_of_unknown_batch_size_agrees() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, 40, 60, 3), tf.uint8)])
    def traced(batch: tf.Tensor) -> tf.Tensor:
        return random_erasing(batch, probability=0.5, area=(0.1, 0.2), seed=tf.constant([0, 0]))

    np.testing.assert_array_equal(traced(black(9)), apply(black(9), probability=0.5, area=(0.1, 0.2)))
