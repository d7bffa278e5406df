"""Perceptual hashes: stable under what a picture goes through on its way, apart for different pictures, fast."""

import io
import time
from itertools import combinations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage.data import astronaut, camera, chelsea, coffee

from ferkeras.data.phash import DISTANCE, dct_hash, near_groups, near_pairs

PICTURES = {"astronaut": astronaut(), "camera": camera(), "chelsea": chelsea(), "coffee": coffee()}


def bits(left: int | None, right: int | None) -> int:
    assert left is not None
    assert right is not None
    return (left ^ right).bit_count()


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(image).save(data, "JPEG", quality=quality)
    return np.asarray(Image.open(data))


CHANGES = {
    "jpeg 20": lambda image: jpeg(image, 20),
    "jpeg 80": lambda image: jpeg(image, 80),
    "quarter": lambda image: cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA),
    "other aspect": lambda image: cv2.resize(image, (100, 60), interpolation=cv2.INTER_AREA),
    "double": lambda image: cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC),
    "darker": lambda image: (image * 0.6).astype(np.uint8),
    "less contrast": lambda image: (image * 0.5 + 80).astype(np.uint8),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", PICTURES)
def test_a_changed_picture_keeps_its_hash(name: str, change: str) -> None:
    assert bits(dct_hash(PICTURES[name]), dct_hash(CHANGES[change](PICTURES[name]))) <= DISTANCE


def test_different_pictures_are_far_apart() -> None:
    hashes = [dct_hash(image) for image in PICTURES.values()]
    assert min(bits(left, right) for left, right in combinations(hashes, 2)) > 16


def test_the_mirror_image_is_another_picture() -> None:
    assert bits(dct_hash(astronaut()), dct_hash(np.ascontiguousarray(astronaut()[:, ::-1]))) > 16


def test_axes_and_grey_pictures() -> None:
    grey = camera()
    assert dct_hash(grey) == dct_hash(grey[..., None]) == dct_hash(np.repeat(grey[..., None], 3, axis=-1))


def test_half_of_the_bits_are_set() -> None:
    hashed = dct_hash(astronaut())
    assert hashed is not None
    assert hashed.bit_count() == 32


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_flat_picture_has_no_hash(value: int) -> None:
    noise = np.random.default_rng(0).integers(-2, 3, (48, 48))
    assert dct_hash(np.full((48, 48), value, np.uint8)) is None
    assert dct_hash(np.clip(value + noise, 0, 255).astype(np.uint8)) is None


@pytest.mark.parametrize("shape", [(1, 1), (1, 200, 3), (200, 1, 1), (3, 5, 3)])
def test_tiny_pictures_do_not_fail(shape: tuple[int, ...]) -> None:
    dct_hash(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def brute(hashes: np.ndarray, distance: int) -> list[list[int]]:
    return [[i, j] for i, j in combinations(range(len(hashes)), 2) if bits(int(hashes[i]), int(hashes[j])) <= distance]


@given(st.integers(0, 1000), st.integers(0, 16))
def test_pairs_are_those_of_the_plain_double_loop(seed: int, distance: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = np.repeat(rng.integers(0, 2**64, 6, dtype=np.uint64), 4)
    for _ in range(8):
        flips = np.uint64(1) << rng.integers(0, 64, len(hashes)).astype(np.uint64)
        hashes ^= np.where(rng.random(len(hashes)) < 0.7, flips, np.uint64(0))
    pairs = near_pairs(hashes, distance=distance)
    assert pairs.tolist() == brute(hashes, distance)


def test_pairs_of_nothing() -> None:
    assert near_pairs(np.empty(0, np.uint64)).shape == (0, 2)
    assert near_groups([]) == []


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = np.random.default_rng(0).integers(0, 8, 60).astype(np.uint64)
    whole = near_pairs(hashes, distance=2)
    monkeypatch.setattr("ferkeras.data.phash._CHUNK", 7)
    np.testing.assert_array_equal(near_pairs(hashes, distance=2), whole)
    assert whole.tolist() == brute(hashes, 2)


def test_groups_join_through_others() -> None:
    chain = [0b1, 0b11111, 0b111111111, 0xFFF << 40, 0b1]  # neighbours differ in 4 bits
    assert near_groups(chain, distance=4) == [[0, 1, 2, 4]]
    assert near_groups(chain, distance=3) == [[0, 4]]


def test_groups_of_owners() -> None:
    # Clip 7 shows first the picture of clip 3 and then that of clip 5.
    assert near_groups([1, 1, 2**40 + 7, 2**40 + 7, 2**60 + 21], owners=[3, 7, 7, 5, 9], distance=0) == [[3, 5, 7]]


def test_many_hashes_take_seconds() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 100_000, dtype=np.uint64)
    hashes[50_000:50_100] = hashes[:100] ^ np.uint64(0b1111)
    hashes[60_000:] = hashes[60_000]  # 40,000 copies, which would be 800 million pairs
    start = time.perf_counter()
    groups = near_groups(hashes.tolist())
    assert time.perf_counter() - start < 20
    assert sorted(map(len, groups)) == [2] * 100 + [40_000]
