"""Preprocessing: one result in every mode, exact colour, the resize, the file formats, and what is refused."""

import io
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError


def picture(height: int, width: int, channels: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(pixels: np.ndarray, kind: str, *, mode: str | None = None) -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(pixels.squeeze())
    (image.convert(mode) if mode else image).save(buffer, kind)
    return buffer.getvalue()


# One result, however it is called

SIDES = st.integers(1, 40)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.sampled_from([1, 3]), st.sampled_from([1, 3]))
@settings(max_examples=20)
def test_eager_function_and_dataset_agree(
    source: tuple[int, int], target: tuple[int, int], given_channels: int, wanted_channels: int
) -> None:
    preprocessing = Preprocessing(*target, wanted_channels)
    image = picture(*source, given_channels)
    eager = preprocessing(image).numpy()
    assert eager.dtype == np.uint8
    assert eager.shape == (*target, wanted_channels)
    unknown_size = tf.TensorSpec((None, None, given_channels), tf.uint8)
    np.testing.assert_array_equal(tf.function(preprocessing, input_signature=[unknown_size])(image), eager)
    dataset = tf.data.Dataset.from_generator(lambda: [image], output_signature=unknown_size).map(preprocessing)
    assert dataset.element_spec.shape == eager.shape
    np.testing.assert_array_equal(next(dataset.as_numpy_iterator()), eager)


@given(st.tuples(SIDES, SIDES), st.sampled_from([1, 3]))
@settings(max_examples=20)
def test_an_image_of_the_right_size_and_colour_is_unchanged(size: tuple[int, int], channels: int) -> None:
    image = picture(*size, channels)
    np.testing.assert_array_equal(Preprocessing(*size, channels)(image), image)


# Colour


def test_grey_of_a_grey_rgb_picture_is_exact() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    np.testing.assert_array_equal(Preprocessing(16, 16, 1)(grey.repeat(3, axis=-1)), grey)


def test_rgb_of_a_grey_picture_repeats_it() -> None:
    grey = picture(9, 7, 1)
    np.testing.assert_array_equal(Preprocessing(9, 7, 3)(grey), grey.repeat(3, axis=-1))


def test_luma_is_that_of_pillow_and_opencv() -> None:
    rgb = picture(64, 64, 3)
    luma = Preprocessing(64, 64, 1)(rgb).numpy()[..., 0].astype(int)
    pillow = np.asarray(Image.fromarray(rgb).convert("L"), int)
    opencv = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(int)
    assert np.abs(luma - pillow).max() <= 1
    assert np.abs(luma - opencv).max() <= 1


@pytest.mark.parametrize(("colour", "luma"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])
def test_luma_of_the_primaries(colour: tuple[int, int, int], luma: int) -> None:
    """ITU-R BT.601: 0.299, 0.587 and 0.114 of 255."""
    assert Preprocessing(1, 1, 1)(np.array(colour, np.uint8).reshape(1, 1, 3)).numpy().item() == luma


# Size


def test_shrinking_averages_what_vanishes_as_pillow_does() -> None:
    image = picture(64, 48, 1)
    shrunk = Preprocessing(8, 8, 1)(image).numpy()[..., 0].astype(int)
    pillow = np.asarray(Image.fromarray(image[..., 0]).resize((8, 8), Image.Resampling.BILINEAR), int)
    assert np.abs(shrunk - pillow).max() <= 1
    assert shrunk.std() < 12, "four neighbours alone would leave half of the noise, which has 74"


@given(st.integers(2, 60), st.integers(2, 60), st.integers(0, 255))
@settings(max_examples=20)
def test_a_flat_picture_stays_flat(height: int, width: int, value: int) -> None:
    assert np.unique(Preprocessing(12, 10, 1)(np.full((height, width, 1), value, np.uint8))).tolist() == [value]


def test_enlarging_is_bilinear_and_keeps_the_sides_apart() -> None:
    image = picture(12, 9, 1)
    enlarged = Preprocessing(24, 36, 1)(image).numpy()[..., 0].astype(int)
    expected = cv2.resize(image, (36, 24), interpolation=cv2.INTER_LINEAR).astype(int)
    assert np.abs(enlarged - expected).max() <= 1


