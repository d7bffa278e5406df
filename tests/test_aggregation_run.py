"""From a run on the frames of clips to a run folder of an aggregation that `evaluate` measures like any other."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.aggregation.aggregator import Settings
from ferkeras.aggregation.encoding import encode_split, frame_network
from ferkeras.aggregation.run import aggregate, predict_variants
from ferkeras.artifacts import open_artifact
from ferkeras.data.columns import read_column
from ferkeras.data.frame_pipeline import FramePipeline
from ferkeras.data.opening import open_clips, open_data
from ferkeras.errors import InputError
from ferkeras.evaluation import measure
from ferkeras.inference import keras_runner, softmax
from ferkeras.models import create_model
from ferkeras.recipe import Model, Recipe, resolve
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.finish import finish
from tests.commands import assert_one_line, call
from tests.tiny_clips import CLASSES, SIDE, SPLITS, clip, clips_recipe, moving_clips


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from moving_clips(tmp_path_factory.mktemp("data"))


def frame_recipe(stride: int = 1, **changes: Any) -> Recipe:
    """A still network on the frames of the clips."""
    clips = clips_recipe("label")
    data = dataclasses.replace(clips.data, clips=None, frame_stride=stride)
    model = Model("xception_dense", {"backbone": "small_cnn", "width": 0.125})
    return dataclasses.replace(clips, name="frames", model=model, data=data, duration="1ep", batch_size=32, **changes)


@pytest.fixture(scope="module")
def still_run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = loop.run(resolve(frame_recipe()), tmp_path_factory.mktemp("runs") / "frames", data_dir=data_dir)
    finish(folder, data_dir=data_dir)
    return folder


@pytest.mark.parametrize("stride", [1, 3])
def test_the_frames_are_the_examples(stride: int, data_dir: Path) -> None:
    """Those that show a face, in order, each with the label and the subject of its clip."""
    data = open_data(resolve(frame_recipe(stride)), data_dir=data_dir)
    images, labels, subjects = [], [], []
    for name in read_column(data.builders[0], "validation", "clip_id"):
        example = clip("validation", int(name.decode().partition("_")[2]))
        shown = np.arange(0, len(example["frames"]), stride)
        shown = shown[example["face_found"][shown]]
        images.append(example["frames"][shown])
        labels += [example["label"]] * len(shown)
        subjects += [example["subject"].encode()] * len(shown)
    batches = list(data.evaluation("validation").as_numpy_iterator())
    np.testing.assert_array_equal(np.concatenate([batch for batch, _ in batches]), np.concatenate(images))
    assert np.concatenate([batch for _, batch in batches]).tolist() == labels
    found = data.subjects("validation")
    assert found is not None
    assert found.tolist() == subjects
    assert data.size("validation") == len(labels)
    assert data.class_counts("validation") == np.bincount(labels).tolist()
    assert isinstance(data, FramePipeline)


def test_a_run_on_frames_is_one_on_stills(still_run: RunFolder) -> None:
    report = json.loads((still_run.path / "metrics.json").read_text())
    frames = sum(int(clip("validation", index)["face_found"].sum()) for index in range(SPLITS["validation"]))
    assert report["n"] == frames
    assert "frames" not in report
    assert still_run.labels() == CLASSES
    assert still_run.load_model().input_shape == (None, SIDE, SIDE, 1)


def test_frames_are_encoded_one_by_one(still_run: RunFolder, data_dir: Path) -> None:
    model = still_run.load_model()
    data = open_clips(resolve(clips_recipe("label")), data_dir=data_dir)
    found = encode_split(frame_network(model), data, "test")
    inputs = [batch for batch, _ in data.evaluation("test").as_numpy_iterator()]
    frames, mask = (np.concatenate([batch[name] for batch in inputs]) for name in ("frames", "frame_mask"))
    np.testing.assert_array_equal(found.clips.mask, mask)
    logits = keras_runner(model)(frames[:, 2])["emotion"]
    assert found.clips.probabilities is not None
    np.testing.assert_allclose(found.clips.probabilities[:, 2], softmax(logits), atol=1e-5)
    assert found.clips.vectors.shape == (*mask.shape, model.get_layer("features").units)
    assert found.labels.tolist() == data._labels("test").tolist()


@pytest.mark.parametrize("words", [["--method", "weighted"], ["--method", "gaussian", "--classifier", "svm"]])
def test_the_command_and_its_run(
    words: list[str],
    still_run: RunFolder,
    data_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "--classifier" in words:
        pytest.importorskip("skops")
    monkeypatch.setattr("ferkeras.cli.aggregate.load_recipe", lambda name: (clips_recipe("label"), ""))
    output = tmp_path / "together"
    words = [*words, "--components", "4", "--data", "tiny", "--output", str(output), "--data-dir", str(data_dir)]
    code, out, err = call(capsys, "aggregate", still_run.path, *words)
    assert code == 0, err
    assert "clips of 6 frames" in out
    folder = RunFolder(output)
    written = {path.name for path in output.iterdir()}
    assert {"recipe.json", "labels.json", "env.json", "metrics.json", "aggregation.json", "README.md"} <= written
    assert ("classifier.skops" in written) == ("--classifier" in words)
    assert folder.is_finished()
    assert folder.recipe() == resolve(folder.recipe())
    before = json.loads((output / "metrics.json").read_text())
    assert before["split"] == "validation"
    code, again, err = call(capsys, "evaluate", output, "--split", "validation", "--data-dir", data_dir)
    assert code == 0, err
    assert again == out
    after = json.loads((output / "metrics.json").read_text())
    assert after["nll"] == pytest.approx(before["nll"], rel=1e-5)
    assert after["confusion_matrix"] == before["confusion_matrix"]
    assert_one_line(call(capsys, "aggregate", still_run.path, *words), "a run of this name already")


def test_a_dry_run_and_mistakes(
    still_run: RunFolder, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data", "xception_lstm_clips", "--output", str(tmp_path / "out"), "--data-dir", str(data_dir)]
    code, out, _ = call(capsys, "aggregate", still_run.path, *words, "--set", "data.clips.stride=2", "--dry-run")
    assert code == 0
    shown = Recipe.from_json(out)
    assert (shown.data.dataset, shown.data.clips and shown.data.clips.stride) == ("synthetic_faces/clips", 2)
    assert shown.data.image_size == (SIDE, SIDE), "that of the network"
    told = call(capsys, "aggregate", still_run.path, "--output", str(tmp_path / "out"))
    assert_one_line(told, "windows of clips with classes", "data.clips=None", "--data")
    told = call(capsys, "aggregate", still_run.path, *words, "--method", "gaussian")
    assert_one_line(told, "Unknown way to aggregate probabilities", "--classifier")
    told = call(capsys, "aggregate", still_run.path, *words, "--classifier", "svm", "--method", "majority")
    assert_one_line(told, "Unknown way to aggregate vectors", "majority")
    assert not list(tmp_path.iterdir())


def test_a_damaged_folder_is_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_json("labels.json", {"emotion": list(CLASSES)})
    for text in ("{", "{}", '{"settings": {"method": "max", "odd": 1}}', '{"settings": 3}'):
        (tmp_path / "aggregation.json").write_text(text)
        with pytest.raises(InputError, match="The aggregation cannot be read"):
            open_artifact(folder, "keras")
    folder.write_json("aggregation.json", {"settings": {"method": "max"}})
    with pytest.raises(InputError, match=r"Received: .*encoder\.keras"):
        open_artifact(folder, "keras")


SOME = (Settings("mean"), Settings("majority"), Settings("eigenvector", "svm"), Settings("covariance", "svm", 3))


def test_variants_are_what_the_single_runs_are(still_run: RunFolder, data_dir: Path, tmp_path: Path) -> None:
    found = predict_variants(
        still_run, split="validation", variants=SOME, clips=clips_recipe("label"), data_dir=data_dir
    )
    assert list(found) == ["decision mean", "decision majority", "feature eigenvector svm", "feature covariance svm"]
    aggregate(still_run, tmp_path / "run", settings=Settings("mean"), clips=clips_recipe("label"), data_dir=data_dir)
    single = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert json.loads(json.dumps(measure(found["decision mean"]))) == single
    for predictions in found.values():
        assert predictions.logits["emotion"].shape == (single["n"], 2)
        assert predictions.subjects is not None


def test_the_encoder_of_a_sequence_run(data_dir: Path, tmp_path: Path) -> None:
    """Its vectors, for windows of its own recipe; it has no probabilities of frames."""
    recipe = resolve(clips_recipe("label"))
    folder = RunFolder(tmp_path / "sequence")
    model = create_model(recipe.model.name, recipe.model.options, input_shape=(6, SIDE, SIDE, 1), classes=2)
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    folder.write_json("labels.json", {"emotion": list(CLASSES)})
    folder.save_model(model)
    found = predict_variants(folder, variants=SOME, data_dir=data_dir)
    assert list(found) == ["feature eigenvector svm", "feature covariance svm"]
    with pytest.raises(InputError, match="network of stills alone"):
        aggregate(folder, tmp_path / "run", settings=Settings("mean"), data_dir=data_dir)
    assert not (tmp_path / "run").exists()


def test_other_classes_and_other_targets(still_run: RunFolder, data_dir: Path, tmp_path: Path) -> None:
    one = clips_recipe("label")
    turned = dataclasses.replace(one, data=dataclasses.replace(one.data, classes=("up", "down")))
    with pytest.raises(InputError, match=r"other classes than the run\. Received: up, down\. The run knows down, up"):
        aggregate(still_run, tmp_path / "run", settings=Settings("mean"), clips=turned, data_dir=data_dir)
    with pytest.raises(InputError, match=r"data\.target=valence_arousal\. Name another recipe"):
        aggregate(still_run, tmp_path / "run", settings=Settings("mean"), clips=clips_recipe(), data_dir=data_dir)
    assert not list(tmp_path.iterdir())


def test_frames_apart_or_together(data_dir: Path) -> None:
    both = clips_recipe("label")
    both = dataclasses.replace(both, data=dataclasses.replace(both.data, frame_stride=1))
    with pytest.raises(InputError, match=r"data\.frame_stride must be none with data\.clips"):
        open_clips(both, data_dir=data_dir)
    with pytest.raises(InputError, match=r"data\.frame_stride must be at least 1\. Received: 0"):
        open_data(frame_recipe(0), data_dir=data_dir)
    soft = frame_recipe()
    soft = dataclasses.replace(soft, data=dataclasses.replace(soft.data, target="distribution"))
    with pytest.raises(InputError, match=r"data\.target must be label with data\.frame_stride"):
        open_data(soft, data_dir=data_dir)
