"""A second tiny still data set: other classes in another order, a soft target, and two subjects of the same ids."""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from tests.tiny_faces import SIDE

CLASSES = ("neutral", "contempt", "angry")
SPLITS = {"train": 12, "test": 6}


def label(index: int) -> int:
    return index % 3


def target(index: int) -> np.ndarray:
    """(3,) float32: three quarters for the label, one for the class after it."""
    shares = np.zeros(3, np.float32)
    shares[label(index)], shares[(label(index) + 1) % 3] = 0.75, 0.25
    return shares


class TinyVotes(tfds.core.GeneratorBasedBuilder):
    """Pixel 0, 0 is 100 plus the index."""

    name = "tiny_votes"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [tfds.core.BuilderConfig(name="default", description="All.")]

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "image": tfds.features.Image(shape=(SIDE, SIDE, 1), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=list(CLASSES)),
            "target": tfds.features.Tensor(shape=(3,), dtype=np.float32),
            "id": tfds.features.Text(),
            "subject": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {split: self._generate_examples(split, count) for split, count in SPLITS.items()}

    def _generate_examples(self, split: str, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
        for index in range(count):
            image = np.full((SIDE, SIDE, 1), 100 + index, np.uint8)
            yield (
                f"{split}_{index:03d}",
                {
                    "image": image,
                    "label": label(index),
                    "target": target(index),
                    "id": f"{split}_{index:03d}",
                    "subject": f"{split}_{index // 4}",  # as in tiny_faces, whose people these are not
                },
            )


#: What `ferkeras.data.sources` looks for in the module of a data set.
Builder = TinyVotes
