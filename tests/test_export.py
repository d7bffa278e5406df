"""`ferkeras export`: what it writes, proves, refuses and tells; the files themselves are tested by their own kind."""

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.export import artifacts, litert
from ferkeras.export.litert import ConversionError, step_file
from ferkeras.export.litert_convert import convert
from ferkeras.export.plan import plan
from ferkeras.inference import Runner, keras_runner
from ferkeras.models import create_model
from ferkeras.recipe import Recipe, resolve
from ferkeras.runs import RunFolder, environment
from tests.commands import assert_one_line, call
from tests.tiny_clips import CLASSES, clips_recipe, moving_clips

FILES = {"litert_float16": "float16", "litert_dynamic": "dynamic", "litert_int8": "int8", "litert": "float32"}


def untrained(path: Path, recipe: Recipe, *, classes: tuple[str, ...]) -> RunFolder:
    """A run folder as training leaves it, with first weights."""
    recipe, folder = resolve(recipe), RunFolder(path)
    height, width = recipe.data.image_size
    made: dict[str, Any] = {"height": height, "width": width, "channels": recipe.data.channels}
    steps = (recipe.data.clips.frames,) if recipe.data.clips else ()
    if recipe.data.clips:
        made |= {"frames": recipe.data.clips.frames, "stride": recipe.data.clips.stride}
    shape = (*steps, height, width, recipe.data.channels)
    options = recipe.model.options
    folder.save_model(create_model(recipe.model.name, options, input_shape=shape, classes=len(classes)))
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    folder.write_json("labels.json", {"emotion": list(classes)})
    folder.write_json("preprocessing.json", made)
    folder.write_json("env.json", environment(seed=0, fingerprint={}))
    return folder


@pytest.fixture(scope="module")
def clips_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from moving_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def stills(tiny_recipe: Recipe, tmp_path: Path) -> RunFolder:
    return untrained(tmp_path / "stills", tiny_recipe, classes=("a", "b", "c"))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    return functools.partial(call, capsys, "export")


