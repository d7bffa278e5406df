"""The faster CPU layers compute what Keras's own do: forward, backward, and in what they remember."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from ferkeras.training import cpu

RNG = np.random.default_rng(0)
MAP = RNG.normal(1.0, 2.0, (5, 6, 4, 3)).astype("float32")
STEPS = RNG.normal(size=(5, 7, 3)).astype("float32")
PAIRS = {
    "normalisation": (layers.BatchNormalization, cpu.FusedBatchNormalization, {"momentum": 0.8}, MAP),
    "convolution": (layers.Conv2D, cpu.SmallMapConv2D, {"filters": 8, "kernel_size": 3, "padding": "same"}, MAP),
    "convolution without bias, with activation": (
        layers.Conv2D,
        cpu.SmallMapConv2D,
        {"filters": 2, "kernel_size": 3, "padding": "same", "use_bias": False, "activation": "relu"},
        MAP,
    ),
    "depthwise convolution": (
        layers.DepthwiseConv2D,
        cpu.TiledDepthwiseConv2D,
        {"kernel_size": 5, "padding": "same"},
        MAP,
    ),
    "depthwise convolution, even and odd side, two kernels, without bias, with activation": (
        layers.DepthwiseConv2D,
        cpu.TiledDepthwiseConv2D,
        {"kernel_size": (4, 7), "padding": "same", "depth_multiplier": 2, "use_bias": False, "activation": "relu"},
        MAP,
    ),
    "depthwise convolution with a stride that leaves a row over": (
        layers.DepthwiseConv2D,
        cpu.TiledDepthwiseConv2D,
        {"kernel_size": 3, "strides": 2},
        MAP,
    ),
    "depthwise convolution, large kernel and stride": (
        layers.DepthwiseConv2D,
        cpu.TiledDepthwiseConv2D,
        {"kernel_size": 5, "strides": 3},
        RNG.normal(size=(5, 12, 9, 3)).astype("float32"),
    ),
    "gelu": (layers.Activation, cpu.FusedActivation, {"activation": "gelu"}, MAP),
    "silu": (layers.Activation, cpu.FusedActivation, {"activation": "silu"}, MAP),
    "lstm, all steps": (layers.LSTM, cpu.FusedLSTM, {"units": 6, "return_sequences": True}, STEPS),
    "lstm, last state": (layers.LSTM, cpu.FusedLSTM, {"units": 6}, STEPS),
}


def pair(name: str, *, dtype: str = "float32") -> tuple[keras.layers.Layer, keras.layers.Layer, np.ndarray]:
    """Keras's layer in float32 and the fused one in `dtype`, with the same random weights, and an input."""
    plain_class, fused_class, options, inputs = PAIRS[name]
    plain = plain_class(**options)
    fused = fused_class(**options, dtype=dtype)
    for layer in (plain, fused):
        layer.build(inputs.shape)
    values = [RNG.normal(size=w.shape).astype("float32") for w in plain.weights]
    values = [np.abs(v) + 0.1 if "variance" in w.name else v for w, v in zip(plain.weights, values, strict=True)]
    plain.set_weights(values)
    fused.set_weights(values)
    return plain, fused, inputs


def step(layer: keras.layers.Layer, inputs: np.ndarray, *, training: bool = True) -> tuple[Any, list[Any]]:
    """Outputs, and the gradients of a weighted sum of them for the input and the trainable weights."""
    x = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = layer(x, training=training)
        outputs32 = tf.cast(outputs, tf.float32)
        weights = tf.reshape(tf.sin(tf.range(tf.size(outputs32), dtype=tf.float32)), outputs32.shape)
        total = tf.reduce_sum(outputs32 * weights)
    return outputs32, tape.gradient(total, [x, *(v.value for v in layer.trainable_variables)])


def distance(a: Any, b: Any) -> float:
    """Largest difference, relative to the largest value of `b`."""
    a, b = np.asarray(a, "float32"), np.asarray(b, "float32")
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", PAIRS)
def test_equal_in_float32(name: str, training: bool) -> None:
    plain, fused, inputs = pair(name)
    (expected, wanted), (actual, got) = (step(layer, inputs, training=training) for layer in (plain, fused))
    assert distance(actual, expected) < 1e-5
    for gradient, reference in zip(got, wanted, strict=True):
        assert distance(gradient, reference) < 1e-5
    for a, b in zip(fused.get_weights(), plain.get_weights(), strict=True):  # moving statistics among them
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PAIRS)
def test_the_config_makes_the_same_layer(name: str) -> None:
    _, fused, inputs = pair(name)
    again = type(fused).from_config(fused.get_config())
    again.build(inputs.shape)
    again.set_weights(fused.get_weights())
    np.testing.assert_array_equal(again(inputs), fused(inputs))


