"""The TensorFlow Datasets builder of FER2013. Reading and checking lie in the modules beside it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.fer2013.example import SIDE, Example
from tfds_builders.fer2013.reading import read_examples


class Builder(tfds.core.GeneratorBasedBuilder):
    """FER2013: `image` (H=48, W=48, C=1) uint8, `label` in the order of `ferkeras.labels.EMOTIONS`, `id`.

    Splits: `train` is the official Training set, `validation` PublicTest, `test` PrivateTest. A split
    of which the copy holds nothing is left out.
    """

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

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[Any]]:
        # The whole set is read and checked here, so that bad input ends before the first record is written.
        skip_corrupt = self.builder_config.name == "skip_corrupt"
        splits = read_examples(_manual_dir(dl_manager), skip_corrupt=skip_corrupt)
        return {split: self._generate_examples(examples) for split, examples in splits.items()}

    def _generate_examples(self, examples: Iterable[Example]) -> Iterator[tuple[str, dict[str, Any]]]:
        for example in examples:
            yield example.id, {"image": example.image, "label": example.emotion, "id": example.id}


def _manual_dir(dl_manager: tfds.download.DownloadManager) -> Path:
    try:
        return Path(dl_manager.manual_dir)
    except (AssertionError, OSError) as error:
        # TFDS tells an absent or empty folder by AssertionError, a file by NotADirectoryError.
        reason = str(error).splitlines()[0].partition(" Create it")[0]
        raise InputError(
            "FER2013 cannot be downloaded by itself",
            received=reason.rstrip("."),
            action="Fetch it as the README.md of the builder tells, and name its folder as manual directory.",
        ) from error
