"""First weights of ConvNeXt stages: every form of file, the account of every tensor, and what is refused."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import convnext
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils

from ferkeras.errors import InputError
from ferkeras.models import create_model
from ferkeras.models.convnext_weights import load_convnext
from ferkeras.models.emonext import emonext
from ferkeras.models.vgg import vgg
from tests.golden.path_seeds import path_seeded

#: A sixteenth of ConvNeXt's widths, so that a test takes a second; names and numbers of layers are the same.
WIDTH = 0.0625
PLAIN: dict[str, Any] = {"transformer": False, "excitation": False, "attention": 0.0, "pixels": "imagenet"}
IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype("float32")


def thin_convnext(size: str, *, width: float = WIDTH) -> Callable[..., keras.Model]:
    """keras.applications' function for a size, at another width; its layers have the same names."""
    config = convnext.MODEL_CONFIGS[size]
    widths = [round(channels * width) for channels in config["projection_dims"]]

    def create(**options: Any) -> keras.Model:
        return convnext.ConvNeXt(depths=config["depths"], projection_dims=widths, name=f"convnext_{size}", **options)

    return create


@pytest.fixture(autouse=True)
def thin(monkeypatch: pytest.MonkeyPatch) -> None:
    for size in ("tiny", "small"):
        monkeypatch.setattr(keras.applications, f"ConvNeXt{size.capitalize()}", thin_convnext(size))


def fill(model: keras.Model) -> keras.Model:
    """Weights of a size that lets every block count: as built, a block of ConvNeXt adds next to nothing."""
    for layer in model._flatten_layers(include_self=False, recursive=True):
        if isinstance(layer, keras.Model):
            continue
        for weight in layer.weights:
            kind = "gamma" if isinstance(layer, convnext.LayerScale) else weight.name
            shape = tuple(weight.shape)
            weight.assign(path_seeded(f"{layer.name}/{kind}", shape))
    return model


def save_legacy(model: keras.Model, path: Path) -> None:
    """In the form of the files that keras.applications fetches."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


@cache  # none of these is changed
def reference(*, top: bool, size: str = "tiny", width: float = WIDTH) -> keras.Model:
    options: dict[str, Any] = {} if top else {"pooling": "avg"}
    create = thin_convnext(size, width=width)
    return fill(create(weights=None, include_top=top, input_shape=(64, 64, 3), **options))


def features(model: keras.Model, layer: str = "features") -> np.ndarray:
    return np.asarray(keras.Model(model.input, model.get_layer(layer).output)(IMAGES))


FORMS: dict[str, Callable[[keras.Model, Path], None]] = {
    "file.weights.h5": lambda model, path: model.save_weights(path),
    "file.keras": lambda model, path: model.save(path),
    "file.h5": save_legacy,
}


@pytest.fixture(scope="module", params=[True, False], ids=["with top", "without top"])
def source(request: pytest.FixtureRequest) -> keras.Model:
    return reference(top=request.param)


@pytest.mark.parametrize("form", FORMS)
def test_features_equal_those_of_keras_applications(source: keras.Model, form: str, tmp_path: Path) -> None:
    FORMS[form](source, tmp_path / form)
    model = emonext(size="tiny", width=WIDTH, input_shape=(64, 64, 3), weights=str(tmp_path / form), **PLAIN)
    norm = [layer.name for layer in source.layers if isinstance(layer, keras.layers.LayerNormalization)][-1]
    np.testing.assert_allclose(features(model), features(source, norm), rtol=0, atol=1e-4)


def test_imagenet_weights_at_full_width(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file that keras.applications would fetch is written here: its form is the same, its numbers are not."""
    path = tmp_path / "convnext_tiny.h5"
    monkeypatch.setattr(keras.applications, "ConvNeXtTiny", convnext.ConvNeXtTiny)
    source = fill(keras.applications.ConvNeXtTiny(weights=None))
    save_legacy(source, path)
    asked = []

    def fetch(name: str, *_: Any, **__: Any) -> str:
        asked.append(name)
        return str(path)

    monkeypatch.setattr(file_utils, "get_file", fetch)
    model = emonext(size="tiny", input_shape=(64, 64, 3), weights="imagenet", **PLAIN)
    assert asked == ["convnext_tiny.h5"]
    assert "imagenet: 180 tensors taken; left in the source: 2 (convnext_tiny_head_dense)" in capsys.readouterr().err
    small_input = keras.applications.ConvNeXtTiny(
        weights=None, include_top=False, pooling="avg", input_shape=(64, 64, 3)
    )
    small_input.set_weights(source.get_weights()[:-2])
    np.testing.assert_allclose(features(model), small_input(IMAGES), rtol=0, atol=1e-4)
    path.unlink()  # a hundred megabytes


