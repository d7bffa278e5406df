"""The base of the builders of clips."""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tfds_builders.base import work
from tfds_builders.base.aligned_clips import FIVE, PerFrame, clip_results
from tfds_builders.base.builder import OfficialBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.source import ClipSource


class ClipBuilder(OfficialBuilder, skip_registration=True):  # type: ignore[call-arg]
    """Aligned clips of T frames, T being different from clip to clip.

    Features: `frames` (T, S, S, C) uint8, `frame_index` (T,), `face_found` (T,) bool (a frame without a face is
    black), `landmarks` (T, N, 2) in pixels of the face (NaN without a face), `clip_id`, `recording`, `fps`, with
    `SUBJECTS` also `subject`, with `CLASSES` also `label`, and what `per_frame` and `more_features` add.

    Attributes:
        LANDMARKS: N, 68 where the data set brings its own.
    """

    UNIT: ClassVar[str] = "clip"
    LANDMARKS: ClassVar[int] = FIVE
    BUILDER_CONFIGS: ClassVar = [
        FaceConfig(name="aligned", description="Aligned faces, 112 x 112 pixels, RGB.", faces=FaceSettings()),
        FaceConfig(name="aligned_224", description="The same, 224 x 224 pixels.", faces=FaceSettings(size=224)),
        FaceConfig(
            name="whole",
            description="Frames that are faces already, scaled to 112 x 112 pixels.",
            faces=FaceSettings(detector="none"),
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "aligned"

    def per_frame(self) -> Mapping[str, PerFrame]:
        """Features with one value a frame."""
        return {}

    def _info(self) -> tfds.core.DatasetInfo:
        size, channels = self.settings.size, self.settings.channels
        features = {
            "frames": tfds.features.Video(shape=(None, size, size, channels), encoding_format="png"),
            "frame_index": tfds.features.Tensor(shape=(None,), dtype=np.int32),
            "face_found": tfds.features.Tensor(shape=(None,), dtype=np.bool_),
            "landmarks": tfds.features.Tensor(shape=(None, self.LANDMARKS, 2), dtype=np.float32),
            "clip_id": tfds.features.Text(),
            "recording": tfds.features.Text(),
            "fps": tfds.features.Scalar(np.float32),
            **({"label": tfds.features.ClassLabel(names=list(self.classes))} if self.classes else {}),
            **({"subject": tfds.features.Text()} if self.names_subjects else {}),
            **{
                name: tfds.features.Tensor(shape=(None, *feature.shape), dtype=np.dtype(feature.dtype))
                for name, feature in self.per_frame().items()
            },
            **self.more_features(),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("frames", "label") if self.classes else None,
            homepage=self.HOMEPAGE,
        )

    @property
    def settings(self) -> FaceSettings:
        return self.builder_config.faces or FaceSettings()

    def make(self) -> work.Make:
        return functools.partial(
            clip_results, settings=self.settings, per_frame=dict(self.per_frame()), landmarks=self.LANDMARKS
        )

    def stored(self, source: ClipSource, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return result["clip_id"], result
