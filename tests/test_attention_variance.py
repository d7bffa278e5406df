"""The self-attention regularisation: its value, when it is in the loss, and what it leaves alone."""

from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ferkeras.layers import AttentionVariance
from tests.contracts import assert_independent, check_layer

MAPS = np.random.default_rng(7).normal(size=(3, 4, 5, 8)).astype("float32")


def sharpened(strength: float = 1.0, *, dtype: str = "float32") -> AttentionVariance:
    """A layer with weights so large that its attention is far from even."""
    layer = AttentionVariance(strength=strength, dtype=dtype, name="attention")
    layer.build(MAPS.shape)
    random = np.random.default_rng(2)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    return layer


def attention_of(layer: AttentionVariance, maps: np.ndarray) -> np.ndarray:
    """Weights W (B, H*W, H*W) in float64, image by image and token by token."""
    named = {weight.path.removeprefix("attention/"): np.asarray(weight, "float64") for weight in layer.weights}
    assert set(named) == {"norm/gamma", "norm/beta", "query/kernel", "query/bias", "key/kernel"}
    result = []
    for image in maps.astype("float64"):
        tokens = image.reshape(-1, image.shape[-1])
        centred = tokens - tokens.mean(axis=1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-6)
        normed = normed * named["norm/gamma"] + named["norm/beta"]
        rows = []
        for query in normed @ named["query/kernel"] + named["query/bias"]:
            scores = np.array([query @ key for key in normed @ named["key/kernel"]]) / len(query) ** 0.5
            powers = np.exp(scores - scores.max())
            rows.append(powers / powers.sum())
        result.append(rows)
    return np.array(result)


def variance_of(layer: AttentionVariance, maps: np.ndarray) -> float:
    weights = attention_of(layer, maps)
    return float(((weights - 1 / weights.shape[-1]) ** 2).mean())


def test_contract(tmp_path: Path) -> None:
    check_layer(partial(AttentionVariance, strength=1e3), MAPS, folder=tmp_path)


def test_weights_are_the_formula() -> None:
    layer = sharpened()
    weights = np.asarray(layer.weights_of(MAPS))
    np.testing.assert_allclose(weights, attention_of(layer, MAPS), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
    assert weights.max() > 0.5


@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
def test_loss_term_is_the_formula(strength: float) -> None:
    layer = sharpened(strength)
    np.testing.assert_array_equal(layer(MAPS, training=True), MAPS)
    (term,) = layer.losses
    assert float(term) == pytest.approx(strength * variance_of(layer, MAPS), rel=1e-4)
    assert float(term) > strength * 0.01
    layer(MAPS[:1], training=True)  # the next step forgets the last
    (term,) = layer.losses
    assert float(term) == pytest.approx(strength * variance_of(layer, MAPS[:1]), rel=1e-4)


def test_no_term_outside_training_or_at_strength_zero() -> None:
    layer = sharpened()
    np.testing.assert_array_equal(layer(MAPS), MAPS)
    assert layer.losses == []
    layer = sharpened(0.0)
    layer(MAPS, training=True)
    assert layer.losses == []


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")
def test_a_single_token_has_no_term() -> None:
    layer = sharpened()
    layer(MAPS[:, :1, :1], training=True)
    assert float(layer.losses[0]) == 0


def test_weights_do_not_depend_on_other_images_of_the_batch() -> None:
    assert_independent(sharpened().weights_of, MAPS, atol=1e-6)


def test_gradient_reaches_query_key_and_what_came_before() -> None:
    layer, maps = sharpened(), tf.constant(MAPS)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        layer(maps, training=True)
        (term,) = layer.losses
    variables = [weight.value for weight in layer.trainable_weights]
    for gradient, path in zip(
        tape.gradient(term, [maps, *variables]), ["maps", *(weight.path for weight in layer.weights)], strict=True
    ):
        assert np.abs(gradient).max() > 1e-6, path


def test_term_is_float32_under_a_policy_of_half_precision() -> None:
    layer, exact = sharpened(dtype="mixed_bfloat16"), sharpened()
    assert layer(MAPS, training=True).dtype == "bfloat16"
    (term,) = layer.losses
    assert term.dtype == "float32"
    assert float(term) == pytest.approx(variance_of(exact, MAPS), rel=0.05)


def network(strength: float) -> keras.Model:
    """With weights that do not move: a rate of zero."""
    image = keras.Input(MAPS.shape[1:], name="image")
    x = sharpened(strength)(image) if strength else image
    logits = layers.Dense(4, kernel_initializer="ones", name="logits")(layers.GlobalAveragePooling2D(name="pool")(x))
    model = keras.Model(image, logits)
    model.compile(keras.optimizers.SGD(0.0), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_the_term_is_in_the_loss_of_training_once_a_step_and_in_no_other() -> None:
    data = tf.data.Dataset.from_tensor_slices((MAPS, np.arange(3))).batch(3).repeat(4)
    plain, regularised = network(0.0), network(2.0)
    term = 2 * variance_of(sharpened(), MAPS)
    assert term > 0.02
    losses = [model.fit(data, epochs=2, shuffle=False, verbose=0).history["loss"] for model in (plain, regularised)]
    np.testing.assert_allclose(np.subtract(*losses[::-1]), [term, term], rtol=1e-3)
    on_batch = [float(model.train_on_batch(MAPS, np.arange(3))) for model in (plain, regularised)]
    assert on_batch[1] - on_batch[0] == pytest.approx(term, rel=1e-3)
    assert regularised.evaluate(data, verbose=0) == pytest.approx(plain.evaluate(data, verbose=0), abs=1e-6)
    np.testing.assert_array_equal(regularised.predict(MAPS, verbose=0), plain.predict(MAPS, verbose=0))


def test_refuses_what_it_cannot_use() -> None:
    with pytest.raises(ValueError, match=r"at least zero\. Received: strength=-1"):
        AttentionVariance(strength=-1)
    with pytest.raises(ValueError, match=r"\(B, H, W, C\)\. Received: shape=\(3, 20, 8\)"):
        AttentionVariance()(MAPS.reshape(3, 20, 8))
