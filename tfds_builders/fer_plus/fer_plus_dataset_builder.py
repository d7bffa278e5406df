"""The TensorFlow Datasets builder of FER+. The rules of the votes and the joining lie in the modules beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.labels import EMOTIONS_WITH_CONTEMPT
from tfds_builders.base.faces import FaceConfig
from tfds_builders.base.official import count_labels, warn_if_incomplete
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.still_builder import StillBuilder
from tfds_builders.fer2013.example import SIDE
from tfds_builders.fer_plus.joining import read_joined
from tfds_builders.fer_plus.votes import COLUMNS, Mode

_SPLITS = ("train", "validation", "test")
#: Faces that each rule leaves of the official file.
OFFICIAL_COUNTS: dict[Mode, dict[str, int]] = {
    "majority": dict(zip(_SPLITS, (25060, 3199, 3153), strict=True)),
    "probability": dict(zip(_SPLITS, (27956, 3505, 3505), strict=True)),
    "cross_entropy": dict(zip(_SPLITS, (27956, 3505, 3505), strict=True)),
    "multi_target": dict(zip(_SPLITS, (27671, 3472, 3472), strict=True)),
}


@dataclass(eq=False, kw_only=True)
class FerPlusConfig(FaceConfig):
    """A configuration of FER+.

    Attributes:
        mode: The rule that makes a target out of the votes, see `tfds_builders.fer_plus.votes.target_of`.
    """

    mode: Mode = "majority"


class Builder(StillBuilder):
    """FER+: `image` (H=48, W=48, C=1) uint8, `label`, `id`, `votes` (10,) int32, `target` (K=8,) float32.

    `votes` are in the order of the csv file, `label` and `target` in that of `EMOTIONS_WITH_CONTEMPT`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "FER+"
    HOMEPAGE = "https://github.com/microsoft/FERPlus"
    CLASSES = EMOTIONS_WITH_CONTEMPT
    BUILDER_CONFIGS: ClassVar = [
        FerPlusConfig(name="majority", description="The emotion that most voters chose.", mode="majority"),
        FerPlusConfig(
            name="probability",
            description="Shares of the most voted emotions, to draw labels from.",
            mode="probability",
        ),
        FerPlusConfig(
            name="cross_entropy", description="The same shares, to be trained on as they are.", mode="cross_entropy"
        ),
        FerPlusConfig(name="multi_target", description="Every emotion with 30 % of the votes.", mode="multi_target"),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "majority"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put fer2013new.csv from https://github.com/microsoft/FERPlus and, beside it, fer2013.csv, icml_face_data.csv or
    fer2013.tar.gz of the data set FER2013 into manual_dir.
    """

    def image_feature(self) -> tfds.features.Image:
        return tfds.features.Image(shape=(SIDE, SIDE, 1), dtype=np.uint8, encoding_format="png")

    def more_features(self) -> dict[str, Any]:
        return {
            "votes": tfds.features.Tensor(shape=(len(COLUMNS),), dtype=np.int32),
            "target": tfds.features.Tensor(shape=(len(self.CLASSES),), dtype=np.float32),
        }

    def read(self, manual_dir: Path) -> Iterator[StillSource | Skip]:
        sources = list(read_joined(manual_dir, self.builder_config.mode))
        yield from sources
        found = {split: {"faces": counts.total()} for split, counts in count_labels(sources).items()}
        official = {split: {"faces": n} for split, n in OFFICIAL_COUNTS[self.builder_config.mode].items()}
        warn_if_incomplete(found, official, title=f"{manual_dir.name} (FER+, {self.builder_config.mode})")
