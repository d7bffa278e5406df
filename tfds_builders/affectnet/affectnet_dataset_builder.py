"""The TensorFlow Datasets builder of AffectNet. Reading the two releases lies in the modules beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from tfds_builders.affectnet.annotation import CLASSES, Target, official_counts
from tfds_builders.affectnet.full_release import find_lists, read_full_release
from tfds_builders.affectnet.reduced_release import find_folders, read_reduced_release
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.manual import entries
from tfds_builders.base.official import count_labels, warn_if_incomplete
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.base.still_builder import StillBuilder


@dataclass(eq=False, kw_only=True)
class AffectNetConfig(FaceConfig):
    """A configuration of AffectNet.

    Attributes:
        target: `expression` has eight emotions, `expression_7` leaves contempt out, `valence_arousal` takes what has
            valence and arousal and has `none` as ninth class.
    """

    target: Target = "expression"


class Builder(StillBuilder):
    """AffectNet: `image` (H, W, C=3) uint8, `label`, `id`, `valence` and `arousal` in [-1, 1], -2 where unlabelled.

    Splits: `train`, and `validation`, which the field tests on since the test set is not public.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "AffectNet"
    HOMEPAGE = "http://mohammadmahoor.com/affectnet/"
    builder_config: AffectNetConfig
    BUILDER_CONFIGS: ClassVar = [
        AffectNetConfig(name="expression", description="Aligned faces, eight emotions.", faces=FaceSettings()),
        AffectNetConfig(
            name="expression_7",
            description="Aligned faces, seven emotions.",
            faces=FaceSettings(),
            target="expression_7",
        ),
        AffectNetConfig(
            name="valence_arousal",
            description="Aligned faces with valence and arousal.",
            faces=FaceSettings(),
            target="valence_arousal",
        ),
        AffectNetConfig(name="official", description="The cropped pictures of the reduced release, eight emotions."),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "expression"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask for AffectNet at http://mohammadmahoor.com/affectnet/ and put into manual_dir: of the full release training.csv,
    validation.csv and the extracted folder Manually_Annotated_Images; or of the reduced one train_set and val_set.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        return CLASSES[self.builder_config.target]

    def more_features(self) -> dict[str, Any]:
        return {"valence": tfds.features.Scalar(np.float32), "arousal": tfds.features.Scalar(np.float32)}

    def read(self, manual_dir: Path) -> Iterator[StillSource | Skip]:
        target, whole = self.builder_config.target, self.builder_config.faces is None
        lists, folders = find_lists(manual_dir), find_folders(manual_dir)
        if not folders and (whole or not lists):
            names = ", ".join(entry.name for entry in entries(manual_dir)[:5])
            other = "" if whole else "training.csv, validation.csv and Manually_Annotated_Images, or "
            raise InputError(
                f"AffectNet: there should be {other}train_set and val_set with images and annotations",
                received=f"{manual_dir} with {names or 'nothing'}",
                action="The README.md of the builder tells what the folder must hold; copies on Kaggle differ.",
            )
        reduced = whole or not lists
        if reduced:
            sources = list(read_reduced_release(manual_dir, folders, target))
        else:
            sources = list(read_full_release(manual_dir, lists, target))
        yield from sources
        found = count_labels(sources)
        if target != "valence_arousal":
            official = official_counts(target, reduced=reduced)
            warn_if_incomplete(found, official, title=f"{manual_dir.name} (AffectNet)")
