"""MixUp and CutMix: what stands in a pixel is what stands in the target."""

import numpy as np
import pytest
import tensorflow as tf

from ferkeras.data.mixing import mix

WAYS = {"mixup": {"mixup": 1.0, "cutmix": 0.0}, "cutmix": {"mixup": 0.0, "cutmix": 1.0}}


def apply(
    images: np.ndarray, labels: np.ndarray, *, mixup: float, cutmix: float, seed: tuple[int, int] = (0, 0)
) -> tuple[np.ndarray, np.ndarray]:
    mixed, targets = mix(
        tf.constant(images), tf.constant(labels), mixup=mixup, cutmix=cutmix, classes=3, seed=tf.constant(seed)
    )
    return mixed.numpy(), targets.numpy()


def two_kinds(batch: int, height: int = 40, width: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Black images of class 0 and white ones of class 2, so that the mean of a mixture is its share of white."""
    labels = np.arange(batch) % 2 * 2
    images = np.broadcast_to((labels // 2 * 255)[:, None, None, None], (batch, height, width, 3))
    return images.astype(np.uint8), labels


@pytest.mark.parametrize("way", [*WAYS.values(), {"mixup": 0.4, "cutmix": 2.0}], ids=[*WAYS, "both"])
def test_targets_are_the_shares_of_the_pixels(way: dict[str, float]) -> None:
    images, targets = apply(*two_kinds(200), **way)
    assert (images.dtype, targets.dtype) == (np.uint8, np.float32)
    assert targets.shape == (200, 3)
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, atol=1e-6)
    assert targets.min() >= 0
    assert (targets[:, 1] == 0).all(), "nobody brought this class"
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)) / 255, targets[:, 2], atol=0.5 / 255 + 1e-5)
    assert len(np.unique(targets[:, 2].round(4))) > 60, "each image draws its own share"


def test_mixup_mixes_every_pixel_alike_and_cutmix_cuts_a_rectangle() -> None:
    mixed, _ = apply(*two_kinds(100), **WAYS["mixup"])
    assert np.ptp(mixed, axis=(1, 2, 3)).max() == 0
    assert ((mixed[:, 0, 0, 0] > 0) & (mixed[:, 0, 0, 0] < 255)).sum() > 30
    cut, _ = apply(*two_kinds(400), **WAYS["cutmix"])
    assert set(np.unique(cut)) == {0, 255}
    boxes = 0
    for image, label in zip(cut[..., 0], two_kinds(400)[1], strict=True):
        other = image != label // 2 * 255
        if other.any():
            rows, columns = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
            assert other.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1), "a full rectangle"
            boxes += 1
    assert boxes > 100


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_the_share_follows_the_beta_distribution(alpha: float) -> None:
    """Of Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)). White gets black partners half of the time."""
    shares = []
    for seed in range(10):
        images = np.repeat(np.array([0, 255], np.uint8), 500).reshape(-1, 1, 1, 1)
        _, targets = apply(images, images.ravel() // 255 * 2, mixup=alpha, cutmix=0.0, seed=(0, seed))
        unequal = (targets[:, 0] > 0) & (targets[:, 2] > 0)
        shares.append(targets[unequal, 2])
    values = np.concatenate(shares)
    # Shares that round to 0 or 1 are not among these, which takes a little off the variance where alpha is small.
    assert values.mean() == pytest.approx(0.5, abs=0.02)
    assert values.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
@pytest.mark.parametrize("alpha", [1e-5, 0.05, 1e5])
def test_extreme_alphas(way: str, alpha: float) -> None:
    images, targets = apply(*two_kinds(500), **{"mixup": 0.0, "cutmix": 0.0, way: alpha})
    np.testing.assert_allclose(targets.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(images.mean(axis=(1, 2, 3)) / 255, targets[:, 2], atol=0.5 / 255 + 1e-5)


def test_a_small_alpha_takes_an_image_or_its_partner_whole_and_a_large_one_half_of_each() -> None:
    labels = two_kinds(1000)[1]
    white = apply(*two_kinds(1000, 1, 1), mixup=1e-5, cutmix=0.0)[1][:, 2]
    assert np.minimum(white, 1 - white).max() < 1e-6
    exchanged = (white > 0.5) != (labels == 2)
    assert 0.2 < exchanged.mean() < 0.3, "half of the shares are 0, half of the partners are of the other kind"
    white = apply(*two_kinds(1000, 1, 1), mixup=1e5, cutmix=0.0)[1][:, 2]
    half = np.abs(white - 0.5) < 0.01
    assert 0.4 < half.mean() < 0.6
    assert np.isin(white[~half], (0, 1)).all()


def test_cutmix_boxes_have_the_area_of_the_share_unless_they_are_clipped() -> None:
    """With a large alpha every share is 1/2: a box has half the area where it lies inside, less at the border."""
    images, _ = apply(*two_kinds(2000, 64, 64), mixup=0.0, cutmix=1e6)
    other = images[..., 0] != (two_kinds(2000)[1] // 2 * 255)[:, None, None]
    area = other.mean(axis=(1, 2))
    assert area.max() == pytest.approx(0.5, abs=0.03)
    assert area[area > 0].min() < 0.2
    corner = other[:, 0, 0].mean() / other.any(axis=(1, 2)).mean()
    # The centre is anywhere, so the corner is in the box where the centre is within half a side of it: 0.3536 squared.
    assert corner == pytest.approx(0.125, abs=0.04)


def test_both_ways_with_even_chance_by_batch() -> None:
    inputs, ways = two_kinds(8, 12, 12), []
    for seed in range(200):
        images, _ = apply(*inputs, mixup=1e6, cutmix=1e6, seed=(0, seed))  # shares of one half
        ways.append(bool(np.isin(images, (0, 255)).all()))
    # A batch of eight in which MixUp found only equal partners looks like CutMix; that is rare.
    assert 65 < sum(ways) < 140


def test_partners_are_each_image_once() -> None:
    images = np.arange(50, dtype=np.uint8).reshape(50, 1, 1, 1) * 5
    orders = []
    for seed in range(3):
        mixed, _ = apply(images, np.zeros(50, int), mixup=1e6, cutmix=0.0, seed=(0, seed))
        partner = (2 * mixed.ravel().astype(int) - images.ravel()) / 5  # every share is one half
        orders.append(partner.round().astype(int))
        assert sorted(orders[-1]) == list(range(50))
        assert orders[-1].tolist() != list(range(50))
    assert orders[0].tolist() != orders[1].tolist()


@pytest.mark.parametrize("way", [*WAYS.values(), {"mixup": 1.0, "cutmix": 1.0}], ids=[*WAYS, "both"])
def test_the_seed_alone_decides(way: dict[str, float]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (16, 12, 10, 3), dtype=np.uint8)
    labels = np.arange(16) % 3
    first = apply(images, labels, **way)
    for value, same in zip(first, apply(images, labels, **way), strict=True):
        np.testing.assert_array_equal(value, same)
    assert not np.array_equal(apply(images, labels, seed=(0, 1), **way)[0], first[0])


@pytest.mark.parametrize("batch", [1, 7])
def test_a_function_of_unknown_batch_size_agrees(batch: int) -> None:
    spec = [tf.TensorSpec((None, 40, 30, 3), tf.uint8), tf.TensorSpec((None,), tf.int64)]

    @tf.function(input_signature=spec)
    def traced(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mixed, targets = mix(images, labels, mixup=1.0, cutmix=1.0, classes=3, seed=tf.constant([0, 0]))
        assert mixed.shape.as_list() == [None, 40, 30, 3]
        assert targets.shape.as_list() == [None, 3]
        return mixed, targets

    images, labels = two_kinds(batch)
    for value, same in zip(traced(images, labels), apply(images, labels, mixup=1.0, cutmix=1.0), strict=True):
        np.testing.assert_array_equal(value, same)
