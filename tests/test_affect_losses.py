"""The losses of valence and arousal against hand-computed values, other formulas, their laws and Keras' contract."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from ferkeras.affect_losses import (
    AffectLoss,
    BinCrossEntropy,
    ConcordanceLoss,
    ExpectationError,
    expected_value,
    soft_bins,
)
from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED

few = settings(max_examples=20, deadline=None, derandomize=True)
LOSSES = [
    BinCrossEntropy(),
    BinCrossEntropy(soft_sigma=1.5),
    ConcordanceLoss(),
    ExpectationError(),
    ExpectationError(root=True),
    AffectLoss(cross_entropy=0.5, ccc=1.0, mse=2.0, soft_sigma=1.0),
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.name}-{LOSSES.index(loss)}")


def batch(seed, *shape):
    """Labels and logits that have something to do with each other."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-10, 11, shape).astype("int32")
    near = np.exp(-0.1 * (np.arange(-10, 11) - labels[..., None]) ** 2)
    return labels, (2 * near + rng.normal(size=(*shape, 21))).astype("float32")


def sure(*bins):
    """Logits whose expectations are these bins, exactly in float32."""
    return np.where(np.arange(-10, 11) == np.array(bins)[:, None], 200, 0).astype("float32")


def test_cross_entropy_by_hand():
    # p is 1/8 at bin -10, 2/8 at bin 0 and 5/8 at bin 10.
    logits = np.full((1, 21), -1e4, "float32")
    logits[0, [0, 10, 20]] = np.log([1, 2, 5])
    assert float(BinCrossEntropy()([-10], logits)) == pytest.approx(np.log(8), rel=1e-6)
    assert float(BinCrossEntropy()([0], logits)) == pytest.approx(np.log(4), rel=1e-6)
    assert float(expected_value(logits)[0]) == pytest.approx(0.5, rel=1e-6)
    assert float(ExpectationError()([-10], logits)) == pytest.approx(1.5**2, rel=1e-6)
    # Uniform logits cost log 21 for whatever targets that sum to 1.
    for sigma in (0.0, 0.3, 2.0, 50.0):
        cost = BinCrossEntropy(soft_sigma=sigma)([-10, 3, 10], np.zeros((3, 21), "float32"))
        assert float(cost) == pytest.approx(np.log(21), rel=1e-6)


def test_soft_targets_are_normal_cut_at_the_ends_and_sum_to_one():
    targets = ops.convert_to_numpy(soft_bins(np.array([0.0, -10.0, UNLABELLED, 11.0, 0.5]), sigma=2.0))
    middle, end = targets[:2]
    assert middle.sum() == pytest.approx(1)
    np.testing.assert_allclose(middle, middle[::-1], rtol=1e-6)
    assert middle[12] / middle[10] == pytest.approx(np.exp(-0.5), rel=1e-6)
    # The end has lost nearly half of its mass, and is scaled up: 1 / (1 + sum over one side).
    assert end[0] == pytest.approx(1 / np.exp(-(np.arange(21) ** 2) / 8).sum(), rel=1e-6)
    assert end.sum() == pytest.approx(1)
    assert not targets[2].any()
    assert np.isnan(targets[3:]).all()
    sharp = ops.convert_to_numpy(soft_bins(np.arange(-10.0, 11.0), sigma=0.01))
    np.testing.assert_array_equal(sharp, np.eye(21))


def test_a_near_miss_costs_less_than_a_far_one_only_with_soft_targets():
    near, far = (sure(bin_) / 20 for bin_ in (1, 8))
    soft, hard = BinCrossEntropy(soft_sigma=1.0), BinCrossEntropy()
    assert float(soft([0], near)) < float(soft([0], far)) - 1
    assert float(hard([0], near)) == pytest.approx(float(hard([0], far)), rel=1e-6)


def test_concordance_by_hand():
    # x = 1, 2, 3, 4 and y = 2, 2, 3, 5 tenths: means 2.5 and 3, variances 1.25 and 1.5, covariance 1.25.
    expected = 2 * 1.25 / (1.25 + 1.5 + 0.25)
    assert float(ConcordanceLoss()([2, 2, 3, 5], sure(1, 2, 3, 4))) == pytest.approx(1 - expected, abs=1e-5)
    assert float(ConcordanceLoss()([1, 2, 3, 4], sure(1, 2, 3, 4))) == pytest.approx(0, abs=1e-4)
    assert float(ConcordanceLoss()([-4, 4], sure(4, -4))) == pytest.approx(2, abs=1e-5)
    assert float(ExpectationError()([2, 2, 3, 5], sure(1, 2, 3, 4))) == pytest.approx(0.02 / 4, rel=1e-5)
    rmse = float(ExpectationError(root=True)([2, 2, 3, 5], sure(1, 2, 3, 4)))
    assert rmse == pytest.approx(np.sqrt(0.02 / 4), rel=1e-5)


