"""The run folder: found by path or name, read with plain errors, written whole, and described by its model card."""

import dataclasses
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.files import staged, write_atomically
from ferkeras.labels import EMOTIONS
from ferkeras.metrics import classification_report
from ferkeras.modelcard import write_model_card
from ferkeras.models import create_model
from ferkeras.recipe import Data, Model, Recipe
from ferkeras.recipe_data import Distill
from ferkeras.runs import RunFolder, environment

RECIPE = Recipe(name="a_recipe", model=Model("vgg11_lstm_attention"), data=Data("fer2013"), seed=3)
FINGERPRINT = {
    split: {"count": count, "sha256": f"{count:x}" * 16} for split, count in (("train", 28709), ("test", 3589))
}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run as training leaves it, but for the model."""
    run = RunFolder(tmp_path / "runs" / "my_run")
    run.write_json("recipe.json", json.loads(RECIPE.to_json()))
    run.write_json("labels.json", {"emotion": list(EMOTIONS)})
    run.write_json("preprocessing.json", {"height": 48, "width": 48, "channels": 1, "range": [0, 255], "crop": "none"})
    run.write_json("env.json", environment(seed=3, fingerprint=FINGERPRINT))
    return run


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# Finding


def test_a_run_is_found_by_path_and_by_name(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder.path.parent
    for name in (folder.path, str(folder.path), f"{folder.path}/"):
        assert RunFolder.find(name).path == folder.path
    assert RunFolder.find("my_run", root=root).path == folder.path
    monkeypatch.chdir(root)
    assert RunFolder.find("my_run").path == Path("my_run"), "a folder goes before a name under saved_models"
    monkeypatch.chdir(root.parent)
    root.rename("saved_models")
    assert RunFolder.find("my_run").path == Path("saved_models/my_run")


def test_an_unknown_run_is_told_with_those_there_are(folder: RunFolder) -> None:
    root = folder.path.parent
    (root / "no_run").mkdir()
    RunFolder(root / "another").write_json("recipe.json", {})
    with pytest.raises(InputError, match=r"no run of this name\. Received: x\. Runs in .*: another, my_run\.$"):
        RunFolder.find("x", root=root)
    with pytest.raises(InputError, match=r"Received: no_run\."):
        RunFolder.find("no_run", root=root)
    with pytest.raises(InputError, match=r"none; train one with train\.py\."):
        RunFolder.find("x", root=root / "absent")


# Reading


def test_what_was_written_is_read_again(folder: RunFolder) -> None:
    assert folder.recipe() == RECIPE
    assert folder.labels() == EMOTIONS
    assert folder.preprocessing()["height"] == 48
    recorded = folder.environment()
    assert recorded["data"] == FINGERPRINT
    assert recorded["seed"] == 3
    assert recorded["versions"]["keras"] == keras.__version__
    assert recorded["python"].count(".") == 2


READERS: dict[str, Callable[[RunFolder], Any]] = {
    "recipe.json": RunFolder.recipe,
    "labels.json": RunFolder.labels,
    "preprocessing.json": RunFolder.preprocessing,
    "env.json": RunFolder.environment,
    "history.csv": RunFolder.history,
}


@pytest.mark.parametrize(("name", "read"), READERS.items(), ids=READERS)
def test_an_absent_file_is_named(folder: RunFolder, name: str, read: Callable[[RunFolder], Any]) -> None:
    (folder.path / name).unlink(missing_ok=True)
    with pytest.raises(InputError, match=rf"lacks a file\. Received: .*{name}\."):
        read(folder)


@pytest.mark.parametrize("name", [name for name in READERS if name.endswith(".json")])
def test_a_broken_json_file_is_told(folder: RunFolder, name: str) -> None:
    (folder.path / name).write_text('{"emotion": [')
    with pytest.raises(InputError, match="is not JSON") as caught:
        READERS[name](folder)
    assert "\n" not in str(caught.value)


def test_history_round_trip(folder: RunFolder) -> None:
    rows = [{"epoch": 1, "loss": 1.5, "note": 'a, "b"\nc'}, {"epoch": 2, "loss": 0.1 + 0.2, "note": ""}]
    folder.write_history(rows[:1])
    folder.write_history(rows)
    read = folder.history()
    assert read == [{key: str(value) for key, value in row.items()} for row in rows]
    assert float(read[1]["loss"]) == 0.1 + 0.2, "no digit is lost"


# The model file


def test_a_model_is_loaded_as_it_was_saved(folder: RunFolder) -> None:
    keras.utils.set_random_seed(0)
    model = create_model("vgg11_lstm_attention", {"width": 0.0625}, input_shape=(32, 32, 1), classes=7)
    folder.save_model(model)
    loaded = folder.load_model()
    images = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 1)).astype("float32")
    np.testing.assert_array_equal(loaded(images)["emotion"], model(images)["emotion"])
    assert "model.keras" in names(folder.path)
    assert not [name for name in names(folder.path) if name.startswith(".")]


def test_an_absent_model_is_told(folder: RunFolder) -> None:
    with pytest.raises(InputError, match=r"no model file yet\. Received: .*model\.keras\. .*--resume"):
        folder.load_model()


def small_model(layer: keras.layers.Layer) -> keras.Model:
    image = keras.Input((4, 4, 1), name="image")
    return keras.Model(image, {"emotion": layer(keras.layers.Flatten(name="flat")(image))})


def test_python_code_in_a_model_file_is_not_run(folder: RunFolder, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    code = keras.layers.Lambda(lambda x, at=str(trace): (__import__("pathlib").Path(at).touch(), x)[1], name="emotion")
    folder.save_model(small_model(code))
    trace.unlink()  # building the model ran it
    with pytest.raises(InputError, match=r"cannot be read\. Received: .*model\.keras\. .*arbitrary code") as caught:
        folder.load_model()
    assert "\n" not in str(caught.value)
    assert not trace.exists()


def repacked(data: bytes, name: str, content: bytes | None) -> bytes:
    """The zip archive `data` with the member `name` replaced, or left out."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(packed, "w") as new:
        for member in old.namelist():
            replacement = content if member == name else old.read(member)
            if replacement is not None:
                new.writestr(member, replacement)
    return packed.getvalue()


