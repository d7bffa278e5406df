"""A data set of clips in which a bright square moves: its place is valence, its light arousal, its way the class."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.labels import UNLABELLED
from ferkeras.recipe import Data, Model, Optimizer, Recipe
from ferkeras.recipe_data import ClipWindows, Target

CLASSES = ("down", "up")
SPLITS = {"train": 20, "validation": 9, "test": 8}
SIDE = 16
#: Frames of a clip: whole windows of six, and some that are padded.
LENGTHS = (6, 6, 4, 12)


def clip(split: str, index: int) -> dict[str, Any]:
    """One example; the second frame shows no face, and the first has no label."""
    length, label = LENGTHS[index % len(LENGTHS)], index % 2
    rng = np.random.default_rng([list(SPLITS).index(split), index])
    start, light = int(rng.integers(-4, 5)), int(rng.integers(-10, 11))
    valence = np.clip(start + (2 * label - 1) * np.arange(length), -10, 10).astype(np.int32)
    frames = np.full((length, SIDE, SIDE, 1), 30, np.uint8)
    for frame, value in zip(frames, valence, strict=True):
        frame[max(0, (value + 10) // 2) : (value + 10) // 2 + 5, 4:12] = 140 + 10 * light
    valence[0] = UNLABELLED
    return {
        "frames": frames,
        "face_found": np.arange(length) != 1,
        "valence": valence,
        "arousal": np.full(length, light, np.int32),
        "label": label,
        "clip_id": f"{split}_{index}",
        "subject": f"{split}_{index // 3}",
    }


def clip_features(side: int, classes: Sequence[str]) -> tfds.features.FeaturesDict:
    """What an example of a small data set of clips holds."""
    return tfds.features.FeaturesDict(
        {
            "frames": tfds.features.Video(shape=(None, side, side, 1), encoding_format="png"),
            "face_found": tfds.features.Tensor(shape=(None,), dtype=np.bool_),
            "valence": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "arousal": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "label": tfds.features.ClassLabel(names=list(classes)),
            "clip_id": tfds.features.Text(),
            "subject": tfds.features.Text(),
        }
    )


class TinyMovingClips(tfds.core.GeneratorBasedBuilder):
    """Three splits; no subject is in two of them."""

    name = "tiny_moving_clips"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name="default", description="All.")]

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=clip_features(SIDE, CLASSES))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(split, count) for split, count in SPLITS.items()}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in range(count):
            yield f"{split}_{index:03d}", clip(split, index)


#: What `ferkeras.data.sources` looks for in the module of a data set.
Builder = TinyMovingClips


def moving_clips(folder: Path) -> Iterator[Path]:
    """For a fixture: a data directory with `tiny_moving_clips`, which is a known data set until the fixture ends."""
    from ferkeras.data import preparation, sources

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.DATASETS, "tiny_moving_clips", "tests.tiny_clips")
        preparation.prepare("tiny_moving_clips", data_dir=folder)
        yield folder


def clips_recipe(target: Target = "valence_arousal", **changes: Any) -> Recipe:
    """Two short epochs of a thin network on windows of six frames; the last batch is smaller."""
    options: dict[str, Any] = {"backbone": "small_cnn", "width": 0.125, "hidden": 8}
    name = {"label": "xception_lstm", "valence_arousal": "efficientnet_lstm"}.get(target, "efficientnet_lstm_frames")
    recipe = Recipe(
        "tiny",
        Model(name, options),
        Data("tiny_moving_clips", target=target, clips=ClipWindows(6, 3), image_size=(SIDE, SIDE)),
        optimizer=Optimizer(learning_rate=1e-3),
        duration="2ep",
        batch_size=8,
    )
    return dataclasses.replace(recipe, **changes)
