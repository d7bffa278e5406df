"""The TensorFlow Datasets builder of AFEW. Finding the videos lies in the module beside it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import AFEW_FOLDERS, EMOTIONS
from tfds_builders.afew.layout import read_videos
from tfds_builders.base.clip_builder import ClipBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.listing import list_files
from tfds_builders.base.official import count_labels, warn_if_incomplete
from tfds_builders.base.source import ClipSource, Skip, VideoPart

#: Videos of AFEW 7.0 per split and emotion.
OFFICIAL_COUNTS: dict[str, dict[str, int]] = {
    "train": dict(zip(AFEW_FOLDERS.values(), (133, 74, 81, 150, 144, 117, 74), strict=True)),
    "validation": dict(zip(AFEW_FOLDERS.values(), (64, 40, 46, 63, 63, 61, 46), strict=True)),
}


@dataclass(eq=False, kw_only=True)
class AfewConfig(FaceConfig):
    """A configuration of AFEW.

    Attributes:
        stretch: Width of a pixel divided by its height, 1.4222 where 720 x 576 pixels show a picture of 16:9.
    """

    stretch: float = 1.0


class Builder(ClipBuilder):
    """AFEW 7.0: clips with `label` in the order of `EMOTIONS`. Splits: `train` and `validation`; no subjects."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "AFEW"
    HOMEPAGE = "https://cs.anu.edu.au/few/AFEW.html"
    CLASSES = EMOTIONS
    builder_config: AfewConfig
    BUILDER_CONFIGS: ClassVar = [
        AfewConfig(name="aligned", description="Aligned faces, 112 x 112 pixels, RGB.", faces=FaceSettings()),
        AfewConfig(name="aligned_224", description="The same, 224 x 224 pixels.", faces=FaceSettings(size=224)),
        AfewConfig(
            name="whole",
            description="Whole frames, scaled to 112 x 112 pixels.",
            faces=FaceSettings(detector="none"),
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    An academic asks the organisers of EmotiW for AFEW 7.0 (https://cs.anu.edu.au/few/AFEW.html). Extract Train_AFEW.zip
    and Val_AFEW.zip into manual_dir.
    """

    def read(self, manual_dir: Path) -> Iterator[ClipSource | Skip]:
        stretch = self.builder_config.stretch
        if not 0.5 <= stretch <= 2:
            raise InputError("AFEW: stretch must be in [0.5, 2]", received=stretch)
        sources: list[ClipSource | Skip] = []
        for video in read_videos(list_files(manual_dir)):
            if isinstance(video, Skip):
                sources.append(video)
                continue
            frames = VideoPart(video.path, stretch=stretch)
            sources.append(
                ClipSource(split=video.split, id=video.id, recording=video.id, frames=frames, label=video.emotion)
            )
        yield from sources
        warn_if_incomplete(count_labels(sources), OFFICIAL_COUNTS, title=f"{manual_dir.name} (AFEW)")
