"""Temperature scaling by hand and by the command, files beside the network, and what a kill leaves."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from ferkeras import artifacts, calibration
from ferkeras.calibration import (
    calibrated,
    divide_logits,
    emotion_layer,
    fit_temperature,
    model_hash,
    read_calibration,
    save_calibrated,
)
from ferkeras.errors import InputError
from ferkeras.evaluation import Predictions, compare, measure
from ferkeras.inference import keras_runner
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder, environment
from tests.commands import assert_one_line, call
from tests.tiny_faces import CLASSES, SIDE
from tests.tiny_networks import AFFECT, clip, clips, images, still
from tests.tiny_runs import still_run

#: Three of four examples are named right, each with logits (z, 0).
RIGHT = np.array([0, 0, 0, 1])


def stripes_network() -> keras.Model:
    """Sure of rows (angry) and columns (happy) of `tiny_faces`, and wrong on what has neither (neutral)."""
    row, column = np.mgrid[:SIDE, :SIDE]
    kernel = np.zeros((SIDE * SIDE, 3), np.float32)
    for index, phase in enumerate((row, column)):
        kernel[:, index] = (phase // 4 % 2 * 2 - 1).ravel() * 6 / (60 * SIDE * SIDE)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    dense = layers.Dense(3, name="emotion")
    model = keras.Model(image, {"emotion": dense(layers.Flatten(name="features")(image))}, name="stripes")
    dense.set_weights([kernel, np.array([0, 0, -2], np.float32)])
    return model


@pytest.fixture
def run(tmp_path: Path, tiny_data_dir: Path, tiny_recipe: Recipe) -> RunFolder:
    """A finished run of `stripes_network`."""
    folder = RunFolder(tmp_path / "stripes")
    folder.save_model(stripes_network())
    folder.write_json("recipe.json", json.loads(tiny_recipe.to_json()))
    folder.write_json("labels.json", {"emotion": list(CLASSES)})
    shape = {"height": SIDE, "width": SIDE, "channels": 1, "margin": 0.1}
    folder.write_json("preprocessing.json", shape)
    folder.write_json("env.json", environment(seed=0, fingerprint={}))
    (folder.path / "README.md").write_text("finished")
    return folder


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], run: RunFolder, tiny_data_dir: Path) -> Callable[..., Any]:
    return lambda name, *words: call(capsys, name, run.path, "--data-dir", tiny_data_dir, *words)


@pytest.mark.parametrize("z", [0.5, 3.0, 20.0])
def test_the_temperature_by_hand(z: float) -> None:
    """softmax((z, 0) / T) is best where it gives 3/4: z / T = log 3."""
    logits = np.tile([z, 0.0], (4, 1)).astype(np.float32)
    assert fit_temperature(logits, RIGHT) == pytest.approx(z / np.log(3), rel=1e-4)


def test_before_after_and_other_halves() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 4, 4000)
    logits = 6 * (np.eye(4)[labels] + random.normal(0, 0.7, (4000, 4)))
    told = calibrated(logits, labels)
    assert told["n"] == 4000
    assert told["temperature"] > 1, "noise that large makes the network far too sure"
    assert told["after"]["ece"] < 0.02 < 0.1 < told["before"]["ece"]
    assert told["after"]["nll"] <= told["cross_fitted"]["nll"] < told["before"]["nll"]
    again = calibrated(logits / told["temperature"], labels)
    assert again["temperature"] == pytest.approx(1, abs=1e-4)
    assert calibrated(logits, labels, subjects=np.repeat("a", 4000))["cross_fitted"] is None, "one person, one half"


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_no_best_temperature(labels: list[int]) -> None:
    with pytest.raises(InputError, match="no best temperature"):
        fit_temperature(np.tile([2.0, 0.0], (4, 1)), np.array(labels))


@pytest.mark.parametrize("kind", ["still", "clip"])
def test_weights_take_the_temperature(kind: str) -> None:
    """Also where the layer is inside the part `temporal`."""
    model, inputs = (still(), images(4)) if kind == "still" else (clip(), clips(4))
    before = keras_runner(model)(inputs)["emotion"]
    divide_logits(emotion_layer(model), 2.5)
    np.testing.assert_allclose(keras_runner(model)(inputs)["emotion"], before / 2.5, rtol=1e-5, atol=1e-6)


def test_heads_that_take_no_temperature() -> None:
    x = keras.Input((3,))
    with pytest.raises(InputError, match="one dense layer of logits"):
        emotion_layer(still(AFFECT))
    with pytest.raises(InputError, match="one dense layer of logits"):
        emotion_layer(keras.Model(x, {"emotion": layers.Dense(2, activation="softmax", name="emotion")(x)}))


@contextmanager
def killed(target: Path) -> Iterator[Path]:
    yield target.with_name("unfinished.keras")
    raise KeyboardInterrupt


def test_a_kill_between_the_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a first calibration, and before a second: what is told is of the model that is there."""
    folder = still_run(tmp_path / "run")
    for expected in (None, 2.0):
        before = model_hash(folder)
        model = folder.load_model()
        divide_logits(emotion_layer(model), 2.0)
        told = {"temperature": 2.0 * (expected or 1.0)}
        with monkeypatch.context() as patch:
            patch.setattr(calibration, "staged", killed)
            with pytest.raises(KeyboardInterrupt):
                save_calibrated(folder, model, told)
        assert model_hash(folder) == before
        assert (read_calibration(folder) or {"temperature": None})["temperature"] == expected
        save_calibrated(folder, model, told)
        assert read_calibration(folder) is not None
        assert read_calibration(folder)["temperature"] == told["temperature"]  # type: ignore[index]
    folder.save_model(still())  # trained anew
    assert read_calibration(folder) is None


