"""The TensorFlow Datasets builder of RAF-DB, basic set. Reading the layouts lies in the modules beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from ferkeras.labels import EMOTIONS
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.official import count_labels, warn_if_incomplete
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.still_builder import StillBuilder
from tfds_builders.raf_db.labels import OFFICIAL_COUNTS
from tfds_builders.raf_db.layout import read_raf_db


class Builder(StillBuilder):
    """RAF-DB: `image` (H, W, C=3) uint8, `label` in the order of `EMOTIONS`, `id`. Splits: `train` and `test`."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "RAF-DB"
    HOMEPAGE = "http://www.whdeng.cn/RAF/model1.html"
    CLASSES = EMOTIONS
    BUILDER_CONFIGS: ClassVar = [
        FaceConfig(name="official", description="The owners' aligned pictures, 100 x 100 pixels, as they are."),
        FaceConfig(
            name="aligned",
            description="Found and aligned anew in the original pictures, 112 x 112 pixels.",
            faces=FaceSettings(),
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "official"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask the owners for the basic set (http://www.whdeng.cn/RAF/model1.html) and put its folders EmoLabel and Image into
    manual_dir, with aligned.zip as it is or extracted.
    """

    def read(self, manual_dir: Path) -> Iterator[StillSource | Skip]:
        sources = list(read_raf_db(manual_dir, aligned=self.builder_config.faces is None))
        yield from sources
        warn_if_incomplete(count_labels(sources), OFFICIAL_COUNTS, title=f"{manual_dir.name} (RAF-DB)")
