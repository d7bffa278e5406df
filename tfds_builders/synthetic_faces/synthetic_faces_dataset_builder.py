"""The TensorFlow Datasets builder of the synthetic faces: drawn when prepared, nothing is downloaded."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.labels import EMOTIONS
from tfds_builders.base import work
from tfds_builders.base.shared import SharingBuilder
from tfds_builders.base.skips import SkipList
from tfds_builders.synthetic_faces.action_units import ACTION_UNITS
from tfds_builders.synthetic_faces.face_shape import LANDMARKS
from tfds_builders.synthetic_faces.sampling import sample_clip, sample_still

#: Split and index of an example: all that it is drawn from.
Source = tuple[str, int]


@dataclass(eq=False, kw_only=True)
class SyntheticFacesConfig(tfds.core.BuilderConfig):
    """What to draw. The same values give the same bytes; other values need another `name`.

    Args:
        seed: Seeds every example, together with its split and index.
        size: Height and width of an image or a frame, 16 to 224 pixels.
        channels: 1 for grey, 3 for RGB.
        frames: Frames per clip; 0 draws stills.
        fps: Frames per second of a clip.
        train: Number of examples in the split; `validation` and `test` likewise. A smaller split is the
            beginning of a larger one. A split of 0 is left out.
    """

    seed: int = 0
    size: int = 48
    channels: int = 1
    frames: int = 0
    fps: float = 8.0
    train: int = 6000
    validation: int = 1000
    test: int = 1500


class Builder(SharingBuilder):
    """Synthetic faces, still and in motion; features and splits are listed in README.md.

    No subject is in two splits, and in each split the emotions are equally frequent (up to one example).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS: ClassVar = [
        SyntheticFacesConfig(name="still", description="Grey images of 48 x 48 pixels."),
        SyntheticFacesConfig(
            name="still_112",
            description="The same faces in colour, 112 x 112 pixels.",
            size=112,
            channels=3,
        ),
        SyntheticFacesConfig(
            name="clips",
            description="Grey clips of 16 frames, 64 x 64 pixels, at 8 frames per second.",
            size=64,
            frames=16,
            train=980,
            validation=210,
            test=350,
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "still"
    builder_config: SyntheticFacesConfig

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        clips = config.frames > 0
        return self.dataset_info_from_configs(
            features=_clip_features(config) if clips else _still_features(config),
            supervised_keys=("frames" if clips else "image", "label"),
        )

    def sources(self, manual_dir: Path, skips: SkipList) -> dict[str, list[Source]]:
        del manual_dir, skips  # nothing is read
        config = self.builder_config
        counts = {"train": config.train, "validation": config.validation, "test": config.test}
        return {split: [(split, index) for index in range(count)] for split, count in counts.items() if count}

    def make(self) -> work.Make:
        return functools.partial(_results, config=self.builder_config)

    def stored(self, source: Source, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return _key(*source), result


def _key(split: str, index: int) -> str:
    return f"{split}_{index:06d}"


def _results(source: Source, *, config: SyntheticFacesConfig) -> Iterator[dict[str, Any]]:
    yield (_clip_example if config.frames else _still_example)(config, _key(*source), *source)


def _still_features(config: SyntheticFacesConfig) -> tfds.features.FeaturesDict:
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(config.size, config.size, config.channels), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=list(EMOTIONS)),
            "id": tfds.features.Text(),
            "subject": tfds.features.Text(),
            "action_units": tfds.features.Tensor(shape=(len(ACTION_UNITS),), dtype=np.float32),
            "valence": tfds.features.Scalar(np.int32),
            "arousal": tfds.features.Scalar(np.int32),
        }
    )


def _still_example(config: SyntheticFacesConfig, key: str, split: str, index: int) -> dict[str, Any]:
    still = sample_still(config.seed, split, index, size=config.size, channels=config.channels)
    return {
        "image": still.image,
        "label": still.emotion,
        "id": key,
        "subject": still.subject,
        "action_units": still.action_units,
        "valence": still.valence,
        "arousal": still.arousal,
    }


def _clip_features(config: SyntheticFacesConfig) -> tfds.features.FeaturesDict:
    length = config.frames
    return tfds.features.FeaturesDict(
        {
            "frames": tfds.features.Video(
                shape=(length, config.size, config.size, config.channels), encoding_format="png"
            ),
            "frame_index": tfds.features.Tensor(shape=(length,), dtype=np.int32),
            "face_found": tfds.features.Tensor(shape=(length,), dtype=np.bool_),
            "landmarks": tfds.features.Tensor(shape=(length, LANDMARKS, 2), dtype=np.float32),
            "clip_id": tfds.features.Text(),
            "subject": tfds.features.Text(),
            "fps": tfds.features.Scalar(np.float32),
            "label": tfds.features.ClassLabel(names=list(EMOTIONS)),
            "valence": tfds.features.Tensor(shape=(length,), dtype=np.int32),
            "arousal": tfds.features.Tensor(shape=(length,), dtype=np.int32),
            "action_units": tfds.features.Tensor(shape=(length, len(ACTION_UNITS)), dtype=np.float32),
        }
    )


def _clip_example(config: SyntheticFacesConfig, key: str, split: str, index: int) -> dict[str, Any]:
    clip = sample_clip(
        config.seed,
        split,
        index,
        size=config.size,
        channels=config.channels,
        frames=config.frames,
        fps=config.fps,
    )
    return {
        "frames": clip.frames,
        "frame_index": np.arange(config.frames, dtype=np.int32),
        "face_found": clip.face_found,
        "landmarks": clip.landmarks,
        "clip_id": key,
        "subject": clip.subject,
        "fps": np.float32(config.fps),
        "label": clip.emotion,
        "valence": clip.valence,
        "arousal": clip.arousal,
        "action_units": clip.action_units,
    }
