"""Maps of networks whose answer is known: what they look at, what they add up to, and what they do not depend on."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ferkeras.errors import InputError
from ferkeras.explain.attention import attention
from ferkeras.explain.cam import cam
from ferkeras.explain.gradcam import gradcam, hirescam
from ferkeras.explain.maps import METHODS, Options, explain, normalised
from ferkeras.explain.network import call, split
from ferkeras.explain.occlusion import frame_occlusion, occlusion
from ferkeras.explain.saliency import saliency, smoothgrad
from ferkeras.explain.target import Target, find_target, targets_of
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.layers import AdditiveAttention
from ferkeras.models import create_model
from ferkeras.models.sequence import sequence_model
from tests.tiny_networks import AFFECT, FRAMES, clip, clips, images

SIDE = 24
FIRST, SECOND = Target("a", "emotion", 0), Target("b", "emotion", 1)


def pictures(count: int, *, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, side, side, 1), dtype=np.uint8)


@pytest.fixture(scope="module")
def corner() -> keras.Model:
    """Sees the upper left quadrant alone: convolution, the rest cut away, pooling and one layer."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    x = layers.Conv2D(8, 1, activation="relu", kernel_initializer="he_normal", name="conv")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.Cropping2D(((0, 6), (0, 6)), name="seen")(x)
    x = layers.ZeroPadding2D(((0, 6), (0, 6)), name="feature_map")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    head = layers.Dense(3, name="emotion")
    model = keras.Model(image, {"emotion": head(x)})
    kernel = np.random.default_rng(0).normal(size=(8, 3))
    kernel[:, 0] = np.abs(kernel[:, 0])  # every place speaks for the first class, and against the last
    kernel[:, 2] = -kernel[:, 0]
    head.set_weights([kernel, np.array([0.5, -1.0, 2.0])])
    return model


@pytest.fixture(scope="module")
def linear() -> keras.Model:
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 1), name="image")
    return keras.Model(image, {"emotion": layers.Dense(3, name="emotion")(layers.Flatten(name="flat")(image))})


@pytest.mark.parametrize("method", [name for name in METHODS if name != "attention"])
def test_maps_lie_where_the_network_looks(corner: keras.Model, method: str) -> None:
    targets = (FIRST, SECOND, Target("c", "emotion", 2))
    maps = np.concatenate([explain(corner, pictures(4), target, method=method).map for target in targets])
    assert maps.shape == (12, SIDE, SIDE)
    assert maps.dtype == np.float32
    assert maps.min() == 0
    assert set(maps.max(axis=(1, 2))) <= {0.0, 1.0}
    assert (maps[:4].max(axis=(1, 2)) == 1).all()
    reach = 13 if method.endswith("cam") else 15 if method == "occlusion" else 12  # enlarging, the patch
    assert maps[:, reach:].max() == 0
    assert maps[:, :, reach:].max() == 0


@pytest.mark.parametrize("method", [name for name in METHODS if name != "attention"])
def test_an_example_does_not_depend_on_its_neighbours(corner: keras.Model, method: str) -> None:
    together = explain(corner, pictures(3), SECOND, method=method, options=Options(samples=3))
    alone = [explain(corner, one[None], SECOND, method=method, options=Options(samples=3)) for one in pictures(3)]
    np.testing.assert_allclose(together.raw, np.concatenate([one.raw for one in alone]), atol=1e-5)


def test_cam_adds_up_to_the_logit_and_is_grad_cam_before_it_is_rectified(corner: keras.Model) -> None:
    found = cam(corner, pictures(4), SECOND)
    logits = np.asarray(call(corner, pictures(4))["emotion"])
    bias = corner.get_layer("emotion").get_weights()[1]
    np.testing.assert_allclose(found.mean(axis=(1, 2)) + bias[1], logits[:, 1], rtol=1e-5)
    for method in (gradcam, hirescam):  # the gradient is the same at every place
        np.testing.assert_allclose(method(corner, pictures(4), SECOND), np.maximum(found, 0) / found[0].size, atol=1e-6)


def test_saliency_of_a_linear_network_is_its_weights(linear: keras.Model) -> None:
    weights = np.abs(linear.get_layer("emotion").get_weights()[0][:, 1]).reshape(8, 8)
    for found in (
        saliency(linear, pictures(2, side=8), SECOND),
        smoothgrad(linear, pictures(2, side=8), SECOND, samples=2),
    ):
        np.testing.assert_allclose(found, np.stack([weights, weights]), rtol=1e-4)


def test_occlusion_pixel_by_pixel_adds_up_to_the_score(linear: keras.Model) -> None:
    given = pictures(2, side=8)
    fall = occlusion(linear, given, SECOND, patch=1, stride=1)
    grey = np.broadcast_to(given.mean(axis=(1, 2, 3), keepdims=True), given.shape)
    whole, nothing = (np.asarray(call(linear, x.astype("float32"))["emotion"])[:, 1] for x in (given, grey))
    np.testing.assert_allclose(fall.sum(axis=(1, 2)), whole - nothing, rtol=1e-3)


