"""Multiply-adds: by hand, against TensorFlow's profiler, and against published numbers."""

import keras
import pytest
import tensorflow as tf
from keras import layers

from ferkeras.layers import AdditiveAttention, AttentionVariance, SqueezeExcitation
from ferkeras.models import create_model
from ferkeras.models.flops import multiply_adds

IMAGE = keras.Input((8, 6, 3), name="image")
STEPS = keras.Input((5, 3), name="steps")


@pytest.mark.parametrize(
    ("taken", "layer", "count"),
    [
        (IMAGE, layers.Conv2D(4, 3, padding="same"), 8 * 6 * 9 * 3 * 4),
        (IMAGE, layers.Conv2D(4, 3, strides=2), 3 * 2 * 9 * 3 * 4),
        (IMAGE, layers.Conv2D(6, 1, groups=3), 8 * 6 * 1 * 6),
        (IMAGE, layers.DepthwiseConv2D(3, padding="same"), 8 * 6 * 9 * 3),
        (IMAGE, layers.SeparableConv2D(4, 3, padding="same", strides=2), 4 * 3 * (9 * 3 + 3 * 4)),
        (IMAGE, layers.Dense(4), 8 * 6 * 3 * 4),
        (IMAGE, SqueezeExcitation(reduction=1), 2 * 3 * 3),
        (IMAGE, layers.LayerNormalization(axis=(-2, -1)), 0),
        (IMAGE, AttentionVariance(), 0),
        (IMAGE, layers.MaxPooling2D(), 0),
        (STEPS, layers.Conv1D(4, 2), 4 * 2 * 3 * 4),
        (STEPS, layers.LSTM(7), 5 * (3 + 7) * 4 * 7),
        (STEPS, layers.GRU(7), 5 * (3 + 7) * 3 * 7),
        (STEPS, layers.Dense(4, use_bias=False), 5 * 3 * 4),
        (STEPS, AdditiveAttention(), 5 * 3),
    ],
)
def test_each_kind_of_layer(taken: keras.KerasTensor, layer: layers.Layer, count: int) -> None:
    assert multiply_adds(keras.Model(taken, layer(taken))) == count


def test_each_use_of_a_layer_counts() -> None:
    dense = layers.Dense(3)
    assert multiply_adds(keras.Model(IMAGE, dense(dense(IMAGE)))) == 2 * 8 * 6 * 3 * 3
    assert multiply_adds(keras.Model(IMAGE, dense(IMAGE))) == 8 * 6 * 3 * 3


def test_models_inside_models() -> None:
    inner = keras.Model(IMAGE, layers.Conv2D(4, 1)(IMAGE))
    outer = keras.Input((8, 6, 3))
    model = keras.Model(outer, layers.Dense(2)(layers.Flatten()(inner(outer) * 2.0)))
    assert multiply_adds(model) == 8 * 6 * 3 * 4 + 8 * 6 * 4 * 2


def test_what_is_not_known_is_not_zero() -> None:
    with pytest.raises(ValueError, match=r"EinsumDense are not known\. Received: layer odd"):
        multiply_adds(keras.Model(STEPS, layers.EinsumDense("btd,de->bte", (5, 4), name="odd")(STEPS)))
    free = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match=r"unknown size.*Received: free, \(None, None, None, 4\)"):
        multiply_adds(keras.Model(free, layers.Conv2D(4, 1, name="free")(free)))


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "gimefive4_se", "efficientnet_b0", "emonext_tiny"])
def test_against_the_profiler(name: str) -> None:
    shape = (64, 64, 3)
    model = create_model(name, input_shape=shape, classes=7)
    function = tf.function(lambda image: model(image, training=False)["emotion"])
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation()).with_empty_output().build()
    graph = function.get_concrete_function(tf.TensorSpec((1, *shape))).graph
    node, products = profiler.profile(graph=graph, cmd="op", options=options), 0
    while node.children:
        node = node.children[0]
        if "Conv" in node.name or "MatMul" in node.name:
            products += sum(use.float_ops for use in node.graph_nodes)
    assert products == 2 * multiply_adds(model)


@pytest.mark.parametrize(
    ("name", "options", "shape", "published"),
    [
        ("resnet18", {"stem_pool": True}, (224, 224, 3), 1.8e9),  # He et al., CVPR 2016, table 1
        ("xception", {}, (299, 299, 3), 8.4e9),  # Tan & Le, ICML 2019, table 2
        ("efficientnet_b0", {}, (224, 224, 3), 0.39e9),  # the same
        ("convnext_tiny", {}, (224, 224, 3), 4.5e9),  # Liu et al., CVPR 2022, table 1
    ],
)
def test_against_published_numbers(
    name: str, options: dict[str, object], shape: tuple[int, ...], published: float
) -> None:
    """Papers round to two digits."""
    model = create_model(name, options, input_shape=shape, classes=1000)
    assert multiply_adds(model) == pytest.approx(published, rel=0.02)
