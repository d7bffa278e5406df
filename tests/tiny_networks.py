"""Tiny networks with the parts of real ones, and inputs for them: for the tests of exported files."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from ferkeras.export.interface import Interface, interface_of
from ferkeras.labels import EMOTIONS, VALENCE_AROUSAL_BINS
from ferkeras.models.sequence import sequence_model
from ferkeras.models.temporal import recurrent_temporal
from ferkeras.runs import NUMBER

SIDE, FRAMES = 16, 5
EMOTION: Mapping[str, Sequence[Any]] = {"emotion": EMOTIONS}
AFFECT: Mapping[str, Sequence[Any]] = {"valence": VALENCE_AROUSAL_BINS, "arousal": VALENCE_AROUSAL_BINS}
BOTH: Mapping[str, Sequence[Any]] = {"emotion": EMOTIONS, "valence": (NUMBER,), "arousal": (NUMBER,)}


def still(heads: Mapping[str, Sequence[Any]] = EMOTION, *, recurrent: bool = False) -> keras.Model:
    """Convolutions with normalisation, and an LSTM over the rows."""
    keras.utils.set_random_seed(0)
    image = keras.Input((SIDE, SIDE, 1), name="image")
    scaled = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    norm = layers.BatchNormalization(name="norm")
    x = norm(layers.Conv2D(8, 3, padding="same", name="conv")(scaled))
    random = np.random.default_rng(0)
    for variable in norm.variables:  # fresh ones are 0 and 1 and would hide a mistake
        variable.assign(random.uniform(0.5, 2.0, variable.shape))
    x = layers.Flatten(name="flat")(layers.MaxPooling2D(4, name="pool")(layers.ReLU(name="relu")(x)))
    x = layers.Dense(16, activation="relu", name="dense")(x)
    if recurrent:
        rows = layers.Reshape((SIDE, SIDE), name="rows")(scaled)
        x = layers.Concatenate(name="joined")([x, layers.LSTM(6, name="lstm")(rows)])
    features = layers.Activation("linear", name="features")(x)
    return keras.Model(image, {name: layers.Dense(len(m), name=name)(features) for name, m in heads.items()})


def clip(heads: Mapping[str, Sequence[Any]] = EMOTION, **options: Any) -> keras.Model:
    """`still` for every frame, and `recurrent_temporal` with `options`."""
    frame = still(heads)
    sizes = {name: len(meanings) for name, meanings in heads.items()}
    temporal = recurrent_temporal(frames=FRAMES, width=16, heads=sizes, hidden=6, **options)
    for weight in temporal.weights:  # first weights give logits that hardly differ from clip to clip
        weight.assign(3 * weight)
    return sequence_model(frame, temporal, name="clip")


def described(model: keras.Model, heads: Mapping[str, Sequence[Any]] = EMOTION) -> Interface:
    return interface_of(model, heads=heads, preprocessing={"frames": FRAMES, "stride": 2})


def images(count: int) -> np.ndarray:
    """Noise (count, H, W, 1) uint8, some of it dark."""
    noise = np.random.default_rng(1).integers(0, 256, (count, SIDE, SIDE, 1), dtype=np.uint8)
    return noise // (1 + np.arange(count, dtype=np.uint8) % 4)[:, None, None, None]


def clips(count: int) -> dict[str, np.ndarray]:
    """Clips of noise; frames without a face stand anywhere, and every clip has at least one with a face."""
    frames = images(count * FRAMES).reshape(count, FRAMES, SIDE, SIDE, 1)
    mask = np.random.default_rng(2).random((count, FRAMES)) < 0.7
    mask[np.arange(count), np.arange(count) % FRAMES] = True
    return {"frames": frames, "frame_mask": mask}
