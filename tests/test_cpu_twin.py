"""The training twin: a whole network in other arithmetic, with the same names, weights and meaning."""

import keras
import numpy as np
from keras import layers

from ferkeras.models import create_model
from ferkeras.training import cpu
from ferkeras.training.twin import can_fuse, make_twin
from tests.test_cpu_layers import MAP, RNG, STEPS, distance


def test_the_twin_of_a_whole_network() -> None:
    """Same outputs and, after steps of training, the same weights; these fit the plain network as they are."""
    # Weights of its own: with some, rounding decides which of two equal pixels a pooling takes.
    keras.utils.set_random_seed(0)
    model = create_model("vgg11_lstm_attention", {"width": 0.125, "lstm_units": 8}, input_shape=(48, 48, 1), classes=3)
    images = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1)).astype("uint8")
    labels = np.arange(8) % 3
    twins = [make_twin(model, dtype="float32", fused=fused) for fused in (False, True)]
    kinds = {type(layer) for layer in twins[1].layers}
    assert {cpu.FusedBatchNormalization, cpu.SmallMapConv2D, cpu.FusedLSTM} <= kinds
    assert not {cpu.FusedBatchNormalization, cpu.SmallMapConv2D, cpu.FusedLSTM} & {type(x) for x in twins[0].layers}
    for twin in twins:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        twin.compile(keras.optimizers.SGD(0.01), {"emotion": loss}, jit_compile=False)
        for _ in range(2):
            twin.train_on_batch(images, {"emotion": labels})
    for a, b in zip(twins[1].get_weights(), twins[0].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=4e-4)
    model.set_weights(twins[1].get_weights())
    logits = [np.asarray(m(images, training=False)["emotion"]) for m in (model, twins[1])]
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-4)


def test_mixed_precision_keeps_float32_where_it_matters() -> None:
    model = create_model("vgg11_lstm_attention", {"width": 0.125}, input_shape=(48, 48, 1), classes=3)
    twin = make_twin(model, dtype="mixed_bfloat16", fused=can_fuse())
    dtypes = {layer.name: layer.compute_dtype for layer in twin.layers}
    assert dtypes["block1_conv1"] == "bfloat16"
    assert dtypes["emotion"] == "float32"
    assert all(w.dtype == "float32" for w in twin.weights)
    assert dtypes["rows_lstm1"] == ("float32" if can_fuse() else "bfloat16")


def emotion_model(image: keras.KerasTensor, x: keras.KerasTensor) -> keras.Model:
    return keras.Model(image, {"emotion": layers.Dense(3, name="emotion")(x)})


def test_twins_of_masks_bare_operations_and_shared_layers() -> None:
    steps = keras.Input((7, 3), name="image")
    masked = layers.LSTM(5, name="lstm")(layers.Masking(name="mask")(steps))
    padded = STEPS.copy()
    padded[:, 4:] = 0
    image = keras.Input((6, 4, 3), name="image")
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    twice = layers.GlobalAveragePooling2D(name="pool")(shared(shared(image)) * 2.0)
    for model, inputs in [(emotion_model(steps, masked), padded), (emotion_model(image, twice), MAP)]:
        for dtype, tolerance in [("float32", 1e-5), ("mixed_bfloat16", 0.03)]:
            twin = make_twin(model, dtype=dtype, fused=True)
            assert distance(twin(inputs)["emotion"], model(inputs)["emotion"]) < tolerance
            assert len(twin.weights) == len(model.weights)


def test_a_model_inside_a_model_has_a_twin_too() -> None:
    encoder = create_model("vgg11", {"width": 0.0625}, input_shape=(32, 32, 1), classes=3)
    encoder = keras.Model(encoder.input, encoder.get_layer("features").output, name="encoder")
    image = keras.Input((32, 32, 1), name="image")
    model = emotion_model(image, encoder(image))
    twin = make_twin(model, dtype="mixed_bfloat16", fused=True)
    inner = {layer.name: layer for layer in twin.get_layer("encoder").layers}
    assert type(inner["block5_conv1"]) is cpu.SmallMapConv2D
    assert inner["block1_conv1"].compute_dtype == "bfloat16"
    images = RNG.integers(0, 256, (3, 32, 32, 1)).astype("float32")
    assert distance(twin(images)["emotion"], model(images)["emotion"]) < 0.05
    twin = make_twin(model, dtype="float32", fused=True)
    assert distance(twin(images)["emotion"], model(images)["emotion"]) < 1e-4


def test_frozen_layers_are_frozen_in_the_twin() -> None:
    model = create_model("vgg11", {"width": 0.0625}, input_shape=(32, 32, 1), classes=3)
    for layer in model.layers:
        layer.trainable = layer.name.startswith(("head", "emotion"))
    twin = make_twin(model, dtype="float32", fused=True)
    names = [v.path for v in twin.trainable_variables]
    assert names == ["head_dense/kernel", "head_dense/bias", "emotion/kernel", "emotion/bias"]
