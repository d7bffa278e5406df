"""The TensorFlow Datasets builder of TFEID. Reading the layout lies in the module beside it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from ferkeras.labels import EMOTIONS_WITH_CONTEMPT, TFEID_WORDS
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.official import count_labels, warn_if_incomplete
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.still_builder import StillBuilder
from tfds_builders.tfeid.layout import SPLIT, read_tfeid

_COUNTS = {"anger": 34, "disgust": 40, "fear": 40, "happiness": 40, "neutral": 39, "sadness": 39, "surprise": 36}
#: Frontal pictures at high intensity; those of contempt are in some copies only.
OFFICIAL_COUNTS: dict[str, int] = {TFEID_WORDS[word]: count for word, count in _COUNTS.items()}
OFFICIAL_CONTEMPT = 68


@dataclass(eq=False, kw_only=True)
class TfeidConfig(FaceConfig):
    """A configuration of TFEID.

    Attributes:
        sets: Kinds of pictures, as the file names have them; `dfh` is frontal, at high intensity.
    """

    sets: tuple[str, ...] = ("dfh",)


class Builder(StillBuilder):
    """TFEID: `image` (H, W, C=3) uint8, `label` in the order of `EMOTIONS_WITH_CONTEMPT`, `id`, `subject`.

    There is no official split: all is in `train`, and recipes name the folds by subject.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "TFEID"
    HOMEPAGE = "https://bml.ym.edu.tw/tfeid/"
    CLASSES = EMOTIONS_WITH_CONTEMPT
    SUBJECTS = True
    builder_config: TfeidConfig
    BUILDER_CONFIGS: ClassVar = [
        TfeidConfig(name="aligned", description="Aligned faces, 112 x 112 pixels, RGB.", faces=FaceSettings()),
        TfeidConfig(name="official", description="The owners' pictures as they are."),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "aligned"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Register at https://bml.ym.edu.tw/tfeid/ and put the folders with the pictures into manual_dir, extracted or as zip
    archives.
    """

    def read(self, manual_dir: Path) -> Iterator[StillSource | Skip]:
        sources = list(read_tfeid(manual_dir, sets=self.builder_config.sets))
        yield from sources
        found = {SPLIT: Counter[str](), **count_labels(sources)}
        if self.builder_config.sets == ("dfh",):
            contempt = {"contempt": OFFICIAL_CONTEMPT} if found[SPLIT]["contempt"] else {}
            warn_if_incomplete(found, {SPLIT: OFFICIAL_COUNTS | contempt}, title=f"{manual_dir.name} (TFEID)")
