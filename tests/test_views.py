"""Test-time augmentation: what the views show, and what is made of them."""

import argparse
import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ferkeras.cli.command import add_tta_argument
from ferkeras.data.pipeline import StillPipeline
from ferkeras.evaluation import evaluate
from ferkeras.inference import softmax
from ferkeras.recipe import Augment, Recipe
from ferkeras.views import VIEWS, flip_views, scale_views, ten_crop_views, with_views

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def columns(images: np.ndarray) -> dict[str, np.ndarray]:
    """A model that looks at the left, the middle and the right of an image."""
    parts = np.array_split(np.asarray(images, np.float32).mean(axis=(1, 3)), 3, axis=1)
    return {"emotion": np.stack([part.mean(axis=1) / 20 for part in parts], axis=1)}


def mirrored_columns(images: np.ndarray) -> dict[str, np.ndarray]:
    """The same without left and right."""
    return {"emotion": columns(images)["emotion"] + columns(images[:, :, ::-1])["emotion"]}


def test_flip_views() -> None:
    images = noise(2, 5, 6, 3)
    original, mirror = flip_views(images)
    np.testing.assert_array_equal(original, images)
    np.testing.assert_array_equal(mirror[:, :, 0], images[:, :, -1])
    np.testing.assert_array_equal(mirror[:, :, ::-1], images)


def test_flip_changes_nothing_for_a_model_that_does_not_tell_left_from_right() -> None:
    images = noise(6, 12, 12, 1)
    averaged = softmax(with_views(mirrored_columns, "flip")(images)["emotion"])
    np.testing.assert_allclose(averaged, softmax(mirrored_columns(images)["emotion"]), atol=1e-6)


@pytest.mark.parametrize("tta", ["flip", "ten_crop", "scales"])
def test_views_give_the_logarithm_of_the_mean_probability(tta: str) -> None:
    images = noise(5, 48, 48, 1)
    averaged = with_views(columns, tta)(images)["emotion"]
    each = [softmax(columns(view)["emotion"]) for view in VIEWS[tta](images)]
    np.testing.assert_allclose(softmax(averaged), np.mean(each, axis=0), atol=1e-7)
    np.testing.assert_allclose(np.exp(averaged).sum(axis=-1), 1.0)
    assert not np.allclose(softmax(averaged), each[0], atol=1e-4)


def test_no_view_is_the_model_itself() -> None:
    assert with_views(columns, "none") is columns


def test_a_certain_answer_has_a_finite_logarithm() -> None:
    def certain(images: np.ndarray) -> dict[str, np.ndarray]:
        return {"emotion": np.tile([1000.0, 0.0], (len(images), 1))}

    assert np.isfinite(with_views(certain, "flip")(np.zeros((2, 1, 1, 1)))["emotion"]).all()


def test_ten_crop_shapes() -> None:
    for shape in ((3, 48, 48, 1), (2, 24, 60, 3)):
        views = ten_crop_views(noise(*shape))
        assert [view.shape for view in views] == [shape] * 10


def test_ten_crop_positions() -> None:
    """On a ramp of the columns and one of the rows the outermost values tell what was cut out."""
    row, column = np.mgrid[:48, :60]
    images = np.stack([row, column], axis=-1)[None].astype(np.uint8)
    views = ten_crop_views(images)
    cut = [(v[..., 0].min(), v[..., 0].max(), v[..., 1].min(), v[..., 1].max()) for v in views[::2]]
    assert cut == [(0, 39, 0, 49), (0, 39, 10, 59), (8, 47, 0, 49), (8, 47, 10, 59), (4, 43, 5, 54)]
    for view, mirror in zip(views[::2], views[1::2], strict=True):
        np.testing.assert_array_equal(mirror, view[:, :, ::-1])