@pytest.mark.parametrize(("batch", "steps"), [(1, 7), (5, 1)])
def test_lstm_of_one_example_or_one_step(batch: int, steps: int) -> None:
    plain, fused, inputs = pair("lstm, all steps")
    (expected, wanted), (actual, got) = (step(layer, inputs[:batch, :steps]) for layer in (plain, fused))
    assert distance(actual, expected) < 1e-5
    for gradient, reference in zip(got, wanted, strict=True):
        assert distance(gradient, reference) < 1e-5


@pytest.mark.parametrize("name", PAIRS)
def test_equal_in_a_graph_that_knows_no_batch_size(name: str) -> None:
    plain, fused, inputs = pair(name)
    signature = tf.TensorSpec((None, *inputs.shape[1:]), tf.float32)
    # The signature hides the batch size while the graph is made; five examples, then an uneven three.
    graph = tf.function(lambda x: fused(x, training=False), input_signature=[signature])
    for count in (5, 3):
        assert distance(graph(inputs[:count]), plain(inputs[:count], training=False)) < 1e-5


@pytest.mark.parametrize("name", [name for name in PAIRS if "lstm" not in name])
def test_bfloat16_is_no_worse_than_keras(name: str) -> None:
    plain, fused, inputs = pair(name, dtype="mixed_bfloat16")
    half = type(plain).from_config({**plain.get_config(), "dtype": "mixed_bfloat16"})
    half.build(inputs.shape)
    half.set_weights(plain.get_weights())
    (truth, gradients), (ours, our_gradients), (keras_own, keras_gradients) = (
        step(layer, inputs) for layer in (plain, fused, half)
    )
    assert distance(ours, truth) <= 1.5 * distance(keras_own, truth) + 2e-3
    for mine, its, true in zip(our_gradients, keras_gradients, gradients, strict=True):
        assert distance(mine, true) <= 1.5 * distance(its, true) + 2e-3
    for mine, its, true in zip(fused.get_weights(), half.get_weights(), plain.get_weights(), strict=True):
        assert distance(mine, true) <= 1.5 * distance(its, true) + 1e-3  # moving statistics, held in float32


def test_frozen_normalisation_uses_and_keeps_the_moving_statistics() -> None:
    plain, fused, inputs = pair("normalisation")
    plain.trainable = fused.trainable = False
    before = fused.get_weights()
    assert distance(fused(inputs, training=True), plain(inputs, training=True)) < 1e-5
    for a, b in zip(fused.get_weights(), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", [name for name in PAIRS if name != "normalisation"])
def test_frozen_layers_pass_the_gradient_on(name: str) -> None:
    plain, fused, inputs = pair(name)
    plain.trainable = fused.trainable = False
    (_, [wanted]), (_, [got]) = step(plain, inputs), step(fused, inputs)
    assert distance(got, wanted) < 1e-5


def test_what_the_kernels_do_not_know_is_left_to_keras() -> None:
    mask = np.arange(7)[None] < np.array([7, 3, 1, 5, 2])[:, None]
    for name in ("lstm, last state", "lstm, all steps"):
        plain, fused, inputs = pair(name)
        assert distance(fused(inputs, mask=mask), plain(inputs, mask=mask)) < 1e-5
        state = [tf.ones((5, 6)), -tf.ones((5, 6))]
        assert distance(fused(inputs, initial_state=state), plain(inputs, initial_state=state)) < 1e-5
    plain, fused, inputs = pair("normalisation")
    mask = RNG.random(inputs.shape[:3]) < 0.5
    outputs = [layer(inputs, training=True, mask=mask) for layer in (fused, plain)]
    assert distance(*outputs) < 1e-5
    for a, b in zip(fused.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        layers.BatchNormalization(center=False),
        layers.BatchNormalization(scale=False),
        layers.BatchNormalization(axis=1),
        layers.BatchNormalization(renorm=True),
        layers.BatchNormalization(synchronized=True),
        layers.Conv2D(2, 5, padding="same"),
        layers.Conv2D(2, 3, padding="valid"),
        layers.Conv2D(2, 3, padding="same", strides=2),
        layers.Conv2D(2, 3, padding="same", dilation_rate=2),
        layers.Conv2D(3, 3, padding="same", groups=3),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.DepthwiseConv2D(2, strides=2),
        layers.Activation("relu"),
        layers.DepthwiseConv2D(7, padding="same", strides=2),
        layers.DepthwiseConv2D(7, padding="same", dilation_rate=2),
        layers.MaxPooling2D(),
    ],
    ids=lambda layer: str(type(layer).__name__),
)
def test_what_has_no_faster_form_stays(layer: keras.layers.Layer) -> None:
    layer(keras.Input((6, 6, 3)))
    assert cpu.fused_layer(layer) is None