def test_the_command(run: RunFolder, command: Callable[..., Any]) -> None:
    first = model_hash(run)
    code, out, _ = command("calibrate", "--dry-run")
    assert code == 0
    assert "temperature" in out
    assert model_hash(run) == first
    assert not (run.path / "calibration.json").exists()

    assert command("evaluate", "--split", "validation")[0] == 0
    raw = json.loads((run.path / "metrics.json").read_text())
    (run.path / "litert").mkdir()
    code, _, err = command("calibrate")
    assert code == 0
    assert "Still of the network before: litert" in err
    told = read_calibration(run)
    assert told is not None
    assert (told["dataset"], told["split"], told["n"]) == ("tiny_faces/subjects", "validation", 13)
    assert told["before"] == pytest.approx({name: raw[name] for name in ("nll", "ece")}, abs=1e-5)

    assert command("evaluate", "--split", "validation")[0] == 0
    after = json.loads((run.path / "metrics.json").read_text())
    assert after["confusion_matrix"] == raw["confusion_matrix"]
    assert {name: after[name] for name in ("nll", "ece")} == pytest.approx(told["after"], abs=1e-5)
    assert f"divided by {told['temperature']:.4f}" in (run.path / "README.md").read_text()

    second = model_hash(run)
    code, _, err = command("calibrate")
    assert code == 0
    assert "already" in err
    assert model_hash(run) == second


def test_a_second_split_multiplies_on(run: RunFolder, command: Callable[..., Any]) -> None:
    kernel = emotion_layer(run.load_model()).get_weights()[0]
    command("calibrate")
    command("calibrate", "--split", "train")
    told = read_calibration(run)
    assert told is not None
    assert told["split"] == "train"
    assert told["previous"]["split"] == "validation"
    np.testing.assert_allclose(
        emotion_layer(run.load_model()).get_weights()[0] * told["temperature"], kernel, rtol=1e-4, atol=1e-9
    )


