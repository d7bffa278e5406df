"""The TensorFlow Datasets builder of AFEW-VA. Reading the files lies in the modules beside it."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from tfds_builders.afew_va.layout import SPLIT, Clip, read_clips
from tfds_builders.base.aligned_clips import PerFrame
from tfds_builders.base.clip_builder import ClipBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.listing import list_files
from tfds_builders.base.official import warn_if_incomplete
from tfds_builders.base.source import ClipSource, FrameFiles, Skip

OFFICIAL_CLIPS = 600
#: Frames per second. The data set does not say; films on DVD of the PAL region, 720 x 576 pixels, have 25.
FPS = 25.0


@dataclass(eq=False, kw_only=True)
class AfewVaConfig(FaceConfig):
    """A configuration of AFEW-VA.

    Attributes:
        landmarks: Whether faces are aligned by the landmarks of the data set; otherwise a detector finds them.
        stretch: Width of a pixel divided by its height. Frames of 720 x 576 pixels show a wide film when widened to
            16:9 by 1.4222; one published loader takes 1.3333. 1 leaves frames, and faces, as narrow as they are.
    """

    landmarks: bool = True
    stretch: float = 1.0


class Builder(ClipBuilder):
    """AFEW-VA, one split `train`: clips with `valence` and `arousal` (T,) int32 in [-10, 10], `subject` is the actor.

    `UNLABELLED` stands in frames without an annotation. There are 68 landmarks a frame.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "AFEW-VA"
    HOMEPAGE = "https://ibug.doc.ic.ac.uk/resources/afew-va-database/"
    SUBJECTS = True
    LANDMARKS = 68
    builder_config: AfewVaConfig
    BUILDER_CONFIGS: ClassVar = [
        AfewVaConfig(
            name="aligned",
            description="Faces aligned by the landmarks of the data set, 112 x 112 pixels, RGB.",
            faces=FaceSettings(),
        ),
        AfewVaConfig(name="aligned_224", description="The same, 224 x 224 pixels.", faces=FaceSettings(size=224)),
        AfewVaConfig(
            name="detected",
            description="Faces found by a detector, as in the videos of a user, 112 x 112 pixels, RGB.",
            faces=FaceSettings(),
            landmarks=False,
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "aligned"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask for AFEW-VA at https://ibug.doc.ic.ac.uk/resources/afew-va-database/ and put the twelve zip archives into
    manual_dir, as they are or extracted.
    """

    def per_frame(self) -> Mapping[str, PerFrame]:
        return {name: PerFrame((), "int32", UNLABELLED) for name in ("valence", "arousal")}

    def read(self, manual_dir: Path) -> Iterator[ClipSource | Skip]:
        if not 0.5 <= self.builder_config.stretch <= 2:
            raise InputError("AFEW-VA: stretch must be in [0.5, 2]", received=self.builder_config.stretch)
        found, differing = 0, []
        for clip in read_clips(list_files(manual_dir)):
            if isinstance(clip, Skip):
                yield clip
                continue
            found += 1
            pictures, annotated = clip.pictures.keys(), clip.annotation.valence.keys()
            if pictures != annotated:
                differing.append(f"{clip.id} ({len(pictures)} pictures, {len(annotated)} annotated frames)")
            yield source_of(clip, self.builder_config)
        if differing:
            warnings.warn(
                f"{manual_dir.name} (AFEW-VA): {len(differing)} clips have a picture for other frames than those "
                f"annotated: {', '.join(differing[:5])}{', ...' if len(differing) > 5 else ''}.",
                stacklevel=2,
            )
        counts = {SPLIT: {"clips": found}}
        warn_if_incomplete(counts, {SPLIT: {"clips": OFFICIAL_CLIPS}}, title=f"{manual_dir.name} (AFEW-VA)")


def source_of(clip: Clip, config: AfewVaConfig) -> ClipSource:
    """The clip with every frame that has a picture or an annotation."""
    numbers = sorted({*clip.pictures, *clip.annotation.valence})
    wider = np.array([config.stretch, 1.0])
    landmarks = {number: points * wider for number, points in clip.annotation.landmarks.items()}
    return ClipSource(
        split=SPLIT,
        id=clip.id,
        recording=clip.id,
        frames=FrameFiles(tuple(clip.pictures.get(number) for number in numbers), tuple(numbers), FPS, config.stretch),
        subject=clip.annotation.actor,
        landmarks=landmarks if config.landmarks else None,
        per_frame={"valence": clip.annotation.valence, "arousal": clip.annotation.arousal},
    )
