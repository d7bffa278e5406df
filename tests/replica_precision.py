"""Trains a small network for 20 steps in each of the ways of `CASES`, on the devices that the command line names, and
prints JSON: `python -m tests.replica_precision one_device|mirrored|multi_worker`. Of several processes the chief does.
"""

import dataclasses
import json
import sys
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from ferkeras.inference import keras_runner
from ferkeras.recipe import Data, Distribute, Model, Optimizer, Recipe
from ferkeras.recipe_data import Distill
from ferkeras.training.cluster import task
from ferkeras.training.distillation import Teachers
from ferkeras.training.distribute import Distribution, open_distribution
from ferkeras.training.trainee import Trainee
from tests.replica_losses import SIDE, network

#: Rows of the steps of an epoch: a micro-batch of 3 leaves parts of all sizes, of 1 a replica without any.
SIZES = (12, 7, 12, 1, 12, 9, 12, 12, 5, 12)
BASE = Recipe(
    "precision",
    Model("none"),
    Data("none", image_size=(SIDE, SIDE)),
    optimizer=Optimizer("nesterov", 0.05, weight_decay=1e-2, clip_norm=0.5, ema=0.8),
)
#: What is changed in the recipe; of the one that overflows the loss scale is far too high at first.
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated": {"batch_size": 3, "accumulate": 4},
    "float16": {"dtype": "mixed_float16"},
    "float16 accumulated": {"dtype": "mixed_float16", "batch_size": 3, "accumulate": 4},
    "float16 overflowing": {"dtype": "mixed_float16"},
    "compiled": {"jit": "on"},
    "distilled": {"distill": Distill(("a",), temperature=2.0, weight=0.7)},
    "distilled accumulated": {
        "distill": Distill(("a",), temperature=2.0, weight=0.7),
        "batch_size": 3,
        "accumulate": 4,
    },
}


def batches() -> tf.data.Dataset:
    draw = np.random.default_rng(0)
    pairs = [(draw.integers(0, 256, (n, SIDE, SIDE, 1), dtype=np.uint8), draw.integers(0, 3, n)) for n in SIZES]
    signature = (tf.TensorSpec([None, SIDE, SIDE, 1], tf.uint8), tf.TensorSpec([None], tf.int64))
    examples = tf.data.Dataset.from_generator(lambda: pairs, output_signature=signature)
    return examples.apply(tf.data.experimental.assert_cardinality(len(SIZES)))


def teacher() -> keras.Model:
    model = network({"emotion": 3}, normalised=True)
    draw = np.random.default_rng(2)
    model.set_weights([draw.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def train(name: str, distribution: Distribution | None) -> dict[str, Any]:
    """Losses of two epochs, logits at the end, and what the optimiser has counted."""
    recipe, teachers = dataclasses.replace(BASE, **CASES[name]), None
    if recipe.distill:
        with distribution.scope() if distribution else tf.distribute.get_strategy().scope():
            teachers = Teachers([teacher()], recipe.distill, dtype="float32", fused=False)
    trainee = Trainee(
        network({"emotion": 3}, normalised=False),
        recipe,
        steps_per_epoch=len(SIZES),
        class_counts=[20, 20, 18],
        fused=False,
        teachers=teachers,
        distribution=distribution,
    )
    if name == "float16 overflowing":
        trainee.optimizer.dynamic_scale.assign(2.0**23)
    logs = [trainee.train(batches(), callbacks=[]) for _ in range(2)]
    images = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 1), dtype=np.uint8)
    logits = keras_runner(trainee.model)(images)["emotion"]
    return {
        "logs": logs,
        "logits": logits.tolist(),
        "steps": int(keras.ops.convert_to_numpy(trainee.optimizer.iterations)),
    }


if __name__ == "__main__":
    kind = sys.argv[1]
    opened = open_distribution(Distribute(kind, 2))  # type: ignore[arg-type]
    results = {name: train(name, opened) for name in CASES}
    if task()[0] == 0:
        print(json.dumps(results))
