"""The affine sampler: by hand, against a double loop, PyTorch and TensorFlow Addons, at borders and far outside."""

import math
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ferkeras.layers import AffineSampler
from tests.contracts import assert_independent
from tests.golden.stn_cases import affine_maps, pixel_coordinates

IDENTITY = np.array([1, 0, 0, 0, 1, 0], "float32")
SAMPLE = AffineSampler()


def sample(images: np.ndarray, theta: np.ndarray, layer: AffineSampler = SAMPLE) -> np.ndarray:
    """`theta` (6,) for all images or (B, 6)."""
    maps = np.broadcast_to(np.asarray(theta, "float32"), (len(images), 6))
    return np.asarray(layer([images, maps]))


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype="float32")


def by_loop(image: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """One image (H, W, C) in float64; the four neighbours of each sample, those outside the image being zero."""
    height, width, _ = image.shape
    output = np.zeros(image.shape)
    places = pixel_coordinates(theta.reshape(2, 3), height, width)
    for row in range(height):
        for column in range(width):
            x, y = places[row, column]
            for j in (math.floor(y), math.floor(y) + 1):
                for i in (math.floor(x), math.floor(x) + 1):
                    if 0 <= i < width and 0 <= j < height:
                        output[row, column] += (1 - abs(x - i)) * (1 - abs(y - j)) * image[j, i]
    return output


@pytest.mark.parametrize("shape", [(48, 48, 1), (64, 64, 3), (224, 224, 3), (5, 9, 2)])
def test_identity_returns_the_image_bit_for_bit(shape: tuple[int, int, int]) -> None:
    images = noise(2, *shape)
    np.testing.assert_array_equal(sample(images, IDENTITY), images)


@pytest.mark.parametrize(("right", "down"), [(1, 0), (-1, 0), (0, 1), (0, -1), (2, -3), (-4, 3), (7, 0), (0, -5)])
def test_translation_by_whole_pixels(right: int, down: int) -> None:
    """The output shows the input's pixel `right` columns and `down` rows further, and zeros where there is none."""
    height, width = 5, 7
    images = noise(2, height, width, 3)
    theta = [1, 0, 2 * right / (width - 1), 0, 1, 2 * down / (height - 1)]
    expected = np.zeros_like(images)
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                expected[:, row, column] = images[:, row + down, column + right]
    np.testing.assert_allclose(sample(images, theta), expected, atol=3e-6)


def test_half_a_pixel_is_the_mean_of_two_and_half_of_the_last() -> None:
    images = noise(1, 4, 6, 1)
    shifted = sample(images, [1, 0, 1 / 5, 0, 1, 0])
    followed = np.concatenate([images[:, :, 1:], np.zeros((1, 4, 1, 1), "float32")], axis=2)
    np.testing.assert_allclose(shifted, (images + followed) / 2, atol=1e-6)


def test_quarter_turn_half_turn_mirrors_and_transposition() -> None:
    images = noise(2, 6, 6, 3)
    # The output at (x, y) shows the input at (-y, x): its right side is what was at the bottom.
    turned = sample(images, [0, -1, 0, 1, 0, 0])
    np.testing.assert_allclose(turned, np.rot90(images, k=1, axes=(1, 2)), atol=3e-6)
    np.testing.assert_allclose(turned[:, 0, 0], images[:, 0, 5], atol=3e-6)
    np.testing.assert_allclose(sample(images, [-1, 0, 0, 0, -1, 0]), images[:, ::-1, ::-1], atol=3e-6)
    np.testing.assert_allclose(sample(images, [-1, 0, 0, 0, 1, 0]), images[:, :, ::-1], atol=3e-6)
    np.testing.assert_allclose(sample(images, [1, 0, 0, 0, -1, 0]), images[:, ::-1], atol=3e-6)
    np.testing.assert_allclose(sample(images, [0, 1, 0, 1, 0, 0]), images.transpose(0, 2, 1, 3), atol=3e-6)


def test_enlarging_shows_the_middle_and_reducing_a_frame_of_zeros() -> None:
    images = noise(1, 5, 5, 1)
    larger = sample(images, [0.5, 0, 0, 0, 0.5, 0])
    np.testing.assert_allclose(larger[:, ::2, ::2], images[:, 1:4, 1:4], atol=1e-6)
    smaller = sample(images, [2, 0, 0, 0, 2, 0]).copy()
    np.testing.assert_allclose(smaller[:, 1:4, 1:4], images[:, ::2, ::2], atol=1e-6)
    smaller[:, 1:4, 1:4] = 0
    assert not smaller.any()


def test_each_image_has_its_own_map() -> None:
    images = noise(3, 4, 5, 2)
    maps = np.stack([IDENTITY, [-1, 0, 0, 0, 1, 0], [1, 0, 9, 0, 1, 0]]).astype("float32")
    outputs = sample(images, maps)
    np.testing.assert_allclose(outputs[0], images[0], atol=3e-6)
    np.testing.assert_allclose(outputs[1], images[1, :, ::-1], atol=3e-6)
    assert not outputs[2].any()
    layer = AffineSampler()
    assert_independent(
        lambda batch: layer([batch, maps[: len(batch)] if len(batch) > 1 else maps[1:2]]), images, atol=0
    )


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9, 1e30])
def test_wild_maps_give_zeros_or_pixels_and_finite_gradients(size: float) -> None:
    images = tf.constant(1 + noise(6, 7, 9, 1))
    signs = np.random.default_rng(1).choice([-1, 1], (6, 6))
    theta = tf.constant((size * signs).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch([images, theta])
        outputs = SAMPLE([images, theta])
    for value in (outputs, *tape.gradient(outputs, [images, theta])):
        assert np.isfinite(value).all()
    assert np.asarray(outputs).min() >= 0
    assert np.asarray(outputs).max() <= 2
    # Nothing maps a corner into the image: |x| is a sum of three terms of this size.
    assert not np.asarray(outputs)[:, [0, 0, -1, -1], [0, -1, 0, -1]].any()


SIDES = st.tuples(st.integers(2, 7), st.integers(2, 7), st.integers(1, 2))
#: Among plain numbers those that put samples on centres of pixels and on borders.
COEFFICIENT = st.one_of(st.floats(-3, 3, width=32), st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]))


