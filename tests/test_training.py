"""Training: what a run leaves behind, that it repeats itself, and that an interruption does not change it."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import keras
import numpy as np
import pytest
import tensorflow as tf

from ferkeras.errors import InputError
from ferkeras.models import create_model
from ferkeras.recipe import Augment, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.finish import finish
from ferkeras.training.progress import Progress
from ferkeras.training.trainee import Trainee

EVERY_DRAW = Augment(
    rotation=20.0, contrast=0.1, crop=0.9, randaugment=1, erasing=0.5, noise=0.1, mixup=0.4, cutmix=1.0
)


def weights(folder: Path) -> list[np.ndarray]:
    return RunFolder(folder).load_model().get_weights()


def assert_same(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for a, b in zip(left, right, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture
def eventful(tiny_recipe: Recipe) -> Recipe:
    """Everything with a state or a draw at once: dropout, weight average, plateau, alpha by recall, early stopping,
    bfloat16, every augmentation but the ten crops, which are no draw, and drawn examples."""
    return dataclasses.replace(
        tiny_recipe,
        model=Model("vgg11_lstm_dropout", {"width": 0.0625, "lstm_units": 8}),
        data=dataclasses.replace(tiny_recipe.data, sampling="balanced"),
        augment=EVERY_DRAW,
        loss=Loss("focal", alpha="recall"),
        optimizer=Optimizer("adamw", 1e-2, weight_decay=1e-2, ema=0.8, clip_norm=1.0),
        schedule=Schedule("plateau", factor=0.5, patience=1),
        patience=10,
        dtype="mixed_bfloat16",
        duration="6ep",
    )


def test_a_run_leaves_its_folder(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    folder = loop.run(tiny_recipe, tmp_path / "run", data_dir=tiny_data_dir, tensorboard=True)
    text = finish(folder, data_dir=tiny_data_dir)
    names = {p.relative_to(folder.path).as_posix() for p in folder.path.rglob("*") if p.is_file()}
    assert {
        *("model.keras", "recipe.json", "labels.json", "preprocessing.json", "metrics.json", "history.csv", "env.json"),
        *("plots/curves.png", "plots/confusion_matrix.png", "plots/reliability.png", "README.md"),
    } <= names
    assert not (folder.path / "checkpoints").exists()
    assert any("tfevents" in name for name in names)
    assert folder.is_finished()
    assert folder.recipe() == tiny_recipe
    report = json.loads((folder.path / "metrics.json").read_text())
    assert report["split"] == "validation"
    assert report["n"] == sum(map(sum, report["confusion_matrix"]))
    assert "accuracy" in text
    assert set(folder.environment()["data"]) == {"train", "validation", "test"}
    rows = folder.history()
    assert [row["epoch"] for row in rows] == ["1", "2"]


def test_validation_is_of_the_saved_model(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_recipe, duration="1ep", optimizer=Optimizer("adamw", 1e-2, ema=0.9))
    folder = loop.run(recipe, tmp_path / "run", data_dir=tiny_data_dir)
    finish(folder, data_dir=tiny_data_dir)
    report = json.loads((folder.path / "metrics.json").read_text())
    row = folder.history()[0]
    assert report["accuracy"] == pytest.approx(float(row["val_accuracy"]))
    assert report["nll"] == pytest.approx(float(row["val_loss"]), rel=1e-5)


def test_same_seed_same_run(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        loop.run(dataclasses.replace(tiny_recipe, seed=seed), tmp_path / name, data_dir=tiny_data_dir)
    assert_same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert any((a != c).any() for a, c in zip(weights(tmp_path / "a"), weights(tmp_path / "c"), strict=True))


def test_a_killed_run_ends_like_an_uninterrupted_one(eventful: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    """SIGKILL at some moment after the second epoch, in another process; resumed in this one."""
    eventful = dataclasses.replace(eventful, duration="12ep", patience=None)
    killed = tmp_path / "killed"
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).resolve().parents[1])!r})
from pathlib import Path
from ferkeras.data import sources
from ferkeras.recipe import Recipe
from ferkeras.training.loop import run
sources.DATASETS["tiny_faces"] = "tests.tiny_faces"
run(Recipe.from_json({eventful.to_json()!r}), Path({str(killed)!r}), data_dir=Path({str(tiny_data_dir)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and process.poll() is None and epochs_done(killed) < 2:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    done = epochs_done(killed)
    assert 2 <= done < 12, "the run was to be killed in the middle"
    assert (killed / loop.CHECKPOINT).exists()

    loop.run(eventful, killed, data_dir=tiny_data_dir, resume=True)
    loop.run(eventful, tmp_path / "whole", data_dir=tiny_data_dir)
    assert_same(weights(killed), weights(tmp_path / "whole"))
    timeless = [
        [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in RunFolder(p).history()]
        for p in (killed, tmp_path / "whole")
    ]
    assert timeless[0] == timeless[1]


def epochs_done(folder: Path) -> int:
    path = folder / "history.csv"
    return len(list(csv.DictReader(path.open()))) if path.exists() else 0


def test_the_best_epoch_is_kept_and_early_stopping_counts(
    tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 1.0, 2.0, 1.5, 1.2, 0.1])
    seen: list[list[np.ndarray]] = []

    def validate(model: keras.Model, *_: object, **__: object) -> tuple[dict[str, float], np.ndarray]:
        seen.append(model.get_weights())
        return {"val_loss": next(losses), "val_accuracy": 0.5}, np.ones(3)

    monkeypatch.setattr(loop, "validate", validate)
    recipe = dataclasses.replace(tiny_recipe, duration="6ep", patience=2)
    folder = loop.run(recipe, tmp_path / "run", data_dir=tiny_data_dir)
    # Worse at epochs 3, 4 and 5: the third one is more than the patience of two.
    assert len(folder.history()) == 5
    assert_same(folder.load_model().get_weights(), seen[1])


def test_monitor_accuracy(tiny_recipe: Recipe) -> None:
    progress = Progress.begin(dataclasses.replace(tiny_recipe, monitor="accuracy"))
    rows = [{"epoch": e + 1, "val_loss": loss, "val_accuracy": a} for e, (loss, a) in enumerate([(1, 0.2), (2, 0.4)])]
    assert [progress.take(row) for row in rows] == [True, True]
    assert progress.stopping.best_epoch == 2


def test_the_weight_average_does_not_touch_the_training(
    tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path
) -> None:
    """Training loss with the average equals training loss without it, epoch by epoch; the saved weights differ."""
    averaged = dataclasses.replace(tiny_recipe, optimizer=Optimizer("adamw", 1e-3, ema=0.95))
    plain = dataclasses.replace(tiny_recipe, optimizer=Optimizer("adamw", 1e-3))
    rows = []
    for name, recipe in (("averaged", averaged), ("plain", plain)):
        rows.append(loop.run(recipe, tmp_path / name, data_dir=tiny_data_dir).history())
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]
    left, right = weights(tmp_path / "averaged"), weights(tmp_path / "plain")
    assert any((a != b).any() for a, b in zip(left, right, strict=True))


def test_a_loss_that_is_not_finite_stops_and_names_the_step(
    tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(tiny_recipe, optimizer=Optimizer("sgd", 1e30))
    with pytest.raises(InputError, match=r"not finite at epoch 1, step \d+\. Received: loss="):
        loop.run(recipe, tmp_path / "run", data_dir=tiny_data_dir)


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": Loss("focal", gamma=1.0, alpha=(1.0, 2.0, 0.5))},
        {"loss": Loss("cross_entropy", label_smoothing=0.1, class_weights="balanced")},
        {"optimizer": Optimizer("nesterov", 1e-2, clip_norm=1.0), "schedule": Schedule("cosine", warmup="1ep")},
        {"optimizer": Optimizer("sgd", 1e-2), "schedule": Schedule("step", every="1ep", factor=0.5)},
        {"optimizer": Optimizer("adam", 1e-3), "schedule": Schedule("cosine_restarts", warmup="1st", every="2st")},
        {"optimizer": Optimizer("adam", 1e-3), "dtype": "mixed_bfloat16"},
    ],
)
def test_every_option_trains(settings: dict, tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_recipe, duration="1ep", **settings)
    row = loop.run(recipe, tmp_path / "run", data_dir=tiny_data_dir).history()[0]
    assert np.isfinite(float(row["loss"]))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_all_augmentations_train_together(
    dtype: Literal["float32", "mixed_bfloat16"], tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path
) -> None:
    recipe = dataclasses.replace(
        tiny_recipe,
        augment=dataclasses.replace(EVERY_DRAW, ten_crop=True),
        data=dataclasses.replace(tiny_recipe.data, sampling="sqrt"),
        loss=Loss("cross_entropy", label_smoothing=0.1),
        dtype=dtype,
        duration="1ep",
    )
    row = loop.run(recipe, tmp_path / "run", data_dir=tiny_data_dir).history()[0]
    assert np.isfinite(float(row["loss"]))
    assert 0 < float(row["accuracy"]) < 1


@pytest.mark.parametrize("targets", ["labels", "soft targets"])
def test_training_accuracy_counts_the_largest_target(targets: str, tiny_recipe: Recipe) -> None:
    """A network that always says class 2, on examples of which two have most of their mass there."""
    model = create_model(tiny_recipe.model.name, tiny_recipe.model.options, input_shape=(32, 32, 1), classes=3)
    kernel, bias = model.get_layer("emotion").get_weights()
    model.get_layer("emotion").set_weights([kernel * 0, bias * 0 + [0, 0, 9]])
    soft = np.array([[0.3, 0.3, 0.4], [0.0, 0.1, 0.9], [0.6, 0.0, 0.4], [0.0, 0.51, 0.49]], np.float32)
    recipe = dataclasses.replace(tiny_recipe, optimizer=Optimizer("sgd", 1e-12))
    if targets == "soft targets":
        recipe = dataclasses.replace(recipe, augment=Augment(mixup=0.2))
    trainee = Trainee(model, recipe, steps_per_epoch=2, class_counts=[1, 1, 1])
    values = soft if targets == "soft targets" else soft.argmax(axis=1)
    images = np.zeros((4, 32, 32, 1), np.uint8)
    # The last batch has one example, which is wrong: 2 of 4, and not the mean of 2/3 and 0.
    batches = tf.data.Dataset.from_tensor_slices((images, values)).batch(3)
    assert trainee.train(batches, callbacks=[])["accuracy"] == 0.5


def test_alpha_needs_one_value_per_class(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(tiny_recipe, loss=Loss("focal", alpha=(1.0, 2.0)))
    with pytest.raises(InputError, match=r"loss\.alpha must have 3 values"):
        loop.run(recipe, tmp_path / "run", data_dir=tiny_data_dir)
    assert not (tmp_path / "run").exists()


def test_first_weights_from_another_run(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    first = loop.run(dataclasses.replace(tiny_recipe, duration="1ep"), tmp_path / "first", data_dir=tiny_data_dir)
    frozen = dataclasses.replace(tiny_recipe, duration="1ep", optimizer=Optimizer("sgd", 1e-12))
    second = loop.run(frozen, tmp_path / "second", data_dir=tiny_data_dir, init_from=first.path)
    for variable, other in zip(first.load_model().variables, second.load_model().variables, strict=True):
        if variable.trainable:
            np.testing.assert_allclose(variable.numpy(), other.numpy(), atol=1e-6)
    wider = dataclasses.replace(tiny_recipe, model=Model("vgg11", {"width": 0.125}))
    with pytest.raises(InputError, match="do not fit"):
        loop.run(wider, tmp_path / "third", data_dir=tiny_data_dir, init_from=first.path)
    assert not (tmp_path / "third").exists()


def test_a_broken_checkpoint_is_told(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "run" / loop.CHECKPOINT
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match="checkpoint cannot be read"):
        loop.run(tiny_recipe, tmp_path / "run", data_dir=tiny_data_dir, resume=True)