def test_the_noise_has_a_seed(corner: keras.Model) -> None:
    keras.utils.set_random_seed(0)
    curved = keras.Sequential([layers.Flatten(), layers.Dense(16, activation="tanh"), layers.Dense(2)])
    image = keras.Input((8, 8, 1), name="image")
    model = keras.Model(image, {"emotion": curved(image)})
    first, again, other = (smoothgrad(model, pictures(2, side=8) / 255, FIRST, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-6


def test_valence_is_the_expectation_over_the_bins() -> None:
    keras.utils.set_random_seed(2)
    image = keras.Input((4, 4, 1), name="image")
    logits = layers.Dense(21, name="valence")(layers.Flatten(name="flat")(layers.Rescaling(1 / 255)(image)))
    model, given = keras.Model(image, {"valence": logits}), pictures(1, side=4).astype("float32")
    target = find_target({"valence": VALENCE_AROUSAL_BINS}, "valence")
    found = saliency(model, given, target)[0]
    for row, column in np.ndindex(4, 4):
        step = np.zeros_like(given)
        step[0, row, column] = 1.0
        up, down = (target.value(call(model, given + sign * step))[0] for sign in (1, -1))
        assert found[row, column] == pytest.approx(abs(up - down) / 2, abs=1e-5)
    with pytest.raises(InputError, match="gradcam"):
        cam(model, given, target)


def test_the_default_layer_is_fine_enough_and_any_can_be_named() -> None:
    model = create_model("vgg11_lstm_attention", {"width": 0.125, "lstm_units": 8}, input_shape=(48, 48, 1), classes=3)
    assert split(model).layer == "block4_relu2"
    assert gradcam(model, pictures(2, side=48), FIRST).shape == (2, 6, 6)
    assert gradcam(model, pictures(2, side=48), FIRST, layer="feature_map").shape == (2, 3, 3)
    assert hirescam(model, pictures(2, side=48), FIRST).shape == (2, 12, 12)
    with pytest.raises(InputError, match="Did you mean feature_map"):
        gradcam(model, pictures(2, side=48), FIRST, layer="feature_maps")
    weights = attention(model, pictures(2, side=48))
    assert weights.shape == (2, 48)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    maps = explain(model, pictures(2, side=48), FIRST, method="attention").map
    np.testing.assert_array_equal(maps, np.broadcast_to(maps[:, :, :1], (2, 48, 48)))
    assert (maps.min(), maps.max()) == (0, 1)
    with pytest.raises(InputError, match="gradcam"):
        cam(model, pictures(2, side=48), FIRST)


@pytest.mark.parametrize("heads", [None, AFFECT])
def test_clips(heads: Any) -> None:
    model = clip() if heads is None else clip(heads, per_frame=True)
    target = FIRST if heads is None else find_target(AFFECT, "arousal")
    given = clips(3)
    mask = given["frame_mask"]
    for method in ("gradcam", "hirescam", "saliency", "occlusion"):
        options = Options(patch=8, stride=8)
        maps = explain(model, given, target, method=method, options=options)
        assert maps.map.shape == (3, FRAMES, 16, 16)
        assert maps.map.max() == 1
        if method != "occlusion":
            assert maps.map[~mask].max() == 0
        else:
            assert maps.frames is not None
            np.testing.assert_array_equal(maps.frames, frame_occlusion(model, given, target))
            assert (maps.frames[~mask] == 0).all()
            assert np.abs(maps.frames[mask]).max() > 0
    with pytest.raises(InputError, match="--method occlusion"):
        attention(model, given)


def test_a_frame_that_does_not_count_has_no_importance() -> None:
    """Attention over frames, by hand: the mean of the frames, of which the mask leaves some out."""
    features, mask = keras.Input((FRAMES, 4), name="features"), keras.Input((FRAMES,), dtype="bool", name="frame_mask")
    pooled, _ = AdditiveAttention(name="attention")(features, mask=mask)
    outputs = {"emotion": layers.Dense(2, name="emotion")(pooled)}
    temporal = keras.Model({"features": features, "frame_mask": mask}, outputs, name="temporal")
    image = keras.Input((16, 16, 1), name="image")
    vector = layers.Dense(4, name="features")(layers.Flatten(name="flat")(layers.Rescaling(1 / 255)(image)))
    model = sequence_model(keras.Model(image, vector), temporal, name="attentive")
    given = clips(2)
    weights = explain(model, given, FIRST, method="attention").frames
    assert weights is not None
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    assert (weights[~given["frame_mask"]] == 0).all()
    only = {"frames": given["frames"], "frame_mask": np.eye(FRAMES, dtype=bool)[:2]}
    assert (frame_occlusion(model, only, FIRST) == 0).all()


def test_scales() -> None:
    maps = np.array([[[-1.0, 2.0], [4.0, 0.0]], [[-1.0, -2.0], [0.0, 0.0]]], np.float32)
    np.testing.assert_array_equal(normalised(maps), [[[0, 0.5], [1, 0]], [[0, 0], [0, 0]]])


def test_mistakes(corner: keras.Model) -> None:
    with pytest.raises(InputError, match=r"Received: hapy\. Did you mean happy\?"):
        find_target({"emotion": ["angry", "happy"]}, "hapy")
    assert [target.head for target in targets_of({"emotion": ["x"], **AFFECT}).values()] == [
        "emotion",
        "valence",
        "arousal",
    ]
    with pytest.raises(InputError, match="patch 30"):
        occlusion(corner, pictures(1), FIRST, patch=30)
    with pytest.raises(InputError, match="stride 5"):
        occlusion(corner, pictures(1), FIRST, patch=4, stride=5)
    with pytest.raises(InputError, match="at least one sample"):
        smoothgrad(corner, pictures(1), FIRST, samples=0)
    with pytest.raises(InputError, match="Known: gradcam"):
        explain(corner, pictures(1), FIRST, method="lime")
    with pytest.raises(InputError, match="images"):
        frame_occlusion(corner, images(1), FIRST)
    with pytest.raises(InputError, match="additive attention"):
        attention(corner, pictures(1))
    shapes = create_model("microexp_stcnn", {}, input_shape=(16, 32, 32, 1), classes=3)
    clip16 = {"frames": np.zeros((1, 16, 32, 32, 1)), "frame_mask": np.ones((1, 16), bool)}
    with pytest.raises(InputError, match="saliency"):
        gradcam(shapes, clip16, FIRST)