@few
@given(seed=st.integers(0, 10**6), size=st.integers(2, 40))
def test_concordance_from_the_squared_error(seed, size):
    """Another derivation: the mean square error is var x + var y - 2 cov + (difference of the means)^2."""
    labels, logits = batch(seed, size)
    labels[:2] = -5, 5
    z = np.exp(logits.astype("float64"))
    x, y = z @ np.arange(-10, 11) / z.sum(axis=1) / 10, labels / 10
    spread = np.var(x) + np.var(y) + (x.mean() - y.mean()) ** 2
    assert float(ConcordanceLoss()(labels, logits)) == pytest.approx(np.mean((x - y) ** 2) / spread, abs=1e-5)


@few
@given(seed=st.integers(0, 10**6), a=st.floats(0.1, 3), b=st.floats(0.1, 3), c=st.floats(0.1, 3))
def test_the_combination_is_the_weighted_sum(seed, a, b, c):
    labels, logits = batch(seed, 3, 4)
    labels[0, 2:] = UNLABELLED
    weights = np.random.default_rng(seed).uniform(0, 2, (3, 4)).astype("float32")
    terms = (BinCrossEntropy(soft_sigma=0.7), ConcordanceLoss(), ExpectationError())
    expected = sum(w * float(t(labels, logits, weights)) for w, t in zip((a, b, c), terms, strict=True))
    loss = AffectLoss(cross_entropy=a, ccc=b, mse=c, soft_sigma=0.7)
    assert float(loss(labels, logits, weights)) == pytest.approx(expected, rel=1e-5)


@each_loss
def test_padding_gaps_and_weights_of_zero_change_nothing(loss):
    labels, logits = batch(1, 4, 6)
    known = np.arange(6) < np.array([6, 3, 1, 0])[:, None]
    alone = float(loss(labels[known], logits[known]))
    masked = np.where(known, labels, UNLABELLED)
    assert float(loss(masked, logits)) == pytest.approx(alone, rel=1e-5)
    assert float(loss(masked, np.where(known[..., None], logits, 77))) == pytest.approx(alone, rel=1e-5)
    assert float(loss(labels, logits, sample_weight=known.astype("float32"))) == pytest.approx(alone, rel=1e-5)
    twice = np.where(known, 2, 0).astype("float32")
    assert float(loss(labels, logits, sample_weight=twice)) == pytest.approx(alone, rel=1e-5)
    assert float(loss(masked[..., None], logits)) == pytest.approx(alone, rel=1e-5)


@each_loss
def test_a_weight_is_a_repetition(loss):
    labels, logits = batch(2, 5)
    times = np.array([1, 3, 0, 2, 1])
    repeated = float(loss(np.repeat(labels, times), np.repeat(logits, times, axis=0)))
    for weights in (times, times[:, None]):
        assert float(loss(labels, logits, weights.astype("float32"))) == pytest.approx(repeated, rel=1e-5)
    # The weight of a clip is that of all its frames.
    frames, clip_logits = batch(3, 5, 2)
    each = np.repeat(times[:, None], 2, axis=1).astype("float32")
    by_clip = float(loss(frames, clip_logits, times.astype("float32")))
    assert by_clip == pytest.approx(float(loss(frames, clip_logits, each)), rel=1e-6)


@each_loss
@pytest.mark.parametrize(
    ("labels", "logits"),
    [
        ([3, 3, 3], np.zeros((3, 21))),
        ([0, 0, 0], np.zeros((3, 21))),
        ([-4, 0, 4], np.zeros((3, 21))),
        ([3, 3, 3], sure(1, 2, 3)),
        ([3, 3, 3], sure(3, 3, 3)),
        ([3], sure(3)),
        ([-10, 10, 0], 50 * sure(10, -10, 0)),
        ([UNLABELLED] * 3, np.zeros((3, 21))),
        ([UNLABELLED, UNLABELLED, 2], np.zeros((3, 21))),
    ],
)
def test_values_and_gradients_are_finite(loss, labels, logits):
    z = tf.constant(logits, "float32")
    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(tf.constant(labels), z)
    gradient = tape.gradient(value, z).numpy()
    assert np.isfinite(float(value))
    assert np.isfinite(gradient).all()
    assert not gradient[np.array(labels) == UNLABELLED].any()
    if set(labels) == {UNLABELLED}:
        assert float(value) == 0


def test_a_constant_has_no_concordance():
    for labels, logits in (
        ([3, 3, 3], sure(1, 2, 3)),
        ([1, 2, 3], sure(0, 0, 0)),
        ([3, 3], sure(3, 3)),
        ([3], sure(1)),
    ):
        assert float(ConcordanceLoss()(labels, logits)) == pytest.approx(1, abs=1e-5)


