"""Gradient accumulation: the step of the large batch, whatever it is cut into."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from ferkeras.affect_losses import AffectLoss
from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from ferkeras.losses import CrossEntropy
from ferkeras.recipe import (
    AffectTerms,
    Data,
    Distribute,
    Loss,
    Model,
    Optimizer,
    Recipe,
    Schedule,
    override,
    resolve,
)
from ferkeras.recipe_data import ClipWindows, Distill
from ferkeras.training.accumulation import micro_batches
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint
from ferkeras.training.distillation import Teachers
from ferkeras.training.trainee import Trainee
from tests.preempted import assert_resume_is_exact
from tests.replica_losses import SIDE, network

ROWS, STEP = 34, 12
IMAGES = np.random.default_rng(0).integers(0, 256, (ROWS, SIDE, SIDE, 1), dtype=np.uint8)
CLASSES = np.arange(ROWS) % 3
SETTINGS = Optimizer("nesterov", 0.05, weight_decay=1e-2, clip_norm=0.5, ema=0.8)
BASE = Recipe(
    "accumulated",
    Model("none"),
    Data("none", image_size=(SIDE, SIDE)),
    loss=Loss(class_weights="balanced"),
    optimizer=SETTINGS,
    schedule=Schedule("cosine", warmup="2st"),
    duration="3ep",
)
AFFECT = dataclasses.replace(
    BASE,
    data=Data("none", target="valence_arousal", clips=ClipWindows(2, 1), image_size=(SIDE, SIDE)),
    loss=Loss(affect=AffectTerms(mse=0.5, soft_sigma=1.0)),
)
FRAMES = dataclasses.replace(AFFECT, data=dataclasses.replace(AFFECT.data, target="valence_arousal_frames"))


def affect_labels(*shape: int) -> dict[str, np.ndarray]:
    """Some are missing, and of one head all of the second micro-batch of four."""
    draw = np.random.default_rng(3)
    labels = {head: draw.integers(-10, 11, shape) for head in ("valence", "arousal")}
    labels["valence"][::3] = UNLABELLED
    labels["arousal"][4:8] = UNLABELLED
    return labels


def still_case() -> tuple[keras.Model, Any]:
    return network({"emotion": 3}, normalised=False), (IMAGES, CLASSES)


def affect_case() -> tuple[keras.Model, Any]:
    return network({"valence": 21, "arousal": 21}, normalised=False), (IMAGES, affect_labels(ROWS))


def frames_case() -> tuple[keras.Model, Any]:
    """A linear map of each frame; the mask leaves out some of them."""
    keras.utils.set_random_seed(1)
    frames, mask = keras.Input((4, 5), name="frames"), keras.Input((4,), name="frame_mask")
    outputs = {head: keras.layers.Dense(21, name=head)(frames) for head in ("valence", "arousal")}
    draw = np.random.default_rng(4)
    inputs = {
        "frames": draw.normal(size=(ROWS, 4, 5)).astype("float32"),
        "frame_mask": draw.integers(0, 2, (ROWS, 4)).astype("float32"),
    }
    return keras.Model({"frames": frames, "frame_mask": mask}, outputs), (inputs, affect_labels(ROWS, 4))


def trained(recipe: Recipe, case: Any, *, teachers: Teachers | None = None, fused: bool = False) -> Any:
    """Running means of two epochs and all variables, in steps of `STEP` examples; the last has 10."""
    model, examples = case()
    batches = tf.data.Dataset.from_tensor_slices(examples).batch(STEP)
    counts = [] if recipe.heads != ("emotion",) else [12, 11, 11]
    trainee = Trainee(model, recipe, steps_per_epoch=3, class_counts=counts, fused=fused, teachers=teachers)
    logs = [trainee.train(batches, callbacks=[]) for _ in range(2)]
    return logs, [v.numpy() for v in trainee.variables], int(trainee.optimizer.iterations.numpy())


@pytest.mark.parametrize(
    ("recipe", "case", "fused", "size"),
    [
        (BASE, still_case, False, 4),
        (dataclasses.replace(BASE, optimizer=dataclasses.replace(SETTINGS, name="adamw")), still_case, True, 4),
        pytest.param(dataclasses.replace(BASE, loss=Loss("focal")), still_case, False, 6, marks=pytest.mark.slow),
        pytest.param(AFFECT, affect_case, False, 4, marks=pytest.mark.slow),
        (FRAMES, frames_case, False, 4),
    ],
    ids=["cross-entropy", "fused adam", "focal", "affect", "frames"],
)
def test_accumulation_makes_the_step_of_the_large_batch(recipe: Recipe, case: Any, fused: bool, size: int) -> None:
    """With clipping, weight decay, average of the weights, warm-up and cosine; no micro-batch divides the last step."""
    whole = trained(dataclasses.replace(recipe, batch_size=STEP), case, fused=fused)
    parts = trained(dataclasses.replace(recipe, batch_size=size, accumulate=STEP // size), case, fused=fused)
    for ours, theirs in zip(parts[0], whole[0], strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    for mine, other in zip(parts[1], whole[1], strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-4 if fused else 1e-5)
    assert parts[2] == whole[2] == 6
    assert parts[0][0]["loss"] != parts[0][1]["loss"]


@pytest.mark.slow
def test_a_student_accumulates_what_its_teachers_say() -> None:
    distill = Distill(("a",), temperature=2.0, weight=0.7)
    teacher = network({"emotion": 3}, normalised=True)
    teacher.get_layer("emotion").set_weights([np.random.default_rng(2).normal(size=(64, 3)), np.zeros(3)])
    results = [
        trained(
            dataclasses.replace(BASE, distill=distill, batch_size=STEP // parts, accumulate=parts),
            still_case,
            teachers=Teachers([teacher], distill, dtype="float32", fused=False),
        )
        for parts in (1, 3)
    ]
    for ours, theirs in zip(*(logs for logs, *_ in results), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    for mine, other in zip(*(values for _, values, _ in results), strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-5)


def test_micro_batches_are_consecutive_and_count_what_they_are_of_the_mean() -> None:
    losses = {"emotion": CrossEntropy()}
    labels = {"emotion": tf.constant(CLASSES[:10])}
    parts = list(micro_batches({"image": tf.constant(IMAGES[:10])}, labels, {}, size=4, losses=losses))
    assert [part.inputs["image"].shape[0] for part in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([part.labels["emotion"] for part in parts]), CLASSES[:10])
    np.testing.assert_array_equal(np.concatenate([part.inputs["image"] for part in parts]), IMAGES[:10])
    assert [(part.rows, part.shares["emotion"]) for part in parts] == [(0.4, 0.4), (0.4, 0.4), (0.2, 0.2)]


def test_values_that_are_missing_count_nothing() -> None:
    labels = {"valence": tf.constant([1, UNLABELLED, 2, 3, UNLABELLED, UNLABELLED])}
    weights = {"valence": tf.constant([1.0, 1.0, 2.0, 1.0, 1.0, 1.0])}
    losses = {"valence": AffectLoss()}
    parts = list(micro_batches(tf.zeros((6, 1)), labels, weights, size=2, losses=losses))
    assert [part.shares["valence"] for part in parts] == [0.25, 0.75, 0.0]
    none = {"valence": tf.fill([6], UNLABELLED)}
    assert all(p.shares["valence"] == 0 for p in micro_batches(tf.zeros((6, 1)), none, {}, size=2, losses=losses))
    with pytest.raises(ValueError, match="reduction sum"):
        list(micro_batches(tf.zeros((6, 1)), labels, {}, size=2, losses={"valence": AffectLoss(reduction="sum")}))


def test_a_step_that_was_the_last_is_gone_on_from(tmp_path: Path) -> None:
    """Nothing of a step outlives it: what a checkpoint holds in mid-epoch is that of a run without accumulation."""
    recipe = dataclasses.replace(BASE, batch_size=4, accumulate=3)
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, CLASSES)).batch(STEP)
    asked = iter([False, True])

    def begin(requested: Any = lambda: False) -> Trainee:
        model = network({"emotion": 3}, normalised=True)
        return Trainee(model, recipe, steps_per_epoch=3, class_counts=[12, 11, 11], fused=False, requested=requested)

    stopped, whole = begin(lambda: next(asked, True)), begin()
    stopped.train(batches, callbacks=[])
    assert 0 < stopped.steps_done < 3
    save_checkpoint(tmp_path / "last.npz", variables=stopped.variables, state=stopped.state())
    resumed = begin()
    resumed.restore(load_checkpoint(tmp_path / "last.npz", variables=resumed.variables))
    assert resumed.train(batches, callbacks=[]) == whole.train(batches, callbacks=[])
    for ours, theirs in zip(resumed.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


@pytest.mark.slow
@pytest.mark.parametrize("first", [1, 3])
def test_an_epoch_is_gone_on_with_in_other_parts(first: int) -> None:
    """With several heads `fit` counts more than what several devices or micro-batches do."""

    def begin(accumulate: int, requested: Any = lambda: False) -> Trainee:
        recipe = dataclasses.replace(AFFECT, batch_size=STEP // accumulate, accumulate=accumulate)
        return Trainee(affect_case()[0], recipe, steps_per_epoch=3, class_counts=[], fused=False, requested=requested)

    batches = tf.data.Dataset.from_tensor_slices(affect_case()[1]).batch(STEP)
    asked = iter([False, True])
    stopped, resumed, whole = begin(first, lambda: next(asked, True)), begin(4 - first), begin(1)
    stopped.train(batches, callbacks=[])
    for ours, theirs in zip(resumed.variables, stopped.variables, strict=True):
        ours.assign(theirs.numpy())
    resumed.restore(json.loads(json.dumps(stopped.state())))
    assert 0 < resumed.steps_done < 3
    assert resumed.train(batches, callbacks=[]) == pytest.approx(whole.train(batches, callbacks=[]), abs=1e-5)


@pytest.mark.slow
def test_an_accumulated_run_stopped_in_mid_epoch_ends_like_an_uninterrupted_one(
    tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 images in micro-batches of 5: three steps of 15, and one of 5."""
    recipe = dataclasses.replace(tiny_recipe, batch_size=5, accumulate=3)
    whole = assert_resume_is_exact(recipe, tmp_path, data_dir=tiny_data_dir, monkeypatch=monkeypatch)
    assert whole.recipe() == recipe


def test_what_cannot_be_accumulated_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"accumulate must be at least 1\. Received: 0\."):
        resolve(override(BASE, ["accumulate=0"]))
    resolve(override(AFFECT, ["accumulate=2"]))
    with pytest.raises(InputError, match=r"loss\.affect\.ccc must be 0 with accumulate.* Received: 1\.0\."):
        resolve(override(AFFECT, ["accumulate=2", "loss.affect.ccc=1.0"]))
    resolve(override(BASE, ["augment.mixup=0.2", "batch_size=1", "accumulate=2"]))
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(InputError, match=r"Gradient accumulation needs the TensorFlow backend.*Received: jax\."):
        Trainee(
            still_case()[0],
            dataclasses.replace(BASE, accumulate=2, distribute=Distribute("one_device")),
            steps_per_epoch=1,
            class_counts=[1, 1, 1],
            fused=False,
        )
