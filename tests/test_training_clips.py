"""Training on clips: emotion, valence and arousal of a window, and of each frame, by the one loop."""

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from ferkeras.models import create_model
from ferkeras.recipe import AffectTerms, Augment, Loss, Model, Optimizer, Recipe, resolve
from ferkeras.recipe_data import Target
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.finish import finish
from ferkeras.training.task import AffectTask
from ferkeras.training.trainee import Trainee
from ferkeras.tuning import parse_grid, run_grid
from tests.tiny_clips import CLASSES, SIDE, clips_recipe, moving_clips

BINS = list(range(-10, 11))
AFFECT = ("val_ccc_valence", "val_ccc_arousal", "val_ccc")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield from moving_clips(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    ("target", "columns", "labels", "score"),
    [
        ("label", ("accuracy", "val_accuracy"), {"emotion": list(CLASSES)}, "accuracy"),
        ("valence_arousal", AFFECT, {"valence": BINS, "arousal": BINS}, "mean_ccc"),
        ("valence_arousal_frames", AFFECT, {"valence": BINS, "arousal": BINS}, "mean_ccc"),
    ],
)
def test_a_run_leaves_its_folder(
    target: Target, columns: tuple[str, ...], labels: dict[str, Any], score: str, data_dir: Path, tmp_path: Path
) -> None:
    recipe = clips_recipe(target, monitor="accuracy" if target == "label" else "ccc")
    folder = loop.run(recipe, tmp_path / "run", data_dir=data_dir)
    text = finish(folder, data_dir=data_dir)
    rows = folder.history()
    assert len(rows) == 2
    assert {"loss", "val_loss", *columns} <= set(rows[0])
    assert folder.heads() == labels
    assert {key: folder.preprocessing()[key] for key in ("frames", "stride", "height")} == {
        "frames": 6,
        "stride": 1,
        "height": SIDE,
    }
    report = json.loads((folder.path / "metrics.json").read_text())
    assert report["frames"] == 6
    watched = [float(row[f"val_{recipe.monitor}"]) for row in rows]
    assert report[score] == pytest.approx(max(watched), abs=1e-5), "the best epoch is what was saved"
    card = (folder.path / "README.md").read_text()
    assert "6 successive frames of one upright" in card
    assert folder.is_finished()
    plots = {path.name for path in (folder.path / "plots").iterdir()}
    if target == "label":
        assert {"curves.png", "confusion_matrix.png"} <= plots
        assert "accuracy" in text
        return
    assert {"curves.png", "bins_valence.png", "bins_arousal.png", "valence_arousal.png"} <= plots
    assert ("over_time_1.png" in plots) == (target == "valence_arousal_frames")
    assert "mean CCC" in text
    assert "| valence, constant |" in card
    assert report["valence"]["baseline"]["ccc"] == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(InputError, match="no emotion head"):
        folder.labels()


