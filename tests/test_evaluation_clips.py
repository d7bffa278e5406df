"""Evaluation of clips: counts by hand, mirrored clips, the constant beside the network, and the command."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.clips import windows
from ferkeras.data.opening import open_clips
from ferkeras.errors import InputError
from ferkeras.evaluation import collect, evaluate, table
from ferkeras.inference import Runner, evaluation_batch
from ferkeras.labels import UNLABELLED
from ferkeras.recipe import resolve
from ferkeras.recipe_data import Target
from ferkeras.training import loop
from ferkeras.training.finish import finish
from ferkeras.training.task import training_means
from ferkeras.views import with_views
from tests.commands import assert_one_line, call
from tests.tiny_clips import SPLITS, clip, clips_recipe, moving_clips


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from moving_clips(tmp_path_factory.mktemp("data"))


def opened(data_dir: Path, target: Target) -> ClipPipeline:
    return open_clips(resolve(clips_recipe(target)), data_dir=data_dir)


def uniform(shape: tuple[int, ...]) -> Runner:
    """Every class is equally likely, so that the expectation is 0; `shape` is that of one example."""
    return lambda inputs: {
        head: np.zeros((len(inputs["frames"]), *shape), np.float32) for head in ("valence", "arousal")
    }


def true_values(split: str) -> list[np.ndarray]:
    """Valence of the frames of each window, those that are seen and labelled."""
    found = []
    for index in range(SPLITS[split]):
        example = clip(split, index)
        valid = example["face_found"] & (example["valence"] != UNLABELLED)
        for window in windows(len(valid), frames=6, min_frames=3):
            found.append(example["valence"][window][valid[window]])
    return found


@pytest.mark.parametrize(("target", "shape"), [("valence_arousal", (21,)), ("valence_arousal_frames", (6, 21))])
def test_counts_and_constant_by_hand(target: Target, shape: tuple[int, ...], data_dir: Path) -> None:
    per_frame = target == "valence_arousal_frames"
    data = opened(data_dir, target)
    means = training_means(data, split="train")
    parts = [values if per_frame else values[-1:] for values in true_values("train")]
    assert means["valence"] == pytest.approx(np.concatenate(parts).mean() / 10)
    report = evaluate(uniform(shape), data, split="test", training_means=means)
    true = np.concatenate([values if per_frame else values[-1:] for values in true_values("test")]) / 10
    valence = report["valence"]
    assert valence["n"] == len(true)
    assert valence["rmse"] == pytest.approx(np.sqrt((true**2).mean()))
    assert valence["ccc"] == 0.0
    assert valence["baseline"]["rmse"] == pytest.approx(np.sqrt(((true - means["valence"]) ** 2).mean()))
    assert set(valence["sums"]) == {"test_0", "test_1", "test_2"}, "the bootstrap draws subjects"
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    text = table(report)
    assert "clips of 6 frames" in text
    assert f"valence, {len(true)} labels" in text
    assert "95 % interval" in text
    assert text.count("constant") == 2 * 7


def test_a_network_that_reads_the_clips(data_dir: Path) -> None:
    """The upper edge of the square in the last frame that is seen tells valence to one bin."""

    def reads(inputs: dict[str, Any]) -> dict[str, np.ndarray]:
        last = inputs["frame_mask"].shape[1] - 1 - inputs["frame_mask"][:, ::-1].argmax(axis=1)
        seen = inputs["frames"][np.arange(len(last)), last, :, 8, 0]
        classes = 2 * (seen != 30).argmax(axis=1)
        return dict.fromkeys(("valence", "arousal"), 50 * np.eye(21, dtype=np.float32)[classes])

    report = evaluate(reads, opened(data_dir, "valence_arousal"), split="test")
    assert report["valence"]["within_one"] == 1.0
    assert report["valence"]["ccc"] > 0.98
    assert report["arousal"]["ccc"] < 0.9
    assert report["valence"]["baseline"] is None


def test_emotion_of_clips(data_dir: Path) -> None:
    data = opened(data_dir, "label")
    found = collect(lambda inputs: {"emotion": np.tile([1.0, 0.0], (len(inputs["frames"]), 1))}, data, split="test")
    assert found.about == {"dataset": "tiny_moving_clips/default", "split": "test", "tta": "none", "frames": 6}
    assert found.labels["emotion"].shape == (len(true_values("test")),)
    assert evaluation_batch(data) == 256 // 6


def test_clips_are_mirrored_frame_by_frame() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5, 1), np.uint8)
    seen: list[dict[str, np.ndarray]] = []

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(inputs)
        return {"valence": np.zeros((2, 21))}

    inputs = {"frames": frames, "frame_mask": np.ones((2, 3), bool)}
    with_views(run, "flip")(inputs)
    np.testing.assert_array_equal(seen[1]["frames"], frames[:, :, :, ::-1])
    np.testing.assert_array_equal(seen[1]["frame_mask"], inputs["frame_mask"])
    with pytest.raises(InputError, match=r"Ten crops are for still images\. Received: clips"):
        with_views(run, "ten_crop")(inputs)


@pytest.mark.parametrize("target", ["label", "valence_arousal_frames"])
def test_the_command(target: Target, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = functools.partial(call, capsys, "evaluate")
    folder = loop.run(clips_recipe(target, duration="1ep"), tmp_path / "run", data_dir=data_dir)
    finish(folder, data_dir=data_dir)
    code, out, err = command(folder.path, "--split", "test", "--tta", "flip", "--data-dir", data_dir)
    assert (code, err) == (0, "")
    report = json.loads((folder.path / "metrics.json").read_text())
    assert (report["split"], report["tta"], report["artifact"]) == ("test", "flip", "keras")
    assert table(report) in out
    assert "split `test`" in (folder.path / "README.md").read_text()
    if target != "label":
        expected = folder.environment()["training_means"]["valence"]
        x = report["valence"]["baseline"]["sums"]
        assert x[7] / x[0] == pytest.approx(expected), "the constant is the mean of the training split"
    told = command(folder.path, "--artifact", "saved_model", "--data-dir", data_dir)
    assert_one_line(told, "saved_model.pb", "ferkeras export RUN --format saved_model")
