"""The TensorFlow Datasets builder of FER2013. Reading and checking lie in the modules beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.labels import EMOTIONS
from tfds_builders.base import work
from tfds_builders.base.shared import SharingBuilder
from tfds_builders.base.skips import SkipList
from tfds_builders.fer2013.example import SIDE, Example
from tfds_builders.fer2013.reading import read_examples


class Builder(SharingBuilder):
    """FER2013: `image` (H=48, W=48, C=1) uint8, `label` in the order of `ferkeras.labels.EMOTIONS`, `id`.

    Splits: `train` is the official Training set, `validation` PublicTest, `test` PrivateTest. A split
    of which the copy holds nothing is left out.
    """

    TITLE = "FER2013"
    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="default", description="A corrupt image is an error."),
        tfds.core.BuilderConfig(name="skip_corrupt", description="Corrupt images are left out and counted."),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "default"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Accept the rules of the Kaggle competition "Challenges in Representation Learning: Facial Expression
    Recognition Challenge" and fetch one of: fer2013.tar.gz, fer2013.csv, icml_face_data.csv, or the image
    folders train/ and test/ (extracted, or as a zip archive). Put it into manual_dir as it is.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(SIDE, SIDE, 1), dtype=np.uint8, encoding_format="png"),
                    "label": tfds.features.ClassLabel(names=list(EMOTIONS)),
                    "id": tfds.features.Text(),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition-challenge",
        )

    def look(self, manual_dir: Path) -> dict[str, int]:
        """Images of each split in the official files; raises `InputError` if they cannot be used."""
        return {split: len(examples) for split, examples in read_examples(manual_dir).items()}

    def sources(self, manual_dir: Path, skips: SkipList) -> dict[str, list[Example]]:
        del skips  # what is corrupt is counted in a warning
        return read_examples(manual_dir, skip_corrupt=self.builder_config.name == "skip_corrupt")

    def make(self) -> work.Make:
        return results

    def stored(self, source: Example, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return source.id, result


def results(example: Example) -> Iterator[dict[str, Any]]:
    """The one result of a row or file."""
    yield {"image": example.image, "label": example.emotion, "id": example.id}
