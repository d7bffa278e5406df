"""Compute the golden values of `addons.npz` with TensorFlow Addons, an implementation independent of Keras 3.

TensorFlow Addons ended in 2024 and cannot be imported beside Keras 3, so this runs in an environment of its
own (Python 3.11, tensorflow 2.15.1, tensorflow-addons 0.23.0, numpy 1.26.4 when the stored file was made):

    python3.11 -m venv addons
    addons/bin/pip install "tensorflow==2.15.1" "tensorflow-addons==0.23.0" "numpy<2"
    addons/bin/python tests/golden/make_addons.py

Inputs and outputs are stored together; `tests/test_golden_addons.py` compares.
"""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa  # type: ignore[import-not-found, unused-ignore]

OUTPUT = Path(__file__).with_name("addons.npz")
#: (alpha, gamma) of the focal loss; 0.5 is a power whose derivative has no bound at 0.
FOCAL_SETTINGS = ((0.25, 2.0), (0.75, 5.0), (0.5, 0.5), (0.25, 0.0))
LEARNING_RATE, WEIGHT_DECAY, STEPS = 0.01, 0.002, 10


def focal_loss(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Sigmoid focal cross-entropy of 64 logits z with labels 0 or 1, and its derivative by z."""
    logits = rng.normal(scale=3, size=64).astype(np.float32)
    labels = rng.integers(0, 2, size=64).astype(np.int32)
    values, gradients = [], []
    for alpha, gamma in FOCAL_SETTINGS:
        loss = tfa.losses.SigmoidFocalCrossEntropy(
            from_logits=True, alpha=alpha, gamma=gamma, reduction=tf.keras.losses.Reduction.NONE
        )
        z = tf.constant(logits[:, None])
        with tf.GradientTape() as tape:
            tape.watch(z)
            value = loss(labels[:, None].astype(np.float32), z)
        values.append(value.numpy())
        gradients.append(tape.gradient(value, z).numpy()[:, 0])
    return {
        "focal_logits": logits,
        "focal_labels": labels,
        "focal_settings": np.array(FOCAL_SETTINGS),
        "focal_values": np.stack(values),
        "focal_gradients": np.stack(gradients),
    }


def adamw(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The weights after each of 10 steps with given gradients."""
    start = rng.normal(size=(5, 3)).astype(np.float32)
    gradients = rng.normal(size=(STEPS, 5, 3)).astype(np.float32)
    weights = tf.Variable(start)
    optimizer = tfa.optimizers.AdamW(weight_decay=WEIGHT_DECAY, learning_rate=LEARNING_RATE)
    trajectory = []
    for gradient in gradients:
        optimizer.apply_gradients([(tf.constant(gradient), weights)])
        trajectory.append(weights.numpy())
    return {
        "adamw_start": start,
        "adamw_gradients": gradients,
        "adamw_learning_rate": np.array(LEARNING_RATE),
        "adamw_weight_decay": np.array(WEIGHT_DECAY),
        "adamw_trajectory": np.stack(trajectory),
    }


def classification(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Kappa and F1 of 500 seven-class predictions, and of the same ones with class 6 absent."""
    labels = rng.integers(0, 7, size=500).astype(np.int32)
    scores = rng.normal(size=(500, 7))
    scores[np.arange(500), labels] += 1.5
    probabilities = (np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)).astype(np.float32)
    present = (labels != 6) & (probabilities.argmax(axis=1) != 6)
    values = {}
    for name, chosen in (("all", np.full(500, True)), ("absent", present)):
        kappa = tfa.metrics.CohenKappa(num_classes=7, sparse_labels=True)
        kappa.update_state(labels[chosen], probabilities[chosen].argmax(axis=1).astype(np.int32))
        values[f"kappa_{name}"] = kappa.result().numpy()
        for average in ("macro", None):
            f1 = tfa.metrics.F1Score(num_classes=7, average=average)
            f1.update_state(np.eye(7, dtype=np.float32)[labels[chosen]], probabilities[chosen])
            values[f"f1_{average or 'per_class'}_{name}"] = f1.result().numpy()
    return {"labels": labels, "probabilities": probabilities, "present": present, **values}


def main() -> None:
    rng = np.random.default_rng(20240501)
    arrays = {**focal_loss(rng), **adamw(rng), **classification(rng)}
    temporary = OUTPUT.with_suffix(".tmp.npz")
    np.savez_compressed(temporary, **arrays)  # type: ignore[arg-type, unused-ignore]
    os.replace(temporary, OUTPUT)
    print(f"{OUTPUT}: {len(arrays)} arrays, {OUTPUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()
