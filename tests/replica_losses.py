"""Trains small networks on the devices that the command line names and prints JSON: `python -m tests.replica_losses
one_device|mirrored|multi_worker FOLDER DATA_DIR`. Of several processes the chief prints."""

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.data import sources
from ferkeras.inference import keras_runner
from ferkeras.recipe import AffectTerms, Data, Distribute, Loss, Model, Optimizer, Recipe, Schedule
from ferkeras.recipe_data import ClipWindows
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint
from ferkeras.training.cluster import task
from ferkeras.training.distribute import Distribution, open_distribution
from ferkeras.training.preemption import PreemptedError, Preemption
from ferkeras.training.replicas import replica_runner
from ferkeras.training.stopping import StopOnNaN
from ferkeras.training.trainee import Trainee

SIDE, STEPS = 6, 10
#: Rows of the batches of an epoch: odd, and one that leaves a replica without any.
SIZES = (7, 5, 8, 7, 7, 6, 7, 7, 3, 1)


def network(heads: dict[str, int], *, normalised: bool) -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Conv2D(4, 3, name="conv")(keras.layers.Rescaling(1 / 255, name="scale")(inputs))
    x = keras.layers.BatchNormalization(name="bn")(x) if normalised else x
    x = keras.layers.Flatten(name="flatten")(keras.layers.ReLU(name="relu")(x))
    outputs = {head: keras.layers.Dense(k, name=head)(x) for head, k in heads.items()}
    return keras.Model(inputs, outputs)


def recipe(*, affect: bool, normalised: bool, strategy: str) -> Recipe:
    data = Data("none", image_size=(SIDE, SIDE))
    loss = Loss(class_weights="balanced")
    if affect:
        data = Data("none", target="valence_arousal", clips=ClipWindows(2, 1), image_size=(SIDE, SIDE))
        loss = Loss(affect=AffectTerms(ccc=1.0, mse=0.5))
    return Recipe(
        "replicas",
        Model("none"),
        data,
        loss=loss,
        optimizer=Optimizer("nesterov", 0.05, weight_decay=1e-2, clip_norm=0.5, ema=0.8),
        distribute=Distribute(strategy, 2, synchronized_batch_norm=normalised),  # type: ignore[arg-type]
    )


def batches(*, affect: bool) -> tf.data.Dataset:
    draw = np.random.default_rng(0)
    images = [draw.integers(0, 256, (n, SIDE, SIDE, 1), dtype=np.uint8) for n in SIZES]
    if affect:
        labels: list[Any] = [{h: draw.integers(-10, 11, n) for h in ("valence", "arousal")} for n in SIZES]
        kinds: Any = {h: tf.TensorSpec([None], tf.int64) for h in ("valence", "arousal")}
    else:
        labels, kinds = [draw.integers(0, 3, n) for n in SIZES], tf.TensorSpec([None], tf.int64)
    signature = (tf.TensorSpec([None, SIDE, SIDE, 1], tf.uint8), kinds)
    return tf.data.Dataset.from_generator(lambda: zip(images, labels, strict=True), output_signature=signature)


def train(distribution: Distribution | None, strategy: str, *, affect: bool, normalised: bool, part: Path) -> Any:
    """Losses of two epochs, of which the second is stopped after three steps, saved, and gone on with elsewhere."""
    heads = {"valence": 21, "arousal": 21} if affect else {"emotion": 3}
    settings = recipe(affect=affect, normalised=normalised, strategy=strategy)
    stop = False

    def begin() -> Trainee:
        return Trainee(
            network(heads, normalised=normalised),
            settings,
            steps_per_epoch=STEPS,
            class_counts=[] if affect else [20, 20, 18],
            fused=False,
            distribution=distribution,
            requested=lambda: stop,
        )

    class StopAtThree(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
            nonlocal stop
            # In a cluster one worker alone has the signal.
            stop = batch == 2 and task()[0] == task()[1] - 1

    data, trainee = batches(affect=affect), begin()
    logs = [trainee.train(data, callbacks=[])]
    trainee.train(data, callbacks=[StopAtThree()])
    done = trainee.steps_done
    save_checkpoint(part, variables=trainee.variables, state=trainee.state())
    resumed, stop = begin(), False
    resumed.restore(load_checkpoint(part, variables=resumed.variables))
    logs.append(resumed.train(data, callbacks=[]))
    images = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 1), dtype=np.uint8)
    logits = keras_runner(resumed.model)(images)
    if distribution is not None and distribution.workers == 1:
        with distribution.scope():
            again = keras.models.clone_model(resumed.model)
            again.set_weights(resumed.model.get_weights())
        np.testing.assert_allclose(replica_runner(distribution, again)(images)[next(iter(heads))],
                                   logits[next(iter(heads))], atol=1e-6)  # fmt: skip
    return {"logs": logs, "done": done, "logits": [logits[head].tolist() for head in heads]}


class ToldToStop(StopOnNaN):
    """In the fourth epoch the last worker is slow for longer than heartbeats may fail to come, then told to stop."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        index, workers = task()
        if self._epoch == 3 and batch == 1 and index == workers - 1:
            time.sleep(15.0 if workers > 1 else 0.0)
            os.kill(os.getpid(), signal.SIGTERM)


def history(distribution: Distribution | None, strategy: str, folder: Path, data_dir: Path) -> list[dict[str, Any]]:
    """Rows of a whole run: stopped in mid-epoch, resumed, slowed down on plateaus, at last stopped early."""
    settings = Recipe(
        "whole",
        Model("xception_dense", {"backbone": "small_cnn", "width": 0.125}),
        Data("tiny_faces", image_size=(32, 32)),
        loss=Loss(label_smoothing=0.4),
        optimizer=Optimizer("nesterov", 0.02, clip_norm=0.5, ema=0.5),
        schedule=Schedule("plateau", factor=0.3, patience=1),
        duration="30ep",
        batch_size=16,
        patience=2,
        distribute=Distribute(strategy, 2, synchronized_batch_norm=True),  # type: ignore[arg-type]
    )
    sources.DATASETS["tiny_faces"] = "tests.tiny_faces"
    loop.open_distribution = lambda settings: distribution  # one process opens one
    loop.StopOnNaN = ToldToStop  # type: ignore[misc]
    try:
        with Preemption() as told:
            loop.run(settings, folder, data_dir=data_dir, preemption=told)
    except PreemptedError:
        loop.StopOnNaN = StopOnNaN  # type: ignore[misc]
    loop.run(settings, folder, data_dir=data_dir, resume=True)
    return RunFolder(folder).history() if task()[0] == 0 else []


if __name__ == "__main__":
    kind, folder, data_dir = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    opened = open_distribution(Distribute(kind, 2))  # type: ignore[arg-type]
    cases = {"plain": (False, False), "normalised": (False, True), "affect": (True, False)}
    part = folder / f"{kind}{task()[0]}.npz"
    results = {
        name: train(opened, kind, affect=affect, normalised=normalised, part=part)
        for name, (affect, normalised) in cases.items()
    }
    results["history"] = history(opened, kind, folder / "run", data_dir)
    if task()[0] == 0:
        print(json.dumps(results))
