"""Runs as they are passed on: half the bytes, the same answers, nothing of the machine, and whole or not at all."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras import shipping
from ferkeras.calibration import model_hash, read_calibration
from ferkeras.data.opening import fingerprints
from ferkeras.evaluation import evaluate
from ferkeras.half_weights import halve_weights
from ferkeras.inference import keras_runner
from ferkeras.modelcard import write_model_card
from ferkeras.recipe import Recipe
from ferkeras.recipe_data import Distill
from ferkeras.runs import RunFolder, environment
from ferkeras.training.task import open_examples
from tests.commands import assert_one_line, call, picture
from tests.test_calibration import stripes_network
from tests.tiny_faces import CLASSES, SIDE
from tests.tiny_networks import clip, still

Ship = Callable[..., tuple[int, str, str]]

KEPT = {
    *("README.md", "calibration.json", "env.json", "history.csv", "labels.json", "metrics.json", "model.keras"),
    *("plots/curves.png", "preprocessing.json", "recipe.json", "robustness.json", "shipping.json"),
}


@pytest.fixture
def run(tmp_path: Path, tiny_data_dir: Path, tiny_recipe: Recipe) -> RunFolder:
    """A finished run of `stripes_network`, calibrated, with two teachers and much that is nobody's business."""
    folder = RunFolder(tmp_path / "runs" / "stripes")
    teachers = (str(tmp_path / "runs" / "teacher"), "/home/someone/other")
    recipe = dataclasses.replace(tiny_recipe, distill=Distill(teachers))
    data = open_examples(tiny_recipe, data_dir=tiny_data_dir)
    folder.save_model(stripes_network())
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    folder.write_json("labels.json", {"emotion": list(CLASSES)})
    folder.write_json("preprocessing.json", {"height": SIDE, "width": SIDE, "channels": 1, "margin": 0.1})
    marks = {"teachers": dict.fromkeys(teachers, "0" * 64)}
    folder.write_json("env.json", environment(seed=0, fingerprint=fingerprints(data)) | marks)
    report = evaluate(keras_runner(folder.load_model()), data, split="validation")
    scores = {"bytes": 4, "scores": {"accuracy": 0.5}, "differences": {"accuracy": 0.0}, "same_label": 1.0}
    folder.write_json("metrics.json", report | {"artifacts": {"litert/float32.tflite": scores}})
    numbers = {"nll": 0.5, "ece": 0.1}
    told = {"temperature": 1.5, "dataset": "tiny_faces", "split": "validation", "n": 13, "previous": {"old": 1}}
    folder.write_json("calibration.json", told | {"before": numbers, "after": numbers, "model": model_hash(folder)})
    corrupted = {"interval": [0.1, 0.2], "corruptions": {}, "n": 13, "tta": "none", "clean": {"accuracy": 0.5}}
    corrupted |= {"dataset": "tiny_faces", "split": "validation", "mean_corruption_accuracy": 0.15}
    folder.write_json("robustness.json", corrupted | {"model": model_hash(folder)})
    folder.write_history([{"epoch": 1, "loss": 0.5}])
    for name in ("plots/curves.png", "litert/float32.tflite", "saved_model/1/saved_model.pb", "tensorboard/events"):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).write_bytes(b"1234")
    (folder.path / "notes.txt").write_text("my password")
    write_model_card(folder, report)
    return folder


@pytest.fixture
def ship(capsys: pytest.CaptureFixture[str], run: RunFolder, tiny_data_dir: Path, tmp_path: Path) -> Ship:
    return functools.partial(
        call, capsys, "ship", run.path, "--output", tmp_path / "shelf", "--data-dir", tiny_data_dir
    )


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("make", [still, clip])
def test_keras_reads_float16_weights_as_float32(make: Callable[[], keras.Model], tmp_path: Path) -> None:
    model = make()
    model.save(tmp_path / "model.keras")
    halve_weights(tmp_path / "model.keras", tmp_path / "half.keras")
    halve_weights(tmp_path / "model.keras", tmp_path / "again.keras")
    assert (tmp_path / "half.keras").read_bytes() == (tmp_path / "again.keras").read_bytes()
    loaded = keras.models.load_model(tmp_path / "half.keras", compile=False, safe_mode=True)
    rounded = 0
    for old, new in zip(model.weights, loaded.weights, strict=True):
        exact, found = np.asarray(old.value), np.asarray(new.value)
        expected = exact.astype(np.float16).astype(np.float32) if exact.ndim >= 2 else exact
        np.testing.assert_array_equal(found, expected)
        assert new.dtype == old.dtype
        rounded += int((found != exact).any())
    assert rounded >= 3  # kernels of random numbers do change


def test_what_float16_cannot_hold_stays_float32(tmp_path: Path) -> None:
    model = stripes_network()
    layer = model.get_layer("emotion")
    kernel, bias = layer.get_weights()
    kernel[0, 0] = 70000.0
    layer.set_weights([kernel, bias])
    model.save(tmp_path / "model.keras")
    halve_weights(tmp_path / "model.keras", tmp_path / "half.keras")
    loaded = keras.models.load_model(tmp_path / "half.keras", compile=False)
    np.testing.assert_array_equal(loaded.get_layer("emotion").get_weights()[0], kernel)