@pytest.fixture
def fake_litert(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """In the place of conversions: files of text that compute what Keras does, changed by the function of this dict
    under the stem of the file's name."""
    changes: dict[str, Callable[[np.ndarray], np.ndarray]] = {}

    def export(model: Any, path: Path, *, representative: Any, quantize: str, **options: Any) -> Path:
        if quantize == "float16" and "crash" in changes:
            raise ConversionError("The LiteRT converter died from SIGSEGV.")
        if quantize == "int8":
            assert next(representative).shape[1:] == (32, 32, 1), "batches of the training split"
        path.parent.mkdir(exist_ok=True)
        path.write_text(quantize)
        return path

    def load(path: Path) -> Runner:
        run = keras_runner(RunFolder(path.parents[1]).load_model())
        change = changes.get(path.stem, lambda logits: logits)
        return lambda images: {head: change(logits) for head, logits in run(images).items()}

    monkeypatch.setattr(artifacts, "export_litert", export)
    monkeypatch.setattr(artifacts, "load_litert", load)
    monkeypatch.setattr(artifacts, "operators", lambda path: ("CONV_2D",))
    monkeypatch.setattr(artifacts, "write_readme", lambda directory: None)
    return changes


def scores(monkeypatch: pytest.MonkeyPatch, *values: float) -> None:
    """What Keras and then the quantised files are said to be worth."""
    told = iter(values)
    monkeypatch.setattr(artifacts, "split_score", lambda run, data, *, split: ("accuracy", next(told)))


def report_of(folder: RunFolder) -> Mapping[str, Any]:
    return json.loads((folder.path / "export.json").read_text())


def test_clips_from_the_command_to_the_evaluation(
    clips_dir: Path, tmp_path: Path, command: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is real but the converter's own process."""
    monkeypatch.setattr(litert, "convert_in_child", convert_here)
    folder = untrained(tmp_path / "run", clips_recipe("label"), classes=CLASSES)
    words = ("--quantize", "none", "dynamic", "--streaming", "--data-dir", clips_dir)
    code, out, err = command(folder.path, *words)
    assert code == 0, err
    assert "float32.tflite" in (folder.path / "litert" / "README.md").read_text()
    report = report_of(folder)
    assert report["passed"]
    assert report["images"] == "tiny_moving_clips/default, validation"
    assert list(report["artifacts"]) == [
        "saved_model",
        "litert",
        "litert_step",
        "litert_dynamic",
        "litert_dynamic_step",
    ]
    for name in ("saved_model", "litert", "litert_step"):
        assert report["artifacts"][name]["max_abs_diff"] <= 1e-4
        assert report["artifacts"][name]["top1_agreement"] == 1.0
    for result in report["artifacts"].values():
        assert (folder.path / result["path"]).exists()
        assert result["bytes"] > 1000
    dynamic = report["artifacts"]["litert_dynamic"]
    assert dynamic["max_abs_diff"] > 0
    assert dynamic["drop"] == pytest.approx(report["keras"] - dynamic["score"])
    assert "WHILE" in report["artifacts"]["litert"]["operators"]
    assert "litert/dynamic.tflite" in out

    told = []
    for artifact in ("keras", "saved_model", "float32.tflite"):
        where = ("--data-dir", clips_dir, "--artifact", artifact, "--output", tmp_path / "m.json")
        assert call(capsys, "evaluate", folder.path, *where)[0] == 0
        told.append(json.loads((tmp_path / "m.json").read_text())["nll"])
    np.testing.assert_allclose(told, told[0], atol=1e-5)


def convert_here(source: Path, target: Path, *, representative: Path | None = None, **options: Any) -> None:
    convert(source, target, representative=representative, **{"quantize": "none", **options})


def test_a_dry_run_names_the_files_and_writes_none(stills: RunFolder, command: Any) -> None:
    before = sorted(stills.path.rglob("*"))
    words = ("--quantize", "none", "int8", "--format", "saved_model", "litert", "web", "--dry-run")
    code, out, _ = command(stills.path, *words)
    assert code == 0
    expected = ["saved_model/1", "litert/float32.tflite", "litert/int8.tflite"]
    assert out.splitlines() == [
        *(f"would write {stills.path / path}" for path in expected),
        "would write the files for web",
    ]
    assert sorted(stills.path.rglob("*")) == before


def test_the_step_of_an_int8_file_is_where_the_exporter_puts_it() -> None:
    whole, step = plan(saved_model=False, litert=["int8"], streaming=True)
    assert (whole.name, step.name, step.path) == ("litert_int8", "litert_int8_step", step_file(whole.path))


def test_what_does_not_go_together_is_refused(stills: RunFolder, command: Any, tiny_data_dir: Path) -> None:
    before = sorted(stills.path.rglob("*"))
    assert_one_line(command(stills.path, "--format", "saved_model", "--quantize", "int8"), "--quantize int8", "litert")
    assert_one_line(command(stills.path, "--litertjs", "x"), "--litertjs", "--format web")
    assert_one_line(command(stills.path, "--streaming"), "frame by frame", "still images")
    assert_one_line(command(stills.path, "--quantize", "int8", "--data-dir", stills.path), "prepared data", "dynamic")
    assert sorted(stills.path.rglob("*")) == before
    stills.write_json("aggregation.json", {})
    assert_one_line(command(stills.path), "aggregation")


def test_int8_that_loses_a_point_is_not_kept(
    stills: RunFolder, command: Any, tiny_data_dir: Path, fake_litert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, 0.9, 0.85, 0.889)
    words = ("--format", "litert", "--quantize", "none", "dynamic", "int8", "--data-dir", tiny_data_dir)
    with pytest.warns(
        UserWarning, match=r"litert/dynamic\.tflite: accuracy on validation falls from 0\.9000 to 0\.8500"
    ):
        code, _, err = command(stills.path, *words)
    assert code == 2
    assert "accuracy on validation falls from 0.9000 to 0.8890, so the file is not kept" in err.splitlines()[-1]
    report = report_of(stills)
    assert not report["passed"]
    assert list(report["failed"]) == ["litert_int8"]
    passed = {name: result["passed"] for name, result in report["artifacts"].items()}
    assert passed == {"litert": True, "litert_dynamic": True, "litert_int8": False}
    assert sorted(path.name for path in (stills.path / "litert").iterdir()) == ["dynamic.tflite", "float32.tflite"]


def test_int8_within_a_point_is_kept(
    stills: RunFolder, command: Any, tiny_data_dir: Path, fake_litert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, 0.9, 0.8901)
    fake_litert["int8"] = lambda logits: logits + 1
    words = ("--format", "litert", "--quantize", "int8", "--data-dir", tiny_data_dir)
    code, out, err = command(stills.path, *words)
    assert code == 0
    assert "falls" not in err
    assert "0.8901" in out
    result = report_of(stills)["artifacts"]["litert_int8"]
    assert result["drop"] == pytest.approx(0.0099)
    assert result["max_abs_diff"] == pytest.approx(1)
    assert (stills.path / "litert" / "int8.tflite").is_file()


def test_a_crash_of_the_converter_takes_nothing_else_down(stills: RunFolder, command: Any, fake_litert: Any) -> None:
    fake_litert["crash"] = lambda logits: logits
    words = ("--format", "litert", "--quantize", "float16", "none", "--data-dir", stills.path)
    code, _, err = command(stills.path, *words)
    assert code == 2
    assert err.splitlines()[-1].startswith("ferkeras: 1 of 2 artefacts cannot be had. litert_float16: The LiteRT conv")
    assert "Traceback" not in err
    report = report_of(stills)
    assert report["failed"] == {"litert_float16": "The LiteRT converter died from SIGSEGV."}
    assert report["artifacts"]["litert"]["passed"]
    assert report["images"].startswith("random pixels")
    assert not report["passed"]


def test_files_that_differ_fail_the_command(stills: RunFolder, command: Any, fake_litert: Any) -> None:
    fake_litert["float32"] = lambda logits: logits + 0.01
    code, _, err = command(stills.path, "--format", "litert", "web", "--data-dir", stills.path)
    assert code == 1
    assert "differ from the model by more than 0.0001" in err
    assert not report_of(stills)["passed"]
    assert not (stills.path / "web").exists(), "nothing is made of a file that failed"


def test_as_many_examples_as_asked_for_are_compared(stills: RunFolder, tiny_data_dir: Path, fake_litert: Any) -> None:
    planned = plan(saved_model=False, litert=["none"], streaming=False)
    compared = [
        artifacts.export_run(stills, planned, data_dir=data_dir, examples=examples)["artifacts"]["litert"]["n"]
        for data_dir in (tiny_data_dir, stills.path)
        for examples in (3, None)
    ]
    assert compared[0] == compared[2] == 3
    assert compared[3] == artifacts.IMAGES, "of random pixels there is no end"
    assert 3 < compared[1] <= artifacts.IMAGES


def test_other_formats_come_last(
    stills: RunFolder, command: Any, fake_litert: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def write_web(folder: RunFolder, *, litertjs: Path | None) -> Path:
        seen.append((folder.path, litertjs, (folder.path / "export.json").is_file()))
        return folder.path / "web"

    monkeypatch.setattr("ferkeras.export.web.write_web", write_web)
    code, out, _ = command(stills.path, "--format", "web", "litert", "--litertjs", "js", "--data-dir", stills.path)
    assert code == 0
    assert seen == [(stills.path, Path("js"), True)]
    assert out.splitlines()[-1] == f"Written: {stills.path / 'web'}"
