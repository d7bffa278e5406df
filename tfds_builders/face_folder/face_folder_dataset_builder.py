"""The TensorFlow Datasets builder of any pictures by class. Reading the folders lies in the module beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from ferkeras.labels import EMOTIONS
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.still_builder import StillBuilder
from tfds_builders.face_folder.layout import check_classes, read_face_folder


@dataclass(eq=False, kw_only=True)
class FolderConfig(FaceConfig):
    """A configuration for a folder of pictures.

    Attributes:
        classes: Names and order of the classes. A folder may also have another usual name of the same emotion.
        exclude: The csv file of `ferkeras clean`; the pictures it lists are left out.
        subject_pattern: Regular expression that finds the subject in a file name: its first group, or all of it. The
            feature `subject` is there only with it.
    """

    classes: tuple[str, ...] = EMOTIONS
    exclude: str | None = None
    subject_pattern: str | None = None


class Builder(StillBuilder):
    """Pictures by class: `image` (H, W, C=3) uint8, `label`, `id`, and `subject` where a pattern finds it.

    Splits: those that folders around the classes name, else all is in `train`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "The folder of pictures"
    HOMEPAGE = None
    builder_config: FolderConfig
    BUILDER_CONFIGS: ClassVar = [
        FolderConfig(name="aligned", description="Aligned faces, 112 x 112 pixels, RGB.", faces=FaceSettings()),
        FolderConfig(name="whole", description="The pictures as they are."),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "aligned"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put the pictures into manual_dir in one folder per class, such as happy/1.jpg, with or without folders train,
    validation and test around them, extracted or as zip archives.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        check_classes(self.builder_config.classes)
        return self.builder_config.classes

    @property
    def names_subjects(self) -> bool:
        return self.builder_config.subject_pattern is not None

    def read(self, manual_dir: Path) -> Iterator[StillSource | Skip]:
        config = self.builder_config
        yield from read_face_folder(
            manual_dir,
            classes=config.classes,
            exclude=Path(config.exclude) if config.exclude else None,
            subject_pattern=config.subject_pattern,
        )