@given(shape=SIDES, theta=arrays("float32", 6, elements=COEFFICIENT), seed=st.integers(0, 9))
@example(shape=(3, 5, 1), theta=np.array([0, 0, 1, 0, 0, 1], "float32"), seed=0)  # the last pixel
@example(shape=(3, 5, 1), theta=np.array([0, 0, -1, 0, 0, -1], "float32"), seed=0)  # the first
@example(shape=(3, 5, 1), theta=np.array([1, 0, 0.5, 0, 1, -1], "float32"), seed=0)  # a pixel and half the image off
@example(shape=(3, 5, 1), theta=np.array([1, 0, 0.25, 0, 1, 0.5], "float32"), seed=0)  # half a pixel outside
@example(shape=(2, 2, 1), theta=np.array([3, 0, 0, 0, 3, 0], "float32"), seed=0)  # a whole pixel outside
@settings(max_examples=60)
def test_equals_the_double_loop(shape: tuple[int, int, int], theta: np.ndarray, seed: int) -> None:
    image = noise(*shape, seed=seed)
    np.testing.assert_allclose(sample(image[None], theta)[0], by_loop(image, theta), rtol=0, atol=2e-5)


def load(name: str) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "golden" / name) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("file", ["stn_torch.npz", "stn_addons.npz"])
def test_equals_the_references(file: str) -> None:
    """`affine_grid` and `grid_sample` of PyTorch, and `image.resampler` of TensorFlow Addons at the same coordinates.

    Each kind of map is compared on the whole output: inside, astride the borders and outside.
    """
    golden = load(file)
    assert list(golden["names"]) == list(affine_maps())
    outputs = sample(golden["images"], golden["theta"].reshape(-1, 6))
    zeros = {name: (expected == 0).mean() for name, expected in zip(golden["names"], golden["outputs"], strict=True)}
    assert zeros["far outside"] == zeros["just outside"] == 1
    assert 0.5 < zeros["half outside"] < 0.9
    assert 0.05 < zeros["rotation"] < 0.2
    for name, output, expected in zip(golden["names"], outputs, golden["outputs"], strict=True):
        tolerance = 1e-4 if name == "wild" else 1e-5  # where a coordinate is off by as much more as it is larger
        np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance, err_msg=name)


def kinks(theta: np.ndarray, height: int, width: int) -> float:
    """Least distance of a sample's coordinate from the centre of a pixel, where the slope changes."""
    places = pixel_coordinates(theta, height, width)
    return float(np.abs(places - np.round(places)).min())


