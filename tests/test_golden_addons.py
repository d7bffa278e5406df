"""Focal loss, AdamW, kappa and F1 against TensorFlow Addons; `golden/make_addons.py` made the numbers."""

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from ferkeras.losses import FocalLoss
from ferkeras.metrics import classification_report


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).parent / "golden" / "addons.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("setting", range(4))
def test_focal_loss_of_two_classes_is_the_sigmoid_focal_loss(golden, setting):
    # softmax([0, z]) = [1 - sigmoid(z), sigmoid(z)]; the paper weights class 1 by alpha, 0 by 1 - alpha.
    alpha, gamma = golden["focal_settings"][setting]
    loss = FocalLoss(alpha=[1 - alpha, alpha], gamma=gamma, reduction=None)
    z = tf.constant(golden["focal_logits"])
    with tf.GradientTape() as tape:
        tape.watch(z)
        values = loss(golden["focal_labels"], tf.stack([tf.zeros_like(z), z], axis=1))
    np.testing.assert_allclose(values, golden["focal_values"][setting], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(values, z), golden["focal_gradients"][setting], rtol=1e-5, atol=1e-6)


def test_adamw_steps(golden):
    # Addons subtracts `weight_decay * w`, Keras `learning_rate * weight_decay * w`: divide by the rate.
    # So under a schedule of the rate Keras scales the decay along, where Addons needs a second schedule.
    rate = float(golden["adamw_learning_rate"])
    optimizer = keras.optimizers.AdamW(rate, weight_decay=float(golden["adamw_weight_decay"]) / rate)
    weights = keras.Variable(golden["adamw_start"])
    for gradient, expected in zip(golden["adamw_gradients"], golden["adamw_trajectory"], strict=True):
        optimizer.apply([tf.constant(gradient)], [weights])
        np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-5, atol=1e-6)


def report(golden, chosen=slice(None)):
    names = [f"class {k}" for k in range(7)]
    return classification_report(golden["labels"][chosen], golden["probabilities"][chosen], names, bootstrap=0)


def test_kappa_and_f1(golden):
    ours = report(golden)
    assert ours["kappa"] == pytest.approx(golden["kappa_all"], abs=1e-6)
    assert ours["macro_f1"] == pytest.approx(golden["f1_macro_all"], abs=1e-6)
    f1 = [row["f1"] for row in ours["per_class"].values()]
    np.testing.assert_allclose(f1, golden["f1_per_class_all"], atol=1e-6)


def test_an_absent_class_is_left_out_where_addons_counts_it_as_zero(golden):
    ours = report(golden, golden["present"])
    assert ours["kappa"] == pytest.approx(golden["kappa_absent"], abs=1e-6)
    assert ours["macro_f1"] == pytest.approx(golden["f1_macro_absent"] * 7 / 6, abs=1e-6)
    assert ours["per_class"]["class 6"] == {"precision": None, "recall": None, "f1": None, "support": 0}