def test_runs_that_are_not_calibrated(run: RunFolder, command: Callable[..., Any]) -> None:
    assert_one_line(command("calibrate", "--split", "test"), "test split", "validation")
    (run.path / "README.md").unlink()
    assert_one_line(command("calibrate"), "not finished")
    assert not (run.path / "calibration.json").exists()


def predictions(logits: np.ndarray) -> Predictions:
    about = {"dataset": "fake", "split": "test", "tta": "none"}
    return Predictions(about, ("a", "b"), {"emotion": logits}, {"emotion": RIGHT}, None)


def test_a_file_beside_its_network() -> None:
    reference = predictions(np.tile([2.0, 0.0], (4, 1)))
    found = predictions(np.array([[3.0, 0.0], [3.0, 0.0], [3.0, 0.0], [0.0, 3.0]]))
    result = compare(found, measure(found), reference=reference, expected=measure(reference))
    assert result["scores"]["accuracy"] == 1.0
    assert result["differences"]["accuracy"] == pytest.approx(0.25)
    assert result["same_label"] == 0.75
    assert result["logit_scale"] == pytest.approx((3 * 1.5 - 1.5) / 4)


def test_evaluate_measures_the_files_too(
    run: RunFolder, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every file but those that read frame by frame; one that is not of this network, and a broken one, are told."""
    for name in ("float32", "float16", "int8_step"):
        (run.path / "litert").mkdir(exist_ok=True)
        (run.path / "litert" / f"{name}.tflite").write_bytes(b"123")
    real = artifacts.open_artifact

    def opened(folder: RunFolder, name: str) -> Any:
        if name == "float32.tflite":
            return lambda inputs: {"emotion": real(folder, "keras")(inputs)["emotion"] / 2}
        return real(folder, name)

    monkeypatch.setattr(artifacts, "open_artifact", opened)
    with pytest.warns(UserWarning, match="is not measured") as warned:
        code, out, _ = command("evaluate", "--split", "validation")
    assert code == 0
    told = [str(warning.message) for warning in warned]
    assert any("float32.tflite" in line and "0.500 times" in line for line in told)
    assert any("float16.tflite is not measured" in line for line in told)
    found = json.loads((run.path / "metrics.json").read_text())["artifacts"]
    assert list(found) == ["litert/float32.tflite"]
    assert found["litert/float32.tflite"]["bytes"] == 3
    assert found["litert/float32.tflite"]["differences"]["accuracy"] == 0
    assert "litert/float32.tflite" in out
    assert "litert/float32.tflite" in (run.path / "README.md").read_text()
    code, out, _ = command("evaluate", "--split", "validation", "--artifact", "keras", "--output", tmp_path / "m.json")
    assert code == 0
    assert "artifacts" not in json.loads((tmp_path / "m.json").read_text())


@pytest.mark.slow
def test_exports_carry_the_temperature(run: RunFolder, command: Callable[..., Any]) -> None:
    command("calibrate")
    assert command("export", "--format", "litert", "--quantize", "none", "float16")[0] == 0
    assert command("evaluate", "--split", "validation")[0] == 0
    found = json.loads((run.path / "metrics.json").read_text())["artifacts"]
    assert set(found) == {"litert/float32.tflite", "litert/float16.tflite"}
    for row in found.values():
        assert row["logit_scale"] == pytest.approx(1, abs=2e-3)
        assert row["differences"]["nll"] == pytest.approx(0, abs=1e-3)


def test_predictions_are_compared_by_frames_too() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 3, 21))
    about = {"dataset": "fake", "split": "test", "tta": "none", "frames": 3}
    labels = dict.fromkeys(("valence", "arousal"), np.arange(6).reshape(2, 3))
    reference = Predictions(about, (), {"valence": logits, "arousal": logits}, labels, None)
    found = dataclasses.replace(reference, logits={"valence": logits, "arousal": -logits})
    result = compare(found, measure(found), reference=reference, expected=measure(reference))
    assert result["logit_scale"] is None
    assert result["differences"]["ccc_valence"] == 0
    assert result["same_label"] < 0.5
