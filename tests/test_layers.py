"""The layers of this package: their contracts and hand-computed values."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.layers import AdditiveAttention, LayerScale, SqueezeExcitation, StochasticDepth
from tests.contracts import check_layer

MAPS = np.random.default_rng(7).normal(size=(3, 4, 5, 8)).astype("float32")
HIDDEN = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")


def test_additive_attention_keeps_the_contract(tmp_path: Path) -> None:
    mask = np.arange(7)[None] < np.array([[7], [3], [1]])
    check_layer(AdditiveAttention, HIDDEN, folder=tmp_path, mask=mask)


def expected(hidden: np.ndarray, kernel: np.ndarray, bias: float) -> tuple[np.ndarray, np.ndarray]:
    scores = np.tanh(hidden @ kernel[:, 0] + bias)
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return np.einsum("bt,btd->bd", weights, hidden), weights


def test_additive_attention_is_the_formula() -> None:
    layer = AdditiveAttention()
    layer.build(HIDDEN.shape)
    kernel = np.array([[0.5], [-1.0], [2.0], [0.1]], "float32")
    layer.set_weights([kernel, np.array([0.3], "float32")])
    context, weights = layer(HIDDEN)
    for actual, wanted in zip((context, weights), expected(HIDDEN, kernel, 0.3), strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(weights).sum(axis=1), 1.0, rtol=1e-6)


def test_additive_attention_leaves_out_padding() -> None:
    layer = AdditiveAttention()
    whole = layer(HIDDEN[:, :4])
    padded = HIDDEN.copy()
    padded[:, 4:] = 1e3  # what stands in the padding does not matter
    mask = np.arange(7)[None] < np.full((3, 1), 4)
    context, weights = layer(padded, mask=mask)
    np.testing.assert_allclose(context, whole[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.asarray(weights)[:, :4], whole[1], rtol=1e-5)
    assert np.asarray(weights)[:, 4:].max() == 0


def test_additive_attention_by_hand() -> None:
    # Two steps of one value, w = 1 and b = 0: scores tanh(0) = 0 and tanh(ln 3 / 2) = (3 - 1) / (3 + 1) = 1/2.
    layer = AdditiveAttention()
    layer.build((None, 2, 1))
    layer.set_weights([np.ones((1, 1), "float32"), np.zeros(1, "float32")])
    step = np.log(3.0) / 2
    context, weights = layer(np.array([[[0.0], [step]]], "float32"))
    second = np.exp(0.5) / (1 + np.exp(0.5))
    np.testing.assert_allclose(weights, [[1 - second, second]], rtol=1e-6)
    np.testing.assert_allclose(context, [[second * step]], rtol=1e-6)


def test_additive_attention_hears_of_padding_from_the_layers_before() -> None:
    padded = HIDDEN.copy()
    padded[:, 4:] = 0
    steps = keras.Input((7, 4))
    outputs = AdditiveAttention()(keras.layers.Masking()(steps))
    context, weights = keras.Model(steps, outputs)(padded)
    assert np.asarray(weights)[:, 4:].max() == 0
    np.testing.assert_allclose(np.asarray(weights).sum(axis=1), 1.0, rtol=1e-6)
    assert getattr(context, "_keras_mask", None) is None  # no time axis is left to mask


def test_additive_attention_sums_to_one_in_bfloat16() -> None:
    # 48 weights of 1/48 added in bfloat16 would be off by several per cent.
    layer = AdditiveAttention(dtype="mixed_bfloat16")
    _, weights = layer(np.random.default_rng(1).normal(size=(4, 48, 16)))
    assert weights.dtype == "bfloat16"
    np.testing.assert_allclose(np.asarray(weights).astype("float64").sum(axis=1), 1.0, atol=2**-8)


def test_additive_attention_wants_a_sequence() -> None:
    with pytest.raises(ValueError, match=r"\(B, T, D\)\. Received: shape=\(3, 4\)"):
        AdditiveAttention()(HIDDEN[:, 0])
    with pytest.raises(ValueError, match="return_sequences=True"):
        AdditiveAttention()(keras.Input((7, 4, 2)))


@pytest.mark.parametrize("shape", [(3, 8), (3, 5, 8), (3, 4, 5, 8)])
def test_layer_scale_is_one_factor_a_channel(shape: tuple[int, ...], tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).normal(size=shape).astype("float32")
    check_layer(partial(LayerScale, initial=0.5), inputs, folder=tmp_path)
    layer = LayerScale()
    np.testing.assert_array_equal(layer(inputs), inputs * np.float32(1e-6))
    factors = np.linspace(-1, 2, 8, dtype="float32")
    layer.set_weights([factors])
    np.testing.assert_array_equal(layer(inputs), inputs * factors)


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_stochastic_depth_keeps_the_contract(tmp_path: Path) -> None:
    check_layer(partial(StochasticDepth, rate=0.3), MAPS, folder=tmp_path)
    check_layer(partial(StochasticDepth, rate=0.3, seed=3), HIDDEN, folder=tmp_path)


def test_stochastic_depth_draws_once_for_each_example_and_keeps_the_mean() -> None:
    outputs = np.asarray(StochasticDepth(rate=0.3, seed=1)(np.ones((4000, 2, 3, 2)), training=True)).reshape(4000, -1)
    np.testing.assert_array_equal(outputs, np.repeat(outputs[:, :1], 12, axis=1))
    np.testing.assert_allclose(np.unique(outputs), [0, 1 / 0.7], rtol=1e-6)
    # Four standard deviations of the share that is kept.
    assert (outputs[:, 0] > 0).mean() == pytest.approx(0.7, abs=4 * (0.3 * 0.7 / 4000) ** 0.5)
    assert outputs.mean() == pytest.approx(1, abs=0.05)


def test_stochastic_depth_is_the_identity_outside_training_and_at_rate_zero() -> None:
    layer = StochasticDepth(rate=0.9, seed=1)
    np.testing.assert_array_equal(layer(MAPS), MAPS)
    np.testing.assert_array_equal(layer(MAPS, training=False), MAPS)
    assert (np.asarray(layer(MAPS, training=True)) != MAPS).any()
    np.testing.assert_array_equal(StochasticDepth(rate=0)(MAPS, training=True), MAPS)


def test_stochastic_depth_follows_its_seed() -> None:
    def draws(layer: StochasticDepth) -> np.ndarray:
        return np.stack([np.asarray(layer(np.ones((64, 1)), training=True))[:, 0] for _ in range(3)])

    first = draws(StochasticDepth(rate=0.5, seed=1))
    np.testing.assert_array_equal(draws(StochasticDepth(rate=0.5, seed=1)), first)
    assert (first[0] != first[1]).any(), "each step draws anew"
    assert (draws(StochasticDepth(rate=0.5, seed=2)) != first).any()
    by_global_seed = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        by_global_seed.append([draws(StochasticDepth(rate=0.5)) for _ in range(2)])
    np.testing.assert_array_equal(by_global_seed[0], by_global_seed[1])
    assert (by_global_seed[0][0] != by_global_seed[0][1]).any(), "two layers of a network draw differently"


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_stochastic_depth_refuses_other_rates(rate: float) -> None:
    with pytest.raises(ValueError, match=rf"\[0, 1\)\. Received: rate={rate}"):
        StochasticDepth(rate=rate)


@pytest.mark.parametrize("reduction", [1, 4, 16])
def test_squeeze_excitation_is_the_formula(reduction: int) -> None:
    hidden = max(1, 8 // reduction)
    random = np.random.default_rng(1)
    squeeze, excite = random.normal(size=(8, hidden)), random.normal(size=(hidden, 8))
    layer = SqueezeExcitation(reduction=reduction)
    layer.build(MAPS.shape)
    layer.set_weights([squeeze, excite])
    expected = np.empty_like(MAPS)
    for image, output in zip(MAPS, expected, strict=True):
        means = image.reshape(-1, 8).astype("float64").mean(axis=0)
        gate = 1 / (1 + np.exp(-np.maximum(means @ squeeze, 0) @ excite))
        output[:] = image * gate
    np.testing.assert_allclose(layer(MAPS), expected, rtol=1e-5, atol=1e-6)


def test_squeeze_excitation_by_hand(tmp_path: Path) -> None:
    # Means 1 and 3, hidden max(0, 1 - 3) = 0 and max(0, 3 - 1) = 2, gates sigmoid(2 * ln(3) / 2) = 3/4 and sigmoid(0).
    layer = SqueezeExcitation(reduction=1)
    layer.build((None, 1, 2, 2))
    layer.set_weights([np.array([[1, -1], [-1, 1]]), np.array([[9, 9], [np.log(3) / 2, 0]])])
    np.testing.assert_allclose(layer(np.array([[[[0, 2], [2, 4]]]], "float32")), [[[[0, 1], [1.5, 2]]]], rtol=1e-6)
    keras.utils.set_random_seed(0)
    check_layer(partial(SqueezeExcitation, reduction=2), MAPS, folder=tmp_path)


def test_squeeze_excitation_has_no_biases_and_wants_maps() -> None:
    layer = SqueezeExcitation()
    layer.build((None, 3, 3, 64))
    assert [tuple(weight.shape) for weight in layer.weights] == [(64, 4), (4, 64)]
    with pytest.raises(ValueError, match=r"\(B, H, W, C\)\. Received: shape=\(3, 7, 4\)"):
        SqueezeExcitation()(HIDDEN)
    with pytest.raises(ValueError, match=r"at least 1\. Received: reduction=0"):
        SqueezeExcitation(reduction=0)
