"""Faithfulness and sanity checks: curves by hand, weights that come back, similarities that are known."""

import keras
import numpy as np
import pytest
from keras import layers

from ferkeras.errors import InputError
from ferkeras.explain.faithfulness import faithfulness, random_maps
from ferkeras.explain.maps import explain
from ferkeras.explain.network import call
from ferkeras.explain.sanity import randomised, rank_correlation, sanity_check, ssim, weighted_layers
from ferkeras.explain.target import Target
from tests.tiny_networks import clip, clips

TARGET = Target("bright", "emotion", 1)


@pytest.fixture(scope="module")
def corner() -> keras.Model:
    """Two classes; the second one is the more probable, the brighter the upper left quarter of 8 x 8 pixels."""
    image = keras.Input((8, 8, 1), name="image")
    x = layers.Cropping2D(((0, 4), (0, 4)), name="seen")(layers.Rescaling(1 / 255, name="scale")(image))
    dense = layers.Dense(2, name="emotion")
    model = keras.Model(image, {"emotion": dense(layers.Flatten(name="flat")(x))})
    dense.set_weights([np.stack([np.zeros(16), np.full(16, 0.5)], axis=1), np.array([0.0, -4.0])])
    return model


def bright_corner() -> np.ndarray:
    image = np.zeros((1, 8, 8, 1), np.uint8)
    image[:, :4, :4] = 255
    return image


def test_a_good_map_falls_early_and_rises_early(corner: keras.Model) -> None:
    given = bright_corner()
    right = given[..., 0] / 255
    good = faithfulness(corner, given, TARGET, right, steps=16)
    bad = faithfulness(corner, given, TARGET, -right, steps=16)
    whole = TARGET.value(call(corner, given))[0]
    assert whole == pytest.approx(1 / (1 + np.exp(-4)), abs=1e-6)
    assert good.deletion.shape == good.insertion.shape == (1, 17)
    assert good.deletion[0, 0] == pytest.approx(whole, abs=1e-6)
    assert good.insertion[0, -1] == pytest.approx(whole, abs=1e-6)
    # A quarter of the pixels is all that the network sees: then the mean, 63.75, is all that is left.
    grey = 1 / (1 + np.exp(4 - 8 * 63.75 / 255))
    np.testing.assert_allclose(good.deletion[0, 4:], grey, atol=1e-6)
    np.testing.assert_allclose(bad.deletion[0, :13], whole, atol=1e-6)
    assert good.deletion_area[0] < bad.deletion_area[0]
    assert good.insertion_area[0] > bad.insertion_area[0]
    by_hand = (good.deletion[0, 1:] + good.deletion[0, :-1]).mean() / 2
    assert good.deletion_area[0] == pytest.approx(by_hand)


def test_valence_has_the_distance_to_what_was_said() -> None:
    image = keras.Input((4, 4, 1), name="image")
    mean = layers.GlobalAveragePooling2D(name="features")(layers.Rescaling(1 / 255, name="scale")(image))
    dense = layers.Dense(1, name="valence", kernel_initializer="ones")
    model = keras.Model(image, {"valence": dense(mean)})
    given = np.zeros((1, 4, 4, 1), np.uint8)
    given[0, 0, 0] = 255
    found = faithfulness(model, given, Target("valence", "valence"), given[..., 0].astype(float), steps=16)
    assert found.deletion[0, 0] == pytest.approx(1)
    mean = given.mean() / 255  # of the picture, and what the first pixel becomes
    assert found.deletion[0, 1] == pytest.approx(1 - abs(mean / 16 - mean) / 2, abs=1e-6)


def test_clips_and_a_map_of_another_shape(corner: keras.Model) -> None:
    given, target = clips(2), Target("angry", "emotion", 0)
    maps = random_maps(given["frames"].shape[:-1])
    found = faithfulness(clip(), given, target, maps, steps=3)
    assert found.deletion.shape == (2, 4)
    np.testing.assert_array_equal(maps[:1], random_maps((1, *maps.shape[1:])))
    assert np.abs(maps - random_maps(maps.shape, seed=1)).max() > 0
    with pytest.raises(InputError, match="shape"):
        faithfulness(corner, bright_corner(), TARGET, np.zeros((1, 4, 4)))


def test_randomised_weights_are_shuffled_and_come_back() -> None:
    model = clip()
    found = weighted_layers(model)
    assert [layer.name for layer in found] == ["conv", "norm", "dense", "lstm1", "emotion"]
    before = [weight.copy() for weight in model.get_weights()]
    with randomised(found[-2:], seed=3):
        within = model.get_weights()
    changed = [not np.array_equal(a, b) for a, b in zip(before, within, strict=True)]
    assert any(changed[-5:])
    assert not any(changed[:-5])
    for a, b in zip(before, within, strict=True):
        np.testing.assert_array_equal(np.sort(a, axis=None), np.sort(b, axis=None))
    with pytest.raises(RuntimeError, match="stop"), randomised(found):
        raise RuntimeError("stop")
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_map_of_the_network_changes_and_one_of_the_picture_does_not() -> None:
    model, given, target = clip(), clips(2), Target("angry", "emotion", 0)

    def saliency(network: keras.Model) -> np.ndarray:
        return explain(network, given, target, method="saliency").map

    rows = sanity_check(model, saliency, stages=2)
    assert [row["layers"] for row in rows] == [2, 5]
    assert [row["down_to"] for row in rows] == ["lstm1", "conv"]
    assert rows[-1]["ssim"] < 0.9
    assert rows[-1]["rank_correlation"] < 0.9
    assert rows == sanity_check(model, saliency, stages=2)

    def edges(network: keras.Model) -> np.ndarray:
        return given["frames"][..., 0] / 255

    for row in sanity_check(model, edges, stages=1):
        assert (row["ssim"], row["rank_correlation"]) == (pytest.approx(1), pytest.approx(1))


def test_similarities() -> None:
    skimage = pytest.importorskip("skimage.metrics")
    first, second = np.random.default_rng(0).random((2, 40, 40))
    second = 0.5 * first + 0.5 * second
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    _, full = skimage.structural_similarity(first, second, full=True, **settings)
    assert ssim(first, second) == pytest.approx(full.mean(), abs=1e-3)
    assert rank_correlation(first, first**3) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)
    assert rank_correlation(first, np.zeros_like(first)) == 0
