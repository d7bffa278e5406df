"""EmoNeXt: exact sizes, inputs and options; its values are held against PyTorch in `test_golden_emonext.py`."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.layers import LayerScale
from ferkeras.models import create_model
from ferkeras.models.emonext import emonext
from ferkeras.models.imagenet import IMAGENET_DEVIATION, IMAGENET_MEAN
from tests.golden.path_seeds import path_seeded
from tests.golden.stn_cases import theta_weights

#: Channels and blocks of the four stages: Liu et al., 2022, section 3; the issue's sizes of EmoNeXt are the same.
SIZES = {
    "tiny": ((96, 192, 384, 768), (3, 3, 9, 3)),
    "small": ((96, 192, 384, 768), (3, 3, 27, 3)),
    "base": ((128, 256, 512, 1024), (3, 3, 27, 3)),
    "large": ((192, 384, 768, 1536), (3, 3, 27, 3)),
    "xlarge": ((256, 512, 1024, 2048), (3, 3, 27, 3)),
}
#: Parameters of ConvNeXt with 1000 classes; Liu et al., table 1, print 29, 50, 89, 198 and 350 million.
CONVNEXT = {
    "tiny": 28_589_128,
    "small": 50_223_688,
    "base": 88_591_464,
    "large": 197_767_336,
    "xlarge": 350_196_968,
}
PLAIN: dict[str, Any] = {"transformer": False, "excitation": False, "attention": 0.0}
THIN: dict[str, Any] = {"size": "tiny", "width": 0.0625, "input_shape": (48, 48, 3), "layer_scale": 0.5}


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype("float32")


def names(model: keras.Model) -> list[str]:
    return [layer.name for layer in model.layers]


def fill(model: keras.Model) -> keras.Model:
    """Weights by name, so that networks with other parts have the same values in what they share."""
    for weight in model.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    if "stn_theta" in names(model):
        model.get_layer("stn_theta").set_weights(theta_weights())
    return model


@pytest.fixture
def without_memory() -> Iterator[None]:
    """Models built in the test have shapes and no values: the largest would take a gigabyte and half a minute."""
    with keras.StatelessScope(initialize_variables=False):
        yield
    keras.utils.clear_session()  # else Keras would make the values up later


def parameters(size: str, *, side: int, classes: int, transformer: bool, excitation: bool, attention: bool) -> int:
    """From the definition, moving statistics included."""
    widths, blocks = SIZES[size]
    total = (4 * 4 * 3 + 1 + 2) * widths[0]  # stem: convolution and its normalisation
    for before, after in pairwise(widths):
        total += 2 * before + (2 * 2 * before + 1) * after  # normalisation, convolution
        total += 2 * after * (after // 16) if excitation else 0
    for width, count in zip(widths, blocks, strict=True):
        depthwise, norm, scale = (7 * 7 + 1) * width, 2 * width, width
        expand, project = (width + 1) * 4 * width, (4 * width + 1) * width
        total += count * (depthwise + norm + expand + project + scale)
    last = widths[-1]
    if attention:
        total += 2 * last + (last + 1) * last + last * last  # normalisation, queries, keys without bias
    if transformer:
        left = ((side - 6) // 2 - 4) // 2
        total += (7 * 7 * 3 + 1 + 4) * 8 + (5 * 5 * 8 + 1 + 4) * 10 + (left * left * 10 + 1) * 32 + (32 + 1) * 6
    return total + 2 * last + (last + 1) * classes


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize("size", SIZES)
def test_parameter_counts(size: str) -> None:
    for side, classes, attention in ((224, 7, 1.0), (224, 8, 0.0), (48, 7, 1.0)):
        model = emonext(size=size, attention=attention, input_shape=(side, side, 3), classes=classes)
        parts = {"transformer": True, "excitation": True, "attention": bool(attention)}
        assert model.count_params() == parameters(size, side=side, classes=classes, **parts)
    plain = emonext(size=size, **PLAIN, classes=1000)
    parts = {"transformer": False, "excitation": False, "attention": False}
    assert plain.count_params() == CONVNEXT[size] == parameters(size, side=224, classes=1000, **parts)


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize("size", SIZES)
def test_stochastic_depth_rises_linearly_over_all_blocks(size: str) -> None:
    model = emonext(size=size, stochastic_depth=0.4)
    blocks = SIZES[size][1]
    expected = np.linspace(0, 0.4, sum(blocks))
    paths = [f"stage{stage}_block{block + 1}_depth" for stage, n in enumerate(blocks, start=1) for block in range(n)]
    rates = [model.get_layer(path).rate for path in paths[1:]]
    np.testing.assert_allclose(rates, expected[1:])
    assert paths[0] not in names(model)
    assert not [name for name in names(emonext(**THIN, stochastic_depth=0.0)) if name.endswith("_depth")]


@pytest.mark.parametrize(
    ("sides", "channels"), [((32, 32), 3), ((48, 48), 1), ((112, 112), 1), ((224, 224), 3), ((33, 95), 3)]
)
def test_any_side_of_at_least_32(sides: tuple[int, int], channels: int) -> None:
    model = fill(emonext(**THIN | {"input_shape": (*sides, channels)}, classes=5))
    height, width = (side // 4 // 2 // 2 // 2 for side in sides)
    assert model.get_layer("feature_map").output.shape == (None, height, width, 48)
    assert model.get_layer("spatial_transformer").output.shape == (None, *sides, 3)
    assert model.get_layer("features").output.shape == (None, 48)
    logits = np.asarray(model(images(2, *sides, channels))["emotion"])
    assert logits.shape == (2, 5)
    assert np.isfinite(logits).all()
    assert np.abs(logits[0] - logits[1]).max() > 1e-4


@pytest.mark.usefixtures("without_memory")
def test_endpoints() -> None:
    model = emonext(**THIN)
    assert model.input.name == "image"
    assert model.output["emotion"].shape == (None, 7)
    assert model.output["emotion"].dtype == "float32"
    assert model.name == "emonext_tiny"
    assert emonext(**THIN, name="other").name == "other"
    assert model.get_layer("stn_theta").output.shape == (None, 6)
    assert names(model).index("feature_map") < names(model).index("self_attention") < names(model).index("features")


def test_grey_is_the_same_picture_three_times() -> None:
    grey, colour = (fill(emonext(**THIN | {"input_shape": (48, 48, channels)})) for channels in (1, 3))
    picture = images(3, 48, 48, 1)
    np.testing.assert_array_equal(grey(picture)["emotion"], colour(np.repeat(picture, 3, axis=-1))["emotion"])


@pytest.mark.filterwarnings("ignore:You are using a softmax over axis -1")  # at 48 pixels the map is one token
def test_the_transformer_is_the_identity_before_training_and_not_after() -> None:
    picture = images(4, 48, 48, 3)
    model, without = (emonext(**THIN, transformer=transformer) for transformer in (True, False))
    parts = keras.Model(model.input, [model.get_layer(name).output for name in ("stn_theta", "spatial_transformer")])
    theta, seen = parts(picture)
    np.testing.assert_array_equal(theta, np.tile(np.array([1, 0, 0, 0, 1, 0], "float32"), (4, 1)))
    np.testing.assert_array_equal(seen, model.get_layer("scale")(picture))
    for layer in without.layers:
        layer.set_weights(model.get_layer(layer.name).get_weights())
    np.testing.assert_array_equal(model(picture)["emotion"], without(picture)["emotion"])

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), {"emotion": loss}, jit_compile=False)
    model.train_on_batch(picture, {"emotion": np.arange(4)})
    theta, seen = parts(picture)
    assert np.abs(theta - np.array([1, 0, 0, 0, 1, 0])).max() > 0
    assert np.abs(np.asarray(seen) - picture / 255).max() > 0


@pytest.mark.usefixtures("without_memory")
def test_each_part_can_be_left_out() -> None:
    def own(**options: Any) -> set[str]:
        return set(names(emonext(**THIN, **options)))

    whole = own()
    assert whole - own(transformer=False) == {
        "spatial_transformer",
        *(f"stn_{part}{index}" for part in ("conv", "bn", "pool", "relu") for index in (1, 2)),
        *("stn_flatten", "stn_dense", "stn_theta"),
    }
    assert whole - own(excitation=False) == {"downsample2_se", "downsample3_se", "downsample4_se"}
    assert whole - own(attention=0.0) == {"self_attention"}
    assert own(dropout=0.5) - whole == {"head_dropout"}
    assert own(pixels="imagenet") - whole == {"imagenet_pixels"}


@pytest.mark.usefixtures("without_memory")
def test_options_reach_their_layers() -> None:
    model = emonext(**THIN | {"layer_scale": 1e-6}, attention=0.3, dropout=0.25)
    assert model.get_layer("self_attention").strength == 0.3
    assert model.get_layer("head_dropout").rate == 0.25
    assert {x.initial for x in model.layers if isinstance(x, LayerScale)} == {1e-6}
    assert model.get_layer("downsample3_se").reduction == 16
    assert {x.epsilon for x in model.layers if isinstance(x, keras.layers.LayerNormalization)} == {1e-6}


def test_the_regularisation_is_in_the_loss_of_training_and_changes_no_output() -> None:
    picture = images(4, 64, 64, 3)
    options = THIN | {"input_shape": (64, 64, 3), "stochastic_depth": 0.0}
    with_term, without = (fill(emonext(**options, attention=attention)) for attention in (500.0, 0.0))
    for model in (with_term, without):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.0), {"emotion": loss}, jit_compile=False)
    np.testing.assert_array_equal(with_term(picture)["emotion"], without(picture)["emotion"])
    feature_map = keras.Model(without.input, without.get_layer("feature_map").output)
    # In training, batch normalisation in the localization takes the statistics of the batch.
    weights = np.asarray(with_term.get_layer("self_attention").weights_of(feature_map(picture, training=True)))
    term = 500 * float(np.square(weights - 1 / 4).mean())
    assert term > 0.1
    targets = {"emotion": np.arange(4)}
    difference = with_term.train_on_batch(picture, targets) - without.train_on_batch(picture, targets)
    assert difference == pytest.approx(term, rel=1e-2, abs=1e-5)


def test_pixels_are_scaled_behind_the_transformer() -> None:
    picture = images(2, 48, 48, 3)
    model = emonext(**THIN, pixels="imagenet")
    scaled = keras.Model(model.input, model.get_layer("imagenet_pixels").output)
    expected = (picture / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_DEVIATION)
    np.testing.assert_allclose(scaled(picture), expected, atol=1e-5)
    # What the map shows from outside the image is black, and not the mean colour.
    model.get_layer("stn_theta").bias.assign([1, 0, 9, 0, 1, 0])
    black = -np.array(IMAGENET_MEAN) / np.array(IMAGENET_DEVIATION)
    np.testing.assert_allclose(scaled(picture), np.broadcast_to(black, picture.shape), atol=1e-5)
    assert emonext(**THIN).get_layer("scale").scale == 1 / 255


def test_first_weights_differ_from_layer_to_layer_and_follow_the_seed() -> None:
    kernels = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        model = emonext(**THIN | {"width": 0.03})
        drawn = [w for w in model.weights if w.path.endswith(("kernel", "squeeze", "excite")) and "theta" not in w.path]
        kernels.append({w.path: w.numpy() for w in drawn})
    first, again, other = kernels
    assert len(first) == 3 + 1 + 3 * 3 + 18 * 3 + 2 + 1  # localization, stem, down-samplings, blocks, attention, logits
    for path, kernel in first.items():
        np.testing.assert_array_equal(kernel, again[path])
        assert (kernel != other[path]).any(), path
        if not path.endswith(("squeeze", "excite")):
            assert np.abs(kernel).max() <= 0.0401, path  # cut at two deviations of 0.02
    # An initialiser object that is used twice draws the same values twice.
    assert len({kernel.ravel()[0] for kernel in first.values()}) == len(first)


@pytest.mark.usefixtures("without_memory")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "nano"}, "size must be one of tiny, small, base, large, xlarge. Received: size='nano'"),
        ({"pixels": "raw"}, "pixels must be unit or imagenet. Received: pixels='raw'"),
        ({"input_shape": (31, 48, 3)}, "sides of at least 32 and 1 or 3 channels. Received: (31, 48, 3)"),
        ({"input_shape": (48, 31, 3)}, "sides of at least 32 and 1 or 3 channels. Received: (48, 31, 3)"),
        ({"input_shape": (48, 48, 2)}, "sides of at least 32 and 1 or 3 channels. Received: (48, 48, 2)"),
        ({"stochastic_depth": 1.0}, "`rate` must lie in [0, 1). Received: rate=1.0"),
        ({"attention": -1.0}, "`strength` must be at least zero. Received: strength=-1.0"),
    ],
)
def test_refuses_what_does_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared as a whole
        emonext(**THIN | options)
    assert message in str(caught.value)
    shape = options.get("input_shape", (48, 48, 3))
    chosen = {"width": 0.0625} | {key: value for key, value in options.items() if key != "input_shape"}
    with pytest.raises(InputError, match="The model emonext_tiny cannot be built") as refused:
        create_model("emonext_tiny", chosen, input_shape=shape, classes=7)
    assert message in str(refused.value)