class InterruptedRunError(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("target", ["label", "valence_arousal_frames"])
def test_a_resumed_run_has_the_same_bits(
    target: Target, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout, weight average, augmentation and every term of the loss, killed after the second of four epochs."""
    recipe = clips_recipe(
        target,
        augment=Augment(rotation=10.0, brightness=0.2),
        optimizer=Optimizer("adamw", 1e-2, weight_decay=1e-2, ema=0.8, clip_norm=1.0),
        duration="4ep",
    )
    recipe = dataclasses.replace(recipe, model=Model(recipe.model.name, {**recipe.model.options, "dropout": 0.3}))
    if target != "label":
        recipe = dataclasses.replace(recipe, loss=Loss(affect=AffectTerms(1.0, soft_sigma=1.0, ccc=1.0, mse=0.5)))
    validate, epochs = loop.validate, []

    def dies(*args: Any, **options: Any) -> Any:
        epochs.append(1)
        if len(epochs) == 3:
            raise InterruptedRunError
        return validate(*args, **options)

    monkeypatch.setattr(loop, "validate", dies)
    with pytest.raises(InterruptedRunError):
        loop.run(recipe, tmp_path / "killed", data_dir=data_dir)
    monkeypatch.setattr(loop, "validate", validate)
    assert len(RunFolder(tmp_path / "killed").history()) == 2
    runs = [
        loop.run(recipe, tmp_path / "killed", data_dir=data_dir, resume=True),
        loop.run(recipe, tmp_path / "whole", data_dir=data_dir),
    ]
    for left, right in zip(*(run.load_model().get_weights() for run in runs), strict=True):
        np.testing.assert_array_equal(left, right)
    rows = [[{k: v for k, v in row.items() if "second" not in k} for row in run.history()] for run in runs]
    assert len(rows[0]) == 4
    assert rows[0] == rows[1]


def test_a_grid_is_ranked_by_concordance(data_dir: Path, tmp_path: Path) -> None:
    recipe = clips_recipe(monitor="ccc", duration="1ep")
    results = run_grid(recipe, parse_grid(["model.options.hidden=4,8"]), tmp_path / "grid", data_dir=data_dir)
    with (tmp_path / "grid" / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [result.status for result in results] == ["finished", "finished"]
    assert results[0].val_score == max(float(row["val_ccc"]) for row in rows)


def test_labels_of_frames_that_are_not_seen_change_nothing() -> None:
    recipe = clips_recipe("valence_arousal_frames", loss=Loss(affect=AffectTerms(1.0, ccc=1.0, mse=1.0)))
    mask = np.array([[True, False, True, True, True, False]] * 4)
    rng = np.random.default_rng(0)
    frames, labels = rng.integers(0, 256, (4, 6, SIDE, SIDE, 1), np.uint8), rng.integers(-10, 11, (4, 6), np.int32)
    weights = []
    for other in (labels, np.where(mask, labels, -labels), np.where(mask, -labels, labels)):
        model = create_model(recipe.model.name, recipe.model.options, input_shape=(6, SIDE, SIDE, 1), classes=21)
        model.set_weights([np.random.default_rng(1).normal(0, 0.1, w.shape) ** 2 for w in model.get_weights()])
        batch = {"frames": frames, "frame_mask": mask}, {"valence": other, "arousal": other}
        Trainee(model, recipe, steps_per_epoch=1, class_counts=[]).train(
            tf.data.Dataset.from_tensors(batch), callbacks=[]
        )
        weights.append(model.get_weights())
    same = [all(np.array_equal(a, b) for a, b in zip(weights[0], w, strict=True)) for w in weights[1:]]
    assert same == [True, False]


def test_validation_by_hand() -> None:
    """Valence is right and arousal always zero, of two examples; one label is missing."""
    terms = AffectTerms(cross_entropy=0.0, ccc=1.0, valence=0.5, arousal=2.0)
    task = AffectTask(clips_recipe(loss=Loss(affect=terms)), class_counts=[])
    labels = {"valence": np.array([-4, 8, UNLABELLED]), "arousal": np.array([3, 5, 7])}
    said = {"valence": np.array([6, 18, 0]), "arousal": np.array([10, 10, 10])}
    logits = {head: 50 * np.eye(21, dtype=np.float32)[classes] for head, classes in said.items()}
    columns, recall = task.validate(logits, labels)
    assert columns == pytest.approx(
        {"val_ccc_valence": 1.0, "val_ccc_arousal": 0.0, "val_ccc": 0.5, "val_loss": 0.5 * 0 + 2.0 * 1}, abs=1e-4
    )
    assert recall.size == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"monitor": "accuracy"}, r"monitor must be loss or ccc with valence and arousal"),
        ({"loss": Loss("focal")}, r"loss\.name must be cross_entropy with valence and arousal"),
        ({"loss": Loss(class_weights="balanced")}, r"loss\.class_weights must be none"),
        ({"loss": Loss(affect=AffectTerms(0.0))}, r"one of loss\.affect\.cross_entropy, ccc, mse must be above 0"),
        ({"loss": Loss(affect=AffectTerms(ccc=-1.0))}, r"loss\.affect\.ccc must be at least 0"),
        ({"model": Model("xception_lstm", {"backbone": "small_cnn"})}, r"gives emotion\. Received: data\.target="),
        (
            {"model": Model("efficientnet_lstm_frames", {"backbone": "small_cnn"})},
            r"gives logits for each frame\. Received: data\.target=valence_arousal\. Use model\.options\.per_frame",
        ),
        ({"model": Model("vgg11")}, r"vgg11 is a model of still images"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(
    changes: dict[str, Any], told: str, data_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        loop.run(clips_recipe(**changes), tmp_path / "run", data_dir=data_dir)
    assert not (tmp_path / "run").exists()


def test_ccc_is_no_monitor_of_emotion(tiny_recipe: Recipe) -> None:
    with pytest.raises(InputError, match="monitor must be loss or accuracy where classes are trained on"):
        resolve(dataclasses.replace(tiny_recipe, monitor="ccc"))