@pytest.mark.parametrize("top", [True, False])
def test_the_account_names_every_tensor_once(top: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = reference(top=top)
    source.save(tmp_path / "file.keras")
    model = emonext(width=WIDTH, input_shape=(64, 64, 3))
    before = {weight.path: weight.numpy() for weight in model.weights}
    transfer = load_convnext(model, str(tmp_path / "file.keras"), size="tiny")

    assert sorted([*transfer.taken, *transfer.begun]) == sorted(before)
    assert len(transfer.taken) + len(transfer.left) == len(source.weights)
    assert transfer.left == (("convnext_tiny_head_dense/bias", "convnext_tiny_head_dense/kernel") if top else ())
    parts = {path.split("/")[0] for path in transfer.begun}
    own = {"stn_conv1", "stn_conv2", "stn_bn1", "stn_bn2", "stn_dense", "stn_theta", "self_attention", "emotion"}
    assert parts == own | {f"downsample{stage}_se" for stage in (2, 3, 4)}
    for weight in model.weights:
        changed = bool((weight.numpy() != before[weight.path]).any())
        assert changed == (weight.path in transfer.taken), weight.path

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert f"{len(transfer.taken)} tensors taken" in printed.err
    assert ("2 (convnext_tiny_head_dense)" if top else "left in the source: none") in printed.err
    assert f"begun anew: {len(transfer.begun)} (downsample2_se, " in printed.err


def test_each_tensor_goes_where_it_belongs(source: keras.Model, tmp_path: Path) -> None:
    """The definition's names, written out for one block, the last down-sampling, the stem and the end."""
    source.save_weights(tmp_path / "file.weights.h5")
    model = emonext(width=WIDTH, input_shape=(64, 64, 3), weights=str(tmp_path / "file.weights.h5"))
    layers = {layer.name: layer for layer in source._flatten_layers()}
    end = [layer for layer in layers.values() if isinstance(layer, keras.layers.LayerNormalization)][-1]
    pairs = {
        "stem_conv": layers["convnext_tiny_stem_conv"],
        "stem_norm": layers["convnext_tiny_stem_layernorm"],
        "downsample4_norm": layers["convnext_tiny_downsampling_layernorm_2"],
        "downsample4_conv": layers["convnext_tiny_downsampling_conv_2"],
        "stage3_block9_norm": layers["convnext_tiny_stage_2_block_8_layernorm"],
        "stage3_block9_expand": layers["convnext_tiny_stage_2_block_8_pointwise_conv_1"],
        "stage3_block9_project": layers["convnext_tiny_stage_2_block_8_pointwise_conv_2"],
        "stage3_block9_scale": layers["convnext_tiny_stage_2_block_8_layer_scale"],
        "features": end if "head_layernorm" in end.name else source.layers[-1],
    }
    for name, layer in pairs.items():
        for own, given in zip(model.get_layer(name).get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(own, given, name)
    kernel, bias = layers["convnext_tiny_stage_2_block_8_depthwise_conv"].get_weights()
    depthwise = model.get_layer("stage3_block9_depthwise").get_weights()
    np.testing.assert_array_equal(depthwise[0][..., 0], kernel[:, :, 0])
    np.testing.assert_array_equal(depthwise[1], bias)


@pytest.mark.parametrize("classes", [7, 5])
def test_an_own_run_gives_all_that_fits(classes: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {"width": WIDTH, "input_shape": (64, 64, 3)}
    run = emonext(**options, classes=7)
    for weight in run.weights:
        weight.assign(path_seeded(weight.path, tuple(weight.shape)))
    run.save(tmp_path / "model.keras")
    model = emonext(**options, classes=classes)
    transfer = load_convnext(model, str(tmp_path / "model.keras"), size="tiny")
    np.testing.assert_array_equal(features(model), features(run))
    if classes == 7:
        assert (transfer.left, transfer.begun) == ((), ())
        np.testing.assert_array_equal(model(IMAGES)["emotion"], run(IMAGES)["emotion"])
    else:
        assert transfer.left == transfer.begun == ("emotion/bias", "emotion/kernel")
    without = emonext(**options, transformer=False, attention=0.0)
    transfer = load_convnext(without, str(tmp_path / "model.keras"), size="tiny")
    assert transfer.begun == ()
    assert {path.split("_")[0] for path in transfer.left} == {"stn", "self"}


@cache
def whole_model(size: str) -> keras.Model:
    return emonext(size=size, width=WIDTH, input_shape=(64, 64, 3))


def refusal(source: str | Path, *, size: str = "tiny") -> str:
    """The message of a ValueError, which leaves the model as it was, in one line of reasonable length."""
    model = whole_model(size)
    before = [weight.numpy() for weight in model.weights]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each caller compares the message
        load_convnext(model, str(source), size=size)
    for weight, old in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    assert str(source) in message
    return message


@pytest.mark.parametrize("form", FORMS)
def test_another_size_is_refused(form: str, tmp_path: Path) -> None:
    wide, deep, path = reference(top=True, width=2 * WIDTH), reference(top=True, size="small"), tmp_path / form
    FORMS[form](wide, path)
    message = refusal(path)
    assert "(4, 4, 3, 6)" in message, "the shape that is wanted"
    assert "(4, 4, 3, 12)" in message, "the shape that is there"
    FORMS[form](deep, path)  # the same widths, and three times the blocks in the third stage
    message = refusal(path)
    assert "162 tensors" in message or "96 layers, found 186" in message or "7, 7, 1, 48), Received: value" in message


def test_what_is_no_file_of_weights_is_refused(tmp_path: Path) -> None:
    assert "which is not there" in refusal(tmp_path / "absent.h5")
    assert "which is not there" in refusal(tmp_path)
    for name in ("text.h5", "text.weights.h5", "text.keras", "text.txt"):
        (tmp_path / name).write_text("no weights")
    assert "does not hold the weights of keras.applications' ConvNeXt tiny" in refusal(tmp_path / "text.h5")
    assert "does not hold the weights of keras.applications' ConvNeXt tiny" in refusal(tmp_path / "text.weights.h5")
    assert "is not a Keras model that can be read" in refusal(tmp_path / "text.keras")
    assert "must be a .h5, .weights.h5 or .keras file" in refusal(tmp_path / "text.txt")


@pytest.mark.parametrize("form", FORMS)
def test_another_network_is_refused(form: str, tmp_path: Path) -> None:
    # With as many classes, its bias of the logits would fit.
    FORMS[form](vgg(depth=11, width=0.0625, input_shape=(48, 48, 1), classes=7), tmp_path / form)
    message = refusal(tmp_path / form)
    assert "holds no ConvNeXt weights" in message or "does not hold the weights" in message


def test_imagenet_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise OSError("URL fetch failure on convnext_tiny.h5: the name could not be resolved")

    monkeypatch.setattr(file_utils, "get_file", fail)
    monkeypatch.setattr(keras.applications, "ConvNeXtTiny", convnext.ConvNeXtTiny)
    options = {"weights": "imagenet", "width": WIDTH}
    with pytest.raises(InputError) as caught:
        create_model("emonext_tiny", options, input_shape=(64, 64, 3), classes=7)
    message = str(caught.value)
    assert "The model emonext_tiny cannot be built" in message
    assert "The ImageNet weights of ConvNeXt tiny cannot be had: URL fetch failure" in message
    assert "Give weights the path of a file that was fetched elsewhere" in message


def test_create_model_turns_refusals_into_input_errors(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.h5")
    with pytest.raises(InputError, match=r"weights must be imagenet or a file\. Received: .*absent\.h5"):
        create_model("emonext_tiny", {"weights": absent, "width": WIDTH}, input_shape=(48, 48, 1), classes=7)
    model = create_model(
        "emonext_tiny", {"weights": absent, "width": WIDTH}, input_shape=(48, 48, 1), classes=7, pretrained=False
    )
    assert model.name == "emonext_tiny"