def test_the_centre_crop_is_scaled_back() -> None:
    """Pixel (24, 24) of 48 shows the point (24 + 1/2) * 40/48 - 1/2 = 19 11/12 of the crop that begins at 4."""
    image = noise(1, 48, 48, 1)
    shown = float(ten_crop_views(image)[8][0, 24, 24, 0])
    near = image[0, 23:25, 23:25, 0].astype(float)
    weights = np.array([1 / 12, 11 / 12])
    assert shown == pytest.approx(weights @ near @ weights, abs=1e-2)


def test_crops_of_a_flat_image_are_flat() -> None:
    for view in ten_crop_views(np.full((1, 48, 48, 1), 77, np.uint8)):
        np.testing.assert_allclose(view, 77)


def test_scales_by_hand() -> None:
    """On a ramp of the columns the outermost values tell what is seen, and the middle ones how large."""
    images = np.tile(np.arange(48, dtype=np.uint8)[None, None, :, None], (1, 48, 1, 1))
    views = scale_views(images)
    assert [view.shape for view in views] == [images.shape] * 6
    np.testing.assert_array_equal(views[0], images)
    nearer, farther = (view[0, 24, :, 0] for view in views[2::2])
    assert (nearer.min(), nearer.max()) == (2, 45)
    assert nearer[24] - nearer[23] == pytest.approx(44 / 48, abs=1e-5)
    assert farther[24] - farther[23] == pytest.approx(52 / 48, abs=1e-5)
    assert farther[2:46].min() == pytest.approx(0.21, abs=0.01)  # 2.5 * 52/48 - 2.5, the edge pixel
    assert farther[0] > farther[2]  # the border mirrors what is there
    for view, mirror in zip(views[::2], views[1::2], strict=True):
        np.testing.assert_array_equal(mirror, view[:, :, ::-1])


def test_scales_of_clips_are_those_of_their_frames() -> None:
    frames = noise(2, 3, 24, 30, 1)
    mask = np.array([[True, True, False], [True, True, True]])
    clips = scale_views({"frames": frames, "frame_mask": mask})
    stills = scale_views(frames.reshape(-1, 24, 30, 1))
    for clip, still in zip(clips, stills, strict=True):
        np.testing.assert_array_equal(clip["frames"].reshape(-1, 24, 30, 1), still)
        assert clip["frame_mask"] is mask


@pytest.mark.parametrize("side", [1, 5, 11])
def test_scales_of_tiny_images_are_the_images(side: int) -> None:
    images = noise(2, side, side, 1)
    for view, mirror in zip(scale_views(images)[::2], scale_views(images)[1::2], strict=True):
        np.testing.assert_allclose(view, images, atol=1e-4)
        np.testing.assert_array_equal(mirror, view[:, :, ::-1])


def test_the_commands_know_every_view() -> None:
    parser = argparse.ArgumentParser()
    add_tta_argument(parser)
    for tta in VIEWS:
        assert parser.parse_args(["--tta", tta]).tta == tta


@pytest.mark.parametrize("tta", VIEWS)
def test_the_evaluator_names_its_views(tta: str, tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe) -> None:
    seen: list[tuple[int, ...]] = []

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(images.shape)
        return columns(images)

    result = evaluate(run, StillPipeline(tiny_dataset, tiny_recipe), split="test", tta=tta)
    assert result["tta"] == tta
    assert seen == [(20, 32, 32, 1)] * {"none": 1, "flip": 2, "ten_crop": 10, "scales": 6}[tta]


@pytest.mark.parametrize(("crop", "fraction"), [(1.0, 40 / 48), (0.6, 0.6)])
def test_the_side_of_the_ten_crops_is_the_recipe_s(
    crop: float, fraction: float, tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe
) -> None:
    seen: list[np.ndarray] = []

    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        seen.append(np.asarray(images))
        return columns(images)

    data = StillPipeline(tiny_dataset, dataclasses.replace(tiny_recipe, augment=Augment(flip=False, crop=crop)))
    evaluate(run, data, split="validation", tta="ten_crop")
    images = next(iter(data.evaluation("validation", batch_size=256).as_numpy_iterator()))[0]
    for view, expected in zip(seen, ten_crop_views(images, fraction=fraction), strict=True):
        np.testing.assert_array_equal(view, expected)