@each_loss
def test_gradients_point_downhill_in_a_compiled_step(loss):
    labels, logits = batch(4, 8)
    z = tf.Variable(logits)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(tf.constant(labels), z)
        z.assign_sub(0.1 * tape.gradient(value, z))
        return value

    values = [float(step()) for _ in range(5)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0]


@each_loss
@pytest.mark.parametrize("wrong", [11, -11, 20, -1.5])
def test_a_wrong_label_shows(loss, wrong):
    labels, logits = batch(5, 4)
    labels = labels.astype("float32")
    labels[2] = wrong
    assert np.isnan(float(loss(labels, logits)))


def test_float32_under_a_half_precision_policy():
    labels, logits = batch(6, 32)
    half = logits.astype("float16")
    before = keras.config.dtype_policy(), keras.config.floatx()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        keras.config.set_floatx("float16")
        loss = AffectLoss(ccc=1.0, mse=1.0, soft_sigma=1.0)
        value = loss(labels, half)
    finally:
        keras.config.set_dtype_policy(before[0])
        keras.config.set_floatx(before[1])
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    expected = AffectLoss(ccc=1.0, mse=1.0, soft_sigma=1.0)(labels, half.astype("float32"))
    assert float(value) == pytest.approx(float(expected), rel=1e-6)


def test_the_reductions():
    labels, logits = batch(7, 2, 3)
    labels[1, 1:] = UNLABELLED
    for make in (BinCrossEntropy, ConcordanceLoss, ExpectationError, AffectLoss):
        mean = float(make()(labels, logits))
        each = ops.convert_to_numpy(make(reduction=None)(labels, logits))
        assert each.shape == (2, 3)
        assert not each[1, 1:].any()
        assert each.sum() / 4 == pytest.approx(mean, rel=1e-5)
        assert float(make(reduction="sum")(labels, logits)) == pytest.approx(4 * mean, rel=1e-5)
        called = ops.convert_to_numpy(make().call(labels, ops.convert_to_tensor(logits)))
        np.testing.assert_allclose(called[labels != UNLABELLED], each[labels != UNLABELLED], rtol=1e-6)


def test_fit_with_two_heads_masks_and_a_padding_mask():
    keras.utils.set_random_seed(0)
    frames = keras.Input((None, 3), name="frames")
    x = keras.layers.LSTM(4, return_sequences=True)(keras.layers.Masking()(frames))
    heads = {name: keras.layers.Dense(21, name=name)(x) for name in ("valence", "arousal")}
    model = keras.Model(frames, heads)
    losses = {"valence": AffectLoss(ccc=1.0), "arousal": AffectLoss(cross_entropy=0.0, mse=1.0)}
    model.compile(keras.optimizers.Adam(0.02), loss=losses)
    rng = np.random.default_rng(0)
    labels = rng.integers(-3, 4, (8, 5))
    inputs = (labels[..., None] / 3 + rng.normal(scale=0.1, size=(8, 5, 3))).astype("float32")
    labels[:, 3:], inputs[:, 3:] = UNLABELLED, 0
    history = model.fit(inputs, {"valence": labels, "arousal": labels}, epochs=6, batch_size=4, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][-1] < history["loss"][0] - 0.1


@each_loss
def test_serialisation(loss):
    config = json.loads(json.dumps(keras.losses.serialize(loss)))
    twin = keras.losses.deserialize(config)
    assert type(twin) is type(loss)
    assert twin.get_config() == loss.get_config()
    labels, logits = batch(8, 9)
    assert float(twin(labels, logits)) == float(loss(labels, logits))
    changed = type(loss)(reduction="sum", name="other", dtype="float64").get_config()
    assert (changed["reduction"], changed["name"], changed["dtype"]) == ("sum", "other", "float64")


@pytest.mark.parametrize(
    ("mistake", "received"),
    [
        (lambda: BinCrossEntropy(soft_sigma=-1), "soft_sigma=-1"),
        (lambda: AffectLoss(ccc=float("nan")), "ccc=nan"),
        (lambda: AffectLoss(mse=float("inf")), "mse=inf"),
        (lambda: AffectLoss(cross_entropy=0), "0 for all three"),
        (lambda: AffectLoss()(np.zeros(2), np.zeros((2, 7))), r"logits of shape \(2, 7\)"),
        (lambda: ConcordanceLoss()(np.zeros((2, 3)), np.zeros((2, 21))), r"labels of shape \(2, 3\)"),
        (lambda: ExpectationError()(np.zeros((2, 21)), np.zeros((2, 21))), r"labels of shape \(2, 21\)"),
    ],
)
def test_mistakes_are_told(mistake, received):
    with pytest.raises(InputError, match=f"Received: .*{received}"):
        mistake()
