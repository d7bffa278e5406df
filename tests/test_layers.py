"""The layers of this package: their contracts and hand-computed values."""

from pathlib import Path

import numpy as np
import pytest

from ferkeras.layers import AdditiveAttention
from tests.contracts import check_layer

HIDDEN = np.random.default_rng(0).normal(size=(3, 7, 4)).astype("float32")


def test_additive_attention_keeps_the_contract(tmp_path: Path) -> None:
    check_layer(AdditiveAttention, HIDDEN, folder=tmp_path)


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


def test_additive_attention_wants_a_sequence() -> None:
    with pytest.raises(ValueError, match=r"\(B, T, D\)\. Received: shape=\(3, 4\)"):
        AdditiveAttention()(HIDDEN[:, 0])
