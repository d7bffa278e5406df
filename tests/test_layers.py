"""The layers of this package: their contracts and hand-computed values."""

from pathlib import Path

import keras
import numpy as np
import pytest

from ferkeras.layers import AdditiveAttention
from tests.contracts import check_layer

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