@pytest.mark.parametrize(
    "options",
    [
        {"dropout": 0.1},
        {"recurrent_dropout": 0.1},
        {"activation": "relu"},
        {"recurrent_activation": "hard_sigmoid"},
        {"go_backwards": True},
        {"stateful": True},
        {"use_bias": False},
        {"return_state": True},
        {"unroll": True},
    ],
    ids=str,
)
def test_unusual_recurrent_layers_stay(options: dict[str, Any]) -> None:
    layer = layers.LSTM(4, **options)
    layer(keras.Input((5, 3), batch_size=2))
    assert cpu.fused_layer(layer) is None


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (layers.DepthwiseConv2D(4, padding="same"), cpu.TiledDepthwiseConv2D),
        (layers.DepthwiseConv2D(5), cpu.TiledDepthwiseConv2D),
        (layers.DepthwiseConv2D(3, strides=2), cpu.TiledDepthwiseConv2D),
        (layers.Activation("gelu"), cpu.FusedActivation),
        (layers.Activation("swish"), cpu.FusedActivation),
    ],
    ids=lambda value: value.name if isinstance(value, layers.Layer) else None,
)
def test_what_has_a_faster_form_on_maps_of_any_size(layer: keras.layers.Layer, kind: type[keras.layers.Layer]) -> None:
    layer(keras.Input((None, None, 3)))
    assert cpu.fused_layer(layer) is kind


@pytest.mark.parametrize("shape", [(cpu.LARGEST_SMALL_MAP + 1, 4, 3), (4, cpu.LARGEST_SMALL_MAP + 1, 3), (None, 4, 3)])
def test_maps_that_are_large_or_of_unknown_size_stay(shape: tuple[int | None, ...]) -> None:
    layer = layers.Conv2D(2, 3, padding="same")
    layer(keras.Input(shape))
    assert cpu.fused_layer(layer) is None


@pytest.mark.parametrize("steps", [cpu.MOST_STEPS + 1, None])
def test_sequences_that_are_long_or_of_unknown_length_stay(steps: int | None) -> None:
    layer = layers.LSTM(4)
    layer(keras.Input((steps, 3)))
    assert cpu.fused_layer(layer) is None


def test_normalisation_of_vectors_stays() -> None:
    layer = layers.BatchNormalization()
    layer(keras.Input((3,)))
    assert cpu.fused_layer(layer) is None


ADAM_OPTIONS = [
    {},
    {"weight_decay": 0.1},
    {"global_clipnorm": 0.5},
    {"use_ema": True, "ema_momentum": 0.9},
    {"amsgrad": True},
    {"weight_decay": 0.1, "global_clipnorm": 0.5, "use_ema": True, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3},
]


@pytest.mark.parametrize("options", ADAM_OPTIONS, ids=str)
def test_fused_adam_takes_the_same_steps(options: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    start = [rng.normal(size=(3, 4)).astype("float32"), rng.normal(size=4).astype("float32")]
    gradients = [[rng.normal(size=s.shape).astype("float32") for s in start] for _ in range(6)]
    results = []
    for kind in (keras.optimizers.AdamW if "weight_decay" in options else keras.optimizers.Adam, cpu.FusedAdam):
        schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
        optimizer = kind(schedule, **options)
        variables = [keras.Variable(value) for value in start]
        optimizer.build(variables)
        for gradient in gradients:
            optimizer.apply([tf.constant(g) for g in gradient], variables)
        results.append([v.numpy() for v in (*variables, *optimizer.variables)])
        optimizer.finalize_variable_values(variables)  # the moving average, where there is one
        results[-1] += [v.numpy() for v in variables]
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