# Files


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_files_are_decoded_exactly(kind: str, channels: int) -> None:
    # A GIF holds at most 256 colours, so the picture has few.
    image = picture(20, 30, channels) // 128 * 255
    for wanted in (1, 3):
        preprocessing = Preprocessing(20, 30, wanted)
        np.testing.assert_array_equal(preprocessing.decode(encoded(image, kind)), preprocessing(image))


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_decoded_closely(channels: int) -> None:
    row, column = np.mgrid[:32, :32]
    image = np.stack([row * 8, column * 8, row + column], axis=-1)[..., :channels].astype(np.uint8)
    decoded = Preprocessing(32, 32, channels).decode(encoded(image, "JPEG")).numpy()
    assert np.abs(decoded.astype(int) - image.astype(int)).mean() < 6


def test_a_grey_jpeg_is_decoded_as_pillow_does() -> None:
    data = encoded(picture(24, 24, 1), "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data)), int)
    decoded = Preprocessing(24, 24, 1).decode(data).numpy()[..., 0].astype(int)
    assert np.abs(decoded - expected).max() <= 4  # the decoders round the inverse transform in their own ways


def test_alpha_is_ignored() -> None:
    rgb = picture(8, 8, 3)
    alpha = picture(8, 8, 1, seed=1)
    data = encoded(np.concatenate([rgb, alpha], axis=-1), "PNG")
    np.testing.assert_array_equal(Preprocessing(8, 8, 3).decode(data), rgb)
    grey = encoded(picture(8, 8, 1), "PNG", mode="LA")
    np.testing.assert_array_equal(Preprocessing(8, 8, 1).decode(grey), picture(8, 8, 1))


def test_of_sixteen_bits_the_upper_eight_are_kept() -> None:
    deep = np.random.default_rng(0).integers(0, 2**16, (8, 8), dtype=np.uint16)
    decoded = Preprocessing(8, 8, 1).decode(encoded(deep, "PNG"))
    np.testing.assert_array_equal(decoded, (deep >> 8).astype(np.uint8)[..., None])


def test_of_a_moving_picture_the_first_frame_is_taken() -> None:
    frames = [np.full((8, 8), value, np.uint8) for value in (10, 200)]
    buffer = io.BytesIO()
    Image.fromarray(frames[0]).save(buffer, "GIF", save_all=True, append_images=[Image.fromarray(frames[1])])
    np.testing.assert_array_equal(Preprocessing(8, 8, 1).decode(buffer.getvalue()), frames[0][..., None])


@pytest.mark.parametrize("data", [b"", b"no picture", encoded(picture(8, 8, 3), "PNG")[:40]])
def test_broken_files_are_refused(data: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        Preprocessing(8, 8, 1).decode(data)


def test_decoding_in_a_function_of_unknown_size() -> None:
    preprocessing = Preprocessing(10, 12, 1)
    decode = tf.function(preprocessing.decode, input_signature=[tf.TensorSpec((), tf.string)])
    for image in (picture(20, 30, 3), picture(10, 12, 1)):
        np.testing.assert_array_equal(decode(encoded(image, "PNG")), preprocessing(image))


# Refused


@pytest.mark.parametrize(
    ("image", "received"),
    [
        (np.zeros((8, 8), np.uint8), r"uint8, shape \(8, 8\)"),
        (np.zeros((1, 8, 8, 1), np.uint8), r"uint8, shape \(1, 8, 8, 1\)"),
        (np.zeros((8, 8, 2), np.uint8), r"uint8, shape \(8, 8, 2\)"),
        (np.zeros((8, 8, 4), np.uint8), r"uint8, shape \(8, 8, 4\)"),
        (np.zeros((8, 8, 1), np.float32), r"float32, shape \(8, 8, 1\)"),
    ],
)
def test_other_shapes_and_types_are_refused(image: np.ndarray, received: str) -> None:
    with pytest.raises(InputError, match=rf"uint8 of \(height, width, 1 or 3\)\. Received: {received}\."):
        Preprocessing(8, 8, 1)(image)


# JSON


@given(st.integers(1, 512), st.integers(1, 512), st.sampled_from([1, 3]))
def test_json_round_trip(height: int, width: int, channels: int) -> None:
    preprocessing = Preprocessing(height, width, channels)
    assert Preprocessing.from_json(preprocessing.to_json()) == preprocessing


def test_json_has_what_a_reader_without_this_library_needs() -> None:
    assert json.loads(Preprocessing(48, 64, 1).to_json()) == {
        "height": 48,
        "width": 64,
        "channels": 1,
        "range": [0, 255],
        "crop": "none",
    }