def flipped(data: bytes) -> bytes:
    """`data` with every 97th byte of its inside inverted."""
    inside = np.frombuffer(data, np.uint8).copy()
    inside[400:-600:97] ^= 255
    return inside.tobytes()


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "text": lambda data: b"not a model",
    "cut off": lambda data: data[: len(data) // 2],
    "bytes flipped": flipped,
    "no configuration": lambda data: repacked(data, "config.json", None),
    "configuration not JSON": lambda data: repacked(data, "config.json", b"{"),
    "configuration empty": lambda data: repacked(data, "config.json", b"{}"),
    "no weights": lambda data: repacked(data, "model.weights.h5", None),
    "weights of something else": lambda data: repacked(data, "model.weights.h5", b"zzz"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_broken_model_file_is_told_in_one_line(folder: RunFolder, damage: Callable[[bytes], bytes]) -> None:
    folder.save_model(small_model(keras.layers.Dense(3, name="emotion")))
    path = folder.path / "model.keras"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"^The model file cannot be read\. Received: .*model\.keras\. .+") as caught:
        folder.load_model()
    assert "\n" not in str(caught.value)


def test_a_layer_of_another_package_is_named(folder: RunFolder) -> None:
    class Unregistered(keras.layers.ReLU):
        pass

    folder.save_model(small_model(Unregistered(name="emotion")))
    with pytest.raises(InputError, match="Unregistered"):
        folder.load_model()


# Whole or absent


class CrashError(Exception):
    pass


def write_file(path: Path, text: str) -> None:
    path.write_text(text)


def write_folder(path: Path, text: str) -> None:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").write_text(text)


def read(path: Path) -> str:
    return (path / "inner" / "file" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_staged_writes_and_replaces(write: Callable[[Path, str], None], tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target.txt"
    for text in ("first", "second"):
        with staged(target) as unfinished:
            assert unfinished.name == target.name
            write(unfinished, text)
            assert not target.exists() if text == "first" else read(target) == "first"
        assert read(target) == text
        assert names(target.parent) == ["target.txt"]


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("write", [write_file, write_folder])
@pytest.mark.parametrize("error", [CrashError, KeyboardInterrupt])
def test_a_crash_leaves_the_old_and_no_litter(
    write: Callable[[Path, str], None], old: bool, error: type[BaseException], tmp_path: Path
) -> None:
    target = tmp_path / "target"
    if old:
        write(target, "old")
    with pytest.raises(error), staged(target) as unfinished:  # noqa: PT012
        write(unfinished, "half")
        raise error
    assert names(tmp_path) == (["target"] if old else [])
    if old:
        assert read(target) == "old"


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_a_block_that_writes_nothing_leaves_the_old(write: Callable[[Path, str], None], tmp_path: Path) -> None:
    write(tmp_path / "target", "old")
    with pytest.raises(FileNotFoundError), staged(tmp_path / "target"):
        pass
    assert names(tmp_path) == ["target"]
    assert read(tmp_path / "target") == "old"


def test_write_atomically_in_utf_8(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "text.json", "ärger 😠\n")
    assert (tmp_path / "a" / "text.json").read_bytes() == "ärger 😠\n".encode()


def test_write_json_is_for_people_too(folder: RunFolder) -> None:
    folder.write_json("x.json", {"name": "ärger", "values": [1, 2]})
    text = (folder.path / "x.json").read_text(encoding="utf-8")
    assert "ärger" in text
    assert text.endswith("}\n")
    assert text.count("\n") > 3


# The model card


def report(labels: list[int], predictions: list[int]) -> dict[str, Any]:
    probabilities = np.full((len(labels), 7), 0.05)
    probabilities[np.arange(len(labels)), predictions] = 0.7
    result = classification_report(labels, probabilities, EMOTIONS)
    return {"dataset": "fer2013/default", "split": "test", "tta": "flip", **result}


def card(folder: RunFolder, labels: list[int], predictions: list[int]) -> str:
    write_model_card(folder, report(labels, predictions))
    return (folder.path / "README.md").read_text(encoding="utf-8")


def test_model_card(folder: RunFolder) -> None:
    text = card(folder, [0, 1, 2, 3, 4, 5, 6, 6], [0, 1, 2, 3, 4, 5, 6, 0])
    assert text.startswith("# my_run\n")
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## Intended use", "## Data", "## Results", "## Limits"]
    for expected in (
        "`vgg11_lstm_attention` trained on `fer2013`",
        "seed 3",
        "48x48 pixels",
        "grey",
        ", ".join(EMOTIONS),
        "no explicit licence",
        "| train | 28709 | `7025702570257025` |",
        "fer2013/default, split `test`, 8 images, test-time augmentation flip",
        "accuracy 0.8750, 95 % interval ",
        "| angry | 0.5000 | 1.0000 | 0.6667 | 1 |",
        "| neutral | 1.0000 | 0.5000 | 0.6667 | 2 |",
        "The epoch was chosen on `validation`",
        "plots/confusion_matrix.png",
        "Regulation (EU) 2024/1689",
    ):
        assert expected in text
    assert all(label in text for label in EMOTIONS)


def test_model_card_shows_an_undefined_score_as_an_empty_cell(folder: RunFolder) -> None:
    text = card(folder, [0, 0, 1], [0, 0, 0])
    assert "| angry | 0.6667 | 1.0000 | 0.8000 | 2 |" in text
    assert "| disgust |  | 0.0000 | 0.0000 | 1 |" in text
    assert "| neutral |  |  |  | 0 |" in text
    assert "None" not in text
    assert "nan" not in text


def test_model_card_of_a_colour_model_and_other_data(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Data("some_set/config", channels=3)
    folder.write_json("recipe.json", json.loads(dataclasses.replace(RECIPE, data=data).to_json()))
    folder.write_json("preprocessing.json", {**folder.preprocessing(), "channels": 3})
    monkeypatch.chdir(folder.path)
    text = card(RunFolder(Path(".")), [0, 1], [0, 1])
    assert text.startswith("# my_run\n"), "named also where the run is the working directory"
    assert "RGB, values" in text
    assert "README of the data set's builder" in text


def test_model_card_names_the_teachers(folder: RunFolder) -> None:
    distilled = dataclasses.replace(RECIPE, distill=Distill(("runs/big", "other")))
    folder.write_json("recipe.json", json.loads(distilled.to_json()))
    assert "trained on `fer2013`, distilled from `big`, `other`, by ferkeras" in card(folder, [0, 1], [0, 1])


@pytest.mark.parametrize(("dataset", "drawn"), [("synthetic_faces/still", True), ("fer2013", False)])
def test_model_card_of_drawings_says_that_it_is_a_demonstration(folder: RunFolder, dataset: str, drawn: bool) -> None:
    recipe = dataclasses.replace(RECIPE, data=Data(dataset))
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    assert ("**A demonstration**" in card(folder, [0, 1], [0, 1]).partition("## Intended use")[0]) == drawn
