"""A still data set of striped patterns, small enough to be prepared within a test run."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

CLASSES = ("angry", "happy", "neutral")
SPLITS = {"train": 50, "validation": 13, "test": 20}
SIDE = 32


def label(index: int) -> int:
    """Unequal classes: of five images two are angry, two happy and one neutral."""
    return (0, 0, 1, 1, 2)[index % 5]


def subject(split: str, index: int) -> str:
    """Four images of each subject, no subject in two splits."""
    return f"{split}_{index // 4}"


def image(split: str, index: int) -> np.ndarray:
    """(H=32, W=32, C=1) uint8: noisy stripes along the rows, the columns or neither; pixel 0, 0 is `index`."""
    row, column = np.mgrid[:SIDE, :SIDE]
    phase = (row, column, row + column)[label(index)]
    noise = np.random.default_rng([list(SPLITS).index(split), index]).integers(0, 60, (SIDE, SIDE))
    picture = (phase // 4 % 2 * 120 + 40 + noise).astype(np.uint8)
    picture[0, 0] = index
    return picture[..., None]


class TinyFaces(tfds.core.GeneratorBasedBuilder):
    """Two configurations: `subjects` names them, `anonymous` does not."""

    name = "tiny_faces"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="subjects", description="With subject ids."),
        tfds.core.BuilderConfig(name="anonymous", description="Without."),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        features: dict[str, Any] = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=list(CLASSES)),
            "id": tfds.features.Text(),
        }
        if self.builder_config.name == "subjects":
            features["subject"] = tfds.features.Text()
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(split, count) for split, count in SPLITS.items()}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in range(count):
            key = f"{split}_{index:03d}"
            example: dict[str, Any] = {"image": image(split, index), "label": label(index), "id": key}
            if "subject" in self.info.features:
                example["subject"] = subject(split, index)
            yield key, example


#: What `ferkeras.data.sources` looks for in the module of a data set.
Builder = TinyFaces