def test_gradient_equals_that_of_pytorch() -> None:
    golden = load("stn_torch.npz")
    theta = tf.constant(golden["theta"].reshape(-1, 6))
    with tf.GradientTape() as tape:
        tape.watch(theta)
        total = tf.reduce_sum(SAMPLE([golden["images"], theta]) * golden["slopes"])
    gradients = tape.gradient(total, theta).numpy().reshape(-1, 2, 3)
    compared = [k for k, rows in enumerate(golden["theta"]) if kinks(rows, *golden["images"].shape[1:3]) > 1e-4]
    assert {"rotation", "closer", "half outside"} <= set(golden["names"][compared])
    for k in compared:
        np.testing.assert_allclose(gradients[k], golden["theta_gradients"][k], rtol=1e-3, atol=1e-3)


def test_gradients_equal_finite_differences() -> None:
    image = noise(1, 6, 8, 2, seed=3)
    theta = np.array([[0.83, 0.21, 0.13, -0.17, 1.09, -0.31]], "float32")
    step = 1e-4
    assert kinks(theta.reshape(2, 3), 6, 8) > 10 * step  # no sample changes its four neighbours within a step
    slopes = np.random.default_rng(4).normal(size=image.shape)
    pixels, maps = tf.constant(image), tf.constant(theta)
    with tf.GradientTape() as tape:
        tape.watch([pixels, maps])
        total = tf.reduce_sum(SAMPLE([pixels, maps]) * slopes.astype("float32"))
    by_pixels, by_theta = (gradient.numpy()[0] for gradient in tape.gradient(total, [pixels, maps]))

    def loss(image: np.ndarray, theta: np.ndarray) -> float:  # the double loop, in float64
        return float((by_loop(image, theta) * slopes[0]).sum())

    for k in range(6):
        change = step * np.eye(6)[k]
        slope = (loss(image[0], theta[0] + change) - loss(image[0], theta[0] - change)) / (2 * step)
        assert by_theta[k] == pytest.approx(slope, rel=1e-3, abs=1e-3)
    for place in [(0, 0, 0), (2, 3, 1), (5, 7, 0)]:
        change = np.zeros(image[0].shape)
        change[place] = 1
        slope = loss(image[0] + change, theta[0]) - loss(image[0], theta[0])  # linear in the pixels
        assert by_pixels[place] == pytest.approx(slope, abs=1e-4)


def test_coordinates_are_float32_under_a_policy_of_half_precision() -> None:
    images = noise(2, 224, 224, 3)
    theta = np.array([0.913, 0.117, 0.0531, -0.0937, 1.0713, -0.0219], "float32")
    exact = sample(images, theta)
    half = AffineSampler(dtype="mixed_bfloat16")
    outputs = half([images, np.tile(theta, (2, 1))])
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"
    outputs = np.asarray(keras.ops.cast(outputs, "float32"))
    np.testing.assert_allclose(outputs, exact, rtol=2**-8, atol=1e-6)  # the rounding of the output, and no more
    # The check has teeth: maps rounded to bfloat16 move samples, and pixels of noise with them.
    rounded = np.asarray(keras.ops.cast(keras.ops.cast(theta, "bfloat16"), "float32"))
    assert np.abs(sample(images, rounded) - exact).max() > 0.1
    declared = half([keras.Input((224, 224, 3)), keras.Input((6,))])
    assert declared.dtype == "bfloat16"
    assert not half.weights


def test_config_file_and_shapes(tmp_path: Path) -> None:
    layer = AffineSampler(name="sampler")
    assert AffineSampler.from_config(layer.get_config()).get_config() == layer.get_config()
    assert layer.compute_output_shape([(None, 5, 7, 2), (None, 6)]) == (None, 5, 7, 2)
    image, theta = keras.Input((5, 7, 2)), keras.Input((6,))
    model = keras.Model([image, theta], layer([image, theta]))
    assert model.output.shape == (None, 5, 7, 2)
    model.save(tmp_path / "sampler.keras")
    inputs = [noise(3, 5, 7, 2), np.stack([rows.ravel() for rows in affine_maps().values()][2:5])]
    loaded = keras.models.load_model(tmp_path / "sampler.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    np.testing.assert_array_equal(model(inputs), layer(inputs))


@pytest.mark.parametrize(
    "shapes",
    [[(None, 5, 7), (None, 6)], [(None, 5, None, 1), (None, 6)], [(None, 5, 7, 1), (None, 2, 3)]],
)
def test_wants_images_and_maps(shapes: list[tuple[int | None, ...]]) -> None:
    with pytest.raises(ValueError, match=r"images \(B, H, W, C\) and maps \(B, 6\)\. Received: "):
        AffineSampler()([keras.Input(shape[1:]) for shape in shapes])
