"""Losses against hand-computed values, Keras' own losses and their algebraic laws."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from ferkeras.losses import CrossEntropy, FocalLoss, balanced_class_weights

K = 4
few = settings(max_examples=25, deadline=None, derandomize=True)


def batch(seed: int, size: int = 9) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, K, size).astype("int32"), rng.normal(scale=3, size=(size, K)).astype("float32")


def values(loss: keras.losses.Loss, labels, logits) -> np.ndarray:
    return ops.convert_to_numpy(loss.call(ops.convert_to_tensor(labels), ops.convert_to_tensor(logits)))


# p = softmax(log [1, 2, 5]) = [1/8, 2/8, 5/8]
LOGITS = np.log(np.array([[1.0, 2.0, 5.0]], dtype="float32"))


def test_cross_entropy_by_hand():
    assert values(CrossEntropy(), [1], LOGITS) == pytest.approx(np.log(4), abs=1e-6)
    assert values(CrossEntropy(class_weights=[1, 3, 1]), [1], LOGITS) == pytest.approx(3 * np.log(4), abs=1e-6)
    smoothed = 0.7 * np.log(4) + 0.1 * (np.log(8) + np.log(4) + np.log(8 / 5))
    assert values(CrossEntropy(label_smoothing=0.3), [1], LOGITS) == pytest.approx(smoothed, abs=1e-6)


def test_focal_loss_by_hand():
    assert values(FocalLoss(), [1], LOGITS) == pytest.approx(0.75**2 * np.log(4), abs=1e-6)
    loss = FocalLoss(gamma=1, alpha=[1, 1, 2])
    assert values(loss, [2], LOGITS) == pytest.approx(2 * 3 / 8 * np.log(8 / 5), abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.6])
def test_label_smoothing_is_keras_categorical_crossentropy(smoothing):
    labels, logits = batch(0)
    one_hot = np.eye(K, dtype="float32")[labels]
    expected = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)(one_hot, logits)
    ours = CrossEntropy(label_smoothing=smoothing)
    assert float(ours(labels, logits)) == pytest.approx(float(expected), rel=1e-6)
    assert float(ours(one_hot, logits)) == pytest.approx(float(expected), rel=1e-6)


def test_focal_loss_is_keras_categorical_focal_crossentropy():
    labels, logits = batch(1)
    alpha = [0.2, 0.5, 1.0, 2.0]
    reference = keras.losses.CategoricalFocalCrossentropy(alpha=alpha, gamma=2, from_logits=True)
    expected = float(reference(np.eye(K, dtype="float32")[labels], logits))
    assert float(FocalLoss(alpha=alpha, gamma=2)(labels, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [CrossEntropy(label_smoothing=0.2, class_weights=[1, 2, 3, 4]), FocalLoss()])
def test_label_shapes_agree(loss):
    labels, logits = batch(2, size=12)
    sparse = values(loss, labels, logits)
    assert sparse.shape == (12,)
    np.testing.assert_allclose(values(loss, labels[:, None], logits), sparse)
    np.testing.assert_allclose(values(loss, np.eye(K, dtype="float32")[labels], logits), sparse)
    in_time = values(loss, labels.reshape(3, 4), logits.reshape(3, 4, K))
    np.testing.assert_allclose(in_time, sparse.reshape(3, 4))


@pytest.mark.parametrize(
    "loss", [CrossEntropy(class_weights=[1, 2, 3, 4], label_smoothing=0.1), FocalLoss(alpha=[1, 2, 3, 4])]
)
def test_a_mixed_target_costs_the_mixture_of_the_losses(loss):
    labels, logits = batch(3)
    other, _ = batch(4)
    eye = np.eye(K, dtype="float32")
    mixed = values(loss, 0.3 * eye[labels] + 0.7 * eye[other], logits)
    expected = 0.3 * values(loss, labels, logits) + 0.7 * values(loss, other, logits)
    np.testing.assert_allclose(mixed, expected, rtol=1e-5)


@few
@given(seed=st.integers(0, 10**6))
def test_focal_loss_with_gamma_zero_is_cross_entropy(seed):
    labels, logits = batch(seed)
    weights = [0.5, 1.0, 1.5, 2.0]
    np.testing.assert_allclose(
        values(FocalLoss(gamma=0, alpha=weights), labels, logits),
        values(CrossEntropy(class_weights=weights), labels, logits),
        rtol=1e-6,
    )


@few
@given(seed=st.integers(0, 10**6), alpha=st.floats(0.01, 100), gamma=st.floats(0, 5))
def test_scalar_alpha_scales_and_focal_is_below_cross_entropy(seed, alpha, gamma):
    labels, logits = batch(seed)
    plain = values(FocalLoss(gamma=gamma), labels, logits)
    np.testing.assert_allclose(values(FocalLoss(gamma=gamma, alpha=alpha), labels, logits), alpha * plain, rtol=1e-5)
    assert np.all(plain <= values(CrossEntropy(), labels, logits) * (1 + 1e-6))


def test_class_weights_are_those_of_fit_and_do_not_depend_on_the_batch():
    labels, logits = batch(5, size=10)
    weights = np.array([0.5, 1.0, 2.0, 4.0], dtype="float32")
    loss = CrossEntropy(class_weights=weights)
    as_sample_weight = CrossEntropy()(labels, logits, sample_weight=weights[labels])
    assert float(loss(labels, logits)) == pytest.approx(float(as_sample_weight), rel=1e-6)
    # Shards of 7 and 3: their sums over the global batch add up to the loss of the whole.
    shards = sum(values(loss, labels[s], logits[s]).sum() for s in (slice(7), slice(7, None)))
    assert shards / 10 == pytest.approx(float(loss(labels, logits)), rel=1e-6)


def test_balanced_class_weights():
    weights = balanced_class_weights([6, 3, 1])
    np.testing.assert_allclose(weights, [10 / 18, 10 / 9, 10 / 3])
    assert np.dot(weights, [6, 3, 1]) / 10 == pytest.approx(1)
    for counts in ([3, 0], [], [[1, 2]], [1, np.nan]):
        with pytest.raises(InputError, match="Received: counts="):
            balanced_class_weights(counts)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_values_and_gradients_stay_finite_at_extreme_logits(gamma):
    logits = tf.constant([[1e4, 0, 0, 0], [-1e4, 0, 0, 0], [40, 0, 0, 0]], dtype="float32")
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = FocalLoss(gamma=gamma).call(tf.zeros(3, "int32"), logits)
    assert np.all(np.isfinite(tape.gradient(loss, logits)))
    np.testing.assert_allclose(loss, [0, 1e4 + np.log(3), 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("loss", [CrossEntropy(label_smoothing=0.1), FocalLoss()])
def test_unlabelled_costs_nothing_and_a_wrong_label_shows(loss):
    labels, logits = batch(6, size=4)
    labels[1:] = UNLABELLED, K, -1
    cost = values(loss, labels, logits)
    assert np.isfinite(cost[0])
    assert cost[1] == 0
    assert np.all(np.isnan(cost[2:]))


def test_alpha_follows_the_recall():
    loss = FocalLoss(alpha=[1.0] * 4)
    alpha = loss.update_alpha([1.0, 0.5, 0.0, None])
    # (0.1, 0.6, 1.1) over their mean 0.6; the class without examples gets 1.
    np.testing.assert_allclose(alpha, [1 / 6, 1, 11 / 6, 1], rtol=1e-6)
    np.testing.assert_allclose(loss.update_alpha([0.3] * 4), 1, rtol=1e-6)
    np.testing.assert_allclose(loss.update_alpha([None] * 4), 1)


def test_a_compiled_step_sees_the_new_alpha_without_retracing():
    loss = FocalLoss(alpha=[1.0] * K)
    labels, logits = batch(7)
    traces = []

    @tf.function
    def step(labels, logits):
        traces.append(1)
        return loss(labels, logits)

    before = float(step(tf.constant(labels), tf.constant(logits)))
    loss.restore([2.0] * K)
    assert float(step(tf.constant(labels), tf.constant(logits))) == pytest.approx(2 * before, rel=1e-6)
    assert len(traces) == 1


def test_fit_uses_the_updated_alpha():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(K)])
    loss = FocalLoss(alpha=[1.0] * K)
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss)
    labels, _ = batch(8, size=8)
    inputs = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    first = model.fit(inputs, labels, batch_size=4, verbose=0).history["loss"][0]
    loss.restore([3.0] * K)
    assert model.fit(inputs, labels, batch_size=4, verbose=0).history["loss"][0] == pytest.approx(3 * first, rel=1e-5)
    assert model.count_params() == 3 * K + K


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(),
        CrossEntropy(class_weights=np.arange(1, 5), label_smoothing=0.1, reduction="sum", name="ce"),
        FocalLoss(gamma=1.5, alpha=0.25),
        FocalLoss(alpha=np.arange(1, 5)),
    ],
)
def test_serialisation(loss):
    if isinstance(loss, FocalLoss) and loss.state().ndim:
        loss.update_alpha([0.1, 0.2, 0.3, 0.4])
    config = json.loads(json.dumps(keras.losses.serialize(loss)))
    twin = keras.losses.deserialize(config)
    assert type(twin) is type(loss)
    assert twin.get_config() == loss.get_config()
    labels, logits = batch(9)
    assert float(twin(labels, logits)) == float(loss(labels, logits))


def test_state_survives_a_restart():
    loss, fresh = FocalLoss(alpha=[1.0] * 3), FocalLoss(alpha=[1.0] * 3)
    loss.update_alpha([0.9, 0.2, 0.5])
    state = loss.state()
    fresh.restore(state)
    np.testing.assert_array_equal(fresh.state(), state)
    loss.restore([1, 1, 1])
    assert state[1] > 1, "the state is a copy, not a view"


@pytest.mark.parametrize(
    ("mistake", "received"),
    [
        (lambda: CrossEntropy(label_smoothing=1.0), "label_smoothing=1.0"),
        (lambda: CrossEntropy(class_weights=[1, -1]), r"class_weights=\[1, -1\]"),
        (lambda: CrossEntropy(class_weights=np.array(2.0)), "class_weights=array"),
        (lambda: FocalLoss(gamma=-1), "gamma=-1"),
        (lambda: FocalLoss(alpha=[1, float("nan")]), "alpha="),
        (lambda: CrossEntropy(class_weights=[1, 1])(*batch(0)), "2 values"),
        (lambda: FocalLoss(alpha=[1, 1])(*batch(0)), "2 values"),
        (lambda: CrossEntropy()(np.zeros((2, 3)), np.zeros((2, K))), r"\(2, 3\)"),
        (lambda: CrossEntropy()(np.zeros(()), np.zeros((2, K))), "labels of shape"),
        (lambda: FocalLoss(alpha=1.0).update_alpha([0.5]), r"shape \(1,\)"),
        (lambda: FocalLoss(alpha=[1, 1]).update_alpha([0.5, 1.5]), "recall="),
        (lambda: FocalLoss(alpha=[1, 1]).update_alpha([0.5, 0.5], epsilon=0), "epsilon=0"),
        (lambda: FocalLoss(alpha=[1, 1]).restore([1, 1, 1]), r"shape \(3,\)"),
        (lambda: FocalLoss(alpha=[1, 1]).restore([1, -1]), "state="),
    ],
)
def test_mistakes_are_told(mistake, received):
    with pytest.raises(InputError, match=f"Received: .*{received}"):
        mistake()