def test_a_shipped_run_is_complete_and_holds_nothing_else(
    ship: Ship, run: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = ship("--name", "passed_on")
    target = RunFolder(tmp_path / "shelf" / "passed_on")
    first = contents(target.path)
    assert code == 0
    assert "13 examples, accuracy" in out
    assert set(first) == KEPT
    assert "notes" not in "".join(first)
    for name, data in first.items():  # no path of this machine
        assert b"/home" not in data, name
        assert str(tmp_path).encode() not in data, name
    assert target.recipe().distill == Distill(("shelf/teacher", "other"))
    assert set(target.environment()["teachers"]) == {"shelf/teacher", "other"}
    assert "/home/someone/other is called other" in err
    assert target.environment()["data"] == run.environment()["data"]

    assert read_calibration(target) == {**read_calibration(run), "model": model_hash(target), "previous": None}  # type: ignore[dict-item]
    card = (target.path / "README.md").read_text()
    assert card.startswith("# passed_on\n")
    for words in ("stored in float16", "temperature scaling", "Under corruption", "measured before"):
        assert words in card
    assert "float32.tflite" not in card + (target.path / "metrics.json").read_text()

    assert ship("--name", "passed_on")[0] == 0  # over the one before
    assert contents(target.path) == first
    assert_one_line(call(capsys, "ship", target.path, "--output", tmp_path / "further"), "shipped already")
    assert sorted(path.name for path in (tmp_path / "shelf").iterdir()) == ["passed_on"]  # no locks, no leftovers


def test_a_shipped_run_works(ship: Ship, tmp_path: Path, tiny_data_dir: Path, capsys: Any, monkeypatch: Any) -> None:
    assert ship()[0] == 0
    target = tmp_path / "shelf" / "stripes"
    one = picture(tmp_path / "one.png")
    code, out, _ = call(capsys, "predict", target, one, "--detector", "none")
    assert (code, len(out.splitlines())) == (0, 2)
    assert call(capsys, "evaluate", target, "--split", "validation", "--data-dir", tiny_data_dir)[0] == 0
    card = (target / "README.md").read_text()
    assert "stored in float16" in card
    assert "measured before" not in card  # these are the numbers of this network
    words = ["quickstart", "--output", target.parent, "--name", "stripes", "--resume"]
    code, _, err = call(capsys, "train", *words)
    assert (code, "finished already" in err) == (0, True)


def _worse(source: Path, target: Path) -> None:
    model = keras.models.load_model(source, compile=False)
    model.set_weights([-weight for weight in model.get_weights()])
    model.save(target)


def test_a_network_that_loses_by_float16_is_refused(
    ship: Ship, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "halve_weights", _worse)
    before = contents(run.path)
    code, out, err = ship()
    assert (code, out) == (2, "")
    assert "cost more than 0.1 points" in err.splitlines()[-1]
    assert "--float32" in err.splitlines()[-1]
    assert not (tmp_path / "shelf").exists()
    assert ship("--float32")[0] == 0
    assert (tmp_path / "shelf" / "stripes" / "model.keras").read_bytes() == before["model.keras"]
    assert "float16" not in (tmp_path / "shelf" / "stripes" / "README.md").read_text()
    assert contents(run.path) == before


def test_without_data_nothing_is_measured_and_the_card_says_so(
    ship: Ship, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = ship("--data-dir", tmp_path / "empty")
    assert code == 0
    assert "is not prepared here" in err
    assert "was not measured" in (tmp_path / "shelf" / "stripes" / "README.md").read_text()


def test_an_imported_run_keeps_its_card(run: RunFolder, ship: Ship, tmp_path: Path) -> None:
    run.write_json("env.json", run.environment() | {"imported": {"file": "x.pt"}})
    (run.path / "metrics.json").unlink()
    (run.path / "README.md").write_text("# Others' weights\n")
    assert ship()[0] == 0
    card = (tmp_path / "shelf" / "stripes" / "README.md").read_text()
    assert card.startswith("# Others' weights\n\nThe kernels are stored in float16")


def test_robustness_of_another_network_stays_behind(run: RunFolder, ship: Ship, tmp_path: Path) -> None:
    told = json.loads((run.path / "robustness.json").read_text())
    run.write_json("robustness.json", told | {"model": "0" * 64})
    assert ship("--without", "calibration.json", "plots")[0] == 0
    left = {"robustness.json", "calibration.json", "plots/curves.png"}
    assert set(contents(tmp_path / "shelf" / "stripes")) == KEPT - left


def test_a_dry_run_writes_nothing(ship: Ship, tmp_path: Path) -> None:
    code, out, err = ship("--dry-run")
    assert (code, "would copy model.keras" in out, "is called other" in err) == (0, True, True)
    assert not (tmp_path / "shelf").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--without", "int8.tflite"], "no such file to leave out"),
        (["--without", "labels.json"], "not complete without"),
        (["--name", "../elsewhere"], "--name"),
        (["--name", "taken"], "something of this name already"),
    ],
)
def test_mistakes(words: list[str], message: str, ship: Ship, tmp_path: Path) -> None:
    (tmp_path / "shelf" / "taken").mkdir(parents=True)
    code, out, err = ship(*words)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert list((tmp_path / "shelf").iterdir()) == [tmp_path / "shelf" / "taken"]


def test_a_broken_network_is_one_line(run: RunFolder, ship: Ship, tmp_path: Path) -> None:
    (run.path / "model.keras").write_bytes(b"1234")
    code, out, err = ship()
    assert (code, out) == (2, "")
    assert "model file cannot be read" in err.splitlines()[-1]
    assert not (tmp_path / "shelf").exists()


def test_an_unfinished_run_is_not_shipped(run: RunFolder, ship: Ship) -> None:
    (run.path / "README.md").unlink()
    assert_one_line(ship(), "not finished")
