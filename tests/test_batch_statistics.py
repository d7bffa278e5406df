"""Batch normalisation measured anew has the statistics of the data, whatever it remembered."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from ferkeras.training import batch_statistics
from ferkeras.training.batch_statistics import measure_statistics

IMAGES = np.random.default_rng(0).normal(3.0, 2.0, (24, 4, 4, 2)).astype("float32")
BATCHES = tf.data.Dataset.from_tensor_slices((IMAGES, np.zeros(len(IMAGES)))).batch(8)


def network(*, dropout: float = 0.0) -> keras.Model:
    """Two normalisations, one inside an inner model, and dropout before the second."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((4, 4, 3)), layers.BatchNormalization(name="second")], name="inner")
    x = image = keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 1)(layers.BatchNormalization(name="first", momentum=0.7)(x))
    return keras.Model(image, inner(layers.Dropout(dropout)(x)))


def statistics(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    return layer.moving_mean.numpy(), layer.moving_variance.numpy()


def test_means_over_all_batches() -> None:
    model = network()
    first, second = model.get_layer("first"), model.get_layer("inner").get_layer("second")
    first.moving_mean.assign([100.0, -100.0])
    measure_statistics(model, BATCHES, batch_size=8)
    mean, variance = statistics(first)
    batches = IMAGES.reshape(3, 8, 4, 4, 2)
    np.testing.assert_allclose(mean, batches.mean((0, 1, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(variance, batches.var((1, 2, 3)).mean(0), rtol=1e-5)
    assert (first.momentum, second.momentum) == (0.7, 0.99)
    # What comes to the second is normalised by the first with the statistics of each batch, as in training.
    normalised = (batches - batches.mean((1, 2, 3), keepdims=True)) / np.sqrt(
        batches.var((1, 2, 3), keepdims=True) + first.epsilon
    )
    kernel, bias = model.layers[2].get_weights()
    np.testing.assert_allclose(statistics(second)[0], (normalised @ kernel[0, 0] + bias).mean((0, 1, 2, 3)), atol=1e-5)


def test_no_more_images_than_are_needed(monkeypatch) -> None:
    monkeypatch.setattr(batch_statistics, "IMAGES", 9)
    model = network()
    measure_statistics(model, BATCHES, batch_size=8)
    np.testing.assert_allclose(statistics(model.get_layer("first"))[0], IMAGES[:16].mean((0, 1, 2)), rtol=1e-5)


def test_the_same_each_time_in_spite_of_dropout() -> None:
    model = network(dropout=0.5)
    found = []
    for _ in range(2):
        measure_statistics(model, BATCHES, batch_size=8)
        found.append(np.concatenate(statistics(model.get_layer("inner").get_layer("second"))))
        model(IMAGES, training=True)  # draws, and moves the statistics
    np.testing.assert_array_equal(*found)


def test_frozen_layers_and_all_other_weights_stay() -> None:
    model = network()
    model.get_layer("first").trainable = False
    before = model.get_weights()
    measure_statistics(model, BATCHES, batch_size=8)
    changed = [
        w.path.split("/")[-2]
        for w, old in zip(model.weights, before, strict=True)
        if not np.array_equal(w.numpy(), old)
    ]
    assert changed == ["second", "second"]


def test_a_network_without_it_is_left_alone() -> None:
    model = keras.Sequential([keras.Input((4, 4, 2)), layers.Flatten(), layers.Dense(1)])
    measure_statistics(model, None, batch_size=8)
