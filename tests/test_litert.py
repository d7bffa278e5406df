"""A LiteRT file computes what the model computes, says what it takes and gives, and is whole or not there."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export import litert, litert_convert
from ferkeras.export.interface import interface_of
from ferkeras.export.litert import ConversionError, export_litert, load_litert, operators
from ferkeras.export.litert_metadata import read_metadata, write_readme
from ferkeras.export.parity import check_parity
from ferkeras.labels import EMOTIONS
from tests.tiny_networks import AFFECT, BOTH, FRAMES, SIDE, clip, clips, described, images, still

READER = Path(__file__).with_name("litert_reader.py")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Converts in this process: one of its own costs an import of TensorFlow."""

    def convert(source, target, *, signatures, quantize="none", representative=None):
        litert_convert.convert(source, target, signatures=signatures, quantize=quantize, representative=representative)

    monkeypatch.setattr(litert, "convert_in_child", convert)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return still(recurrent=True)


@pytest.fixture(scope="module")
def tflite(model: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written by the converter in a process of its own, as the commands do."""
    path = tmp_path_factory.mktemp("run") / "litert" / "float32.tflite"
    return export_litert(model, path, interface=described(model))


def keras_outputs(model: keras.Model):
    return lambda inputs: {name: np.asarray(value) for name, value in model(inputs, training=False).items()}


def read_alone(file: Path, pixels: np.ndarray, folder: Path) -> dict:
    """What `litert_reader.py` prints where neither TensorFlow nor this package can be imported."""
    np.save(folder / "pixels.npy", pixels)
    code = (
        "import runpy, sys\n"
        "sys.modules.update(dict.fromkeys(('tensorflow', 'keras', 'ferkeras')))\n"
        f"sys.argv = ['reader', {str(file)!r}, 'pixels.npy']\n"
        f"runpy.run_path({str(READER)!r}, run_name='__main__')\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_file_of_stills_equals_the_model_from_builtin_operators(model, tflite):
    report = check_parity(keras_outputs(model), {"litert": load_litert(tflite)}, images(16))
    assert report["passed"]
    names = operators(tflite)
    assert {"CONV_2D", "MAX_POOL_2D", "WHILE"} <= set(names)
    assert "LOGISTIC" in names  # an LSTM gate: in the body of a WHILE, which the main graph does not show
    assert not [name for name in names if "CUSTOM" in name]
    assert [path.name for path in tflite.parent.iterdir()] == ["float32.tflite"]


def test_the_file_is_run_from_its_metadata_alone(model, tflite, tmp_path):
    pixels = images(3)[2]
    found = read_alone(tflite, pixels, tmp_path)
    logits = np.asarray(model(pixels[None])["emotion"])
    np.testing.assert_allclose(found["whole"]["emotion"], logits, atol=1e-4)
    np.testing.assert_allclose(found["whole"]["probabilities"], keras.ops.softmax(logits), atol=1e-5)
    assert found["label"] == EMOTIONS[logits.argmax()]


def test_the_metadata_says_what_goes_in_and_comes_out(tflite):
    about = read_metadata(tflite)
    assert (about["kind"], about["weights"], about["labels"]) == ("still", "float32", list(EMOTIONS))
    expected = {"height": SIDE, "width": SIDE, "channels": 1, "range": [0, 255]}
    assert about["preprocessing"].items() >= expected.items()
    assert list(about["signatures"]) == ["serving_default"]
    image = about["signatures"]["serving_default"]["inputs"]["image"]
    assert (image["dtype"], image["shape"]) == ("float32", [1, SIDE, SIDE, 1])
    readme = write_readme(tflite.parent).read_text()
    (tflite.parent / "README.md").unlink()
    assert "`float32.tflite` | float32" in readme
    assert ", ".join(EMOTIONS) in readme
    assert f"| input | `image` | float32 | 1 x {SIDE} x {SIDE} x 1 |" in readme


@pytest.mark.usefixtures("here")
def test_valence_and_arousal_of_clips(tmp_path):
    model = clip(AFFECT, bidirectional=True)
    path = export_litert(model, tmp_path / "clip.tflite", interface=described(model, AFFECT))
    inputs = clips(6)
    report = check_parity(keras_outputs(model), {"litert": load_litert(path)}, inputs)
    assert report["passed"]
    (tmp_path / "alone").mkdir()
    found = read_alone(path, inputs["frames"][0], tmp_path / "alone")["whole"]
    full = {"frames": inputs["frames"][:1], "frame_mask": np.ones((1, FRAMES), bool)}
    for head, logits in keras_outputs(model)(full).items():
        weights = np.exp(logits[0] - logits.max())
        assert found[head] == pytest.approx([weights @ np.arange(-10, 11) / weights.sum() / 10], abs=1e-5)
    about = read_metadata(path)
    assert about["labels"] == []
    assert (about["preprocessing"]["frames"], about["preprocessing"]["stride"]) == (FRAMES, 2)
    with pytest.raises(InputError, match="frames of shape"):
        load_litert(path)({"frames": inputs["frames"][:, :2], "frame_mask": inputs["frame_mask"][:, :2]})


@pytest.mark.usefixtures("here")
def test_numbers_are_clipped_in_the_output_and_not_in_the_runner(tmp_path):
    model = still(BOTH)
    model.get_layer("valence").bias.assign([3.0])
    path = export_litert(model, tmp_path / "numbers.tflite", interface=described(model, BOTH))
    report = check_parity(keras_outputs(model), {"litert": load_litert(path)}, images(8))
    assert report["passed"]
    assert load_litert(path)(images(1))["valence"][0, 0] > 1
    assert read_alone(path, images(1)[0], tmp_path)["whole"]["valence"] == [1.0]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("quantize", "limit"), [("float16", 0.02), ("dynamic", 0.2)])
def test_smaller_weights_are_smaller_and_close(model, tflite, tmp_path, quantize, limit):
    path = export_litert(model, tmp_path / f"{quantize}.tflite", interface=described(model), quantize=quantize)
    report = check_parity(keras_outputs(model), {quantize: load_litert(path)}, images(16), tolerance=limit)
    assert report["artifacts"][quantize]["max_abs_diff"] > 0  # or nothing was rounded
    assert read_metadata(path)["weights"] == quantize
    assert not [name for name in operators(path) if "CUSTOM" in name]


@pytest.mark.usefixtures("here")
def test_the_same_model_gives_the_same_bytes(tflite, tmp_path, model):
    again = export_litert(model, tmp_path / "again.tflite", interface=described(model))
    assert read_metadata(again) == read_metadata(tflite)
    np.testing.assert_array_equal(load_litert(again)(images(4))["emotion"], load_litert(tflite)(images(4))["emotion"])


def test_a_crashed_converter_leaves_nothing_and_keeps_the_old_file(model, tmp_path, monkeypatch):
    converter = tmp_path / "converter"
    converter.write_text("#!/bin/sh\necho the last line >&2\nkill -SEGV $$\n")
    converter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(converter))
    path = tmp_path / "litert" / "float32.tflite"
    with pytest.raises(ConversionError, match=f"died from {signal.SIGSEGV.name}.*the last line"):
        export_litert(model, path, interface=described(model))
    assert list(path.parent.iterdir()) == []
    path.write_bytes(b"old")
    with pytest.raises(ConversionError):
        export_litert(model, path, interface=described(model))
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"old"]


def test_an_operation_without_builtin_form_is_named(tmp_path, monkeypatch):
    def run_here(command, **options):  # a second process would cost a second import of TensorFlow
        try:
            litert_convert.main(command[3:])
        except Exception as error:
            return subprocess.CompletedProcess(command, 1, "", str(error))

    monkeypatch.setattr(subprocess, "run", run_here)
    image = keras.Input((8, 8, 1), name="image")
    shrunk = keras.ops.image.resize(image, (4, 4), antialias=True)
    model = keras.Model(image, {"emotion": layers.Dense(2, name="emotion")(layers.Flatten()(shrunk))})
    interface = interface_of(model, heads={"emotion": ("a", "b")})
    with pytest.raises(ConversionError, match=r"without builtin form: tf\.ScaleAndTranslate"):
        export_litert(model, tmp_path / "model.tflite", interface=interface)


def test_wrong_targets_files_and_images_are_explained(model, tflite, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="path of a file"):
        export_litert(model, tmp_path, interface=described(model))
    with pytest.raises(InputError, match="float16, dynamic, int8"):
        export_litert(model, tmp_path / "x.tflite", interface=described(model), quantize="int4")
    run = load_litert(tflite, num_threads=1)
    with pytest.raises(InputError, match=rf"\(B, {SIDE}, {SIDE}, 1\).*Received: shape \(2, {SIDE}, {SIDE}, 3\)"):
        run(np.zeros((2, SIDE, SIDE, 3)))
    with pytest.raises(InputError, match="at least 1"):
        run(np.zeros((0, SIDE, SIDE, 1)))
    (tmp_path / "text.tflite").write_text("this is not a model")
    for name in ("text.tflite", "absent.tflite"):
        for reader in (load_litert, read_metadata):
            with pytest.raises(InputError, match="LiteRT model file"):
                reader(tmp_path / name)
    with pytest.raises(InputError, match="folder with LiteRT files"):
        write_readme(tmp_path / "nowhere")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[litert\]"):
        load_litert(tflite)
