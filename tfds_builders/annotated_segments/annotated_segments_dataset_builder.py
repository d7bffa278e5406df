"""The TensorFlow Datasets builder of videos with a list of segments. Reading the list lies in the module beside it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from tfds_builders.annotated_segments.segments import Segment, read_segments
from tfds_builders.base.clip_builder import ClipBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.source import ClipSource, Skip, VideoPart


@dataclass(eq=False, kw_only=True)
class SegmentsConfig(FaceConfig):
    """A configuration for a list of segments.

    Attributes:
        classes: Names and order of the classes, as the list has them.
        leave_out: Labels of the list whose segments are not used.
        file: Path of the list from the manual directory on.
    """

    classes: tuple[str, ...] = ("neutral", "happy", "pensive")
    leave_out: tuple[str, ...] = ()
    file: str = "segments.csv"


class Builder(ClipBuilder):
    """Each segment is a clip with `label`, `subject` and `group`; frame numbers are those of the video.

    Splits: those that the list names, else all is in `train`. A subject or video in two splits is an error.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "The list of segments"
    HOMEPAGE = None
    SUBJECTS = True
    builder_config: SegmentsConfig
    BUILDER_CONFIGS: ClassVar = [
        SegmentsConfig(name="aligned", description="Aligned faces, 112 x 112 pixels, RGB.", faces=FaceSettings()),
        SegmentsConfig(name="aligned_224", description="The same, 224 x 224 pixels.", faces=FaceSettings(size=224)),
        SegmentsConfig(
            name="whole",
            description="Frames that are faces already, scaled to 112 x 112 pixels.",
            faces=FaceSettings(detector="none"),
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Put the videos and the list segments.csv (columns video,start,end,label,subject) into manual_dir.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        _check(self.builder_config.classes, self.builder_config.leave_out)
        return self.builder_config.classes

    def more_features(self) -> dict[str, Any]:
        return {"group": tfds.features.Text()}

    def read(self, manual_dir: Path) -> Iterator[ClipSource | Skip]:
        config = self.builder_config
        rows = read_segments(manual_dir, config.file, classes=self.classes, leave_out=config.leave_out)
        for segment in rows:
            yield segment if isinstance(segment, Skip) else source_of(segment, manual_dir)


def source_of(segment: Segment, root: Path) -> ClipSource:
    """The frames of the segment. Segments of one video are one recording, which stays in one split."""
    path = root / segment.video
    span = (segment.start, segment.end)
    frames = (
        VideoPart(path, start=int(segment.start), stop=int(segment.end))
        if segment.in_frames
        else VideoPart(path, seconds=span)
    )
    return ClipSource(
        split=segment.split,
        id=segment.id,
        recording=segment.video,
        frames=frames,
        label=segment.label,
        subject=segment.subject,
        more={"group": segment.group},
    )


def _check(classes: Sequence[str], leave_out: Sequence[str]) -> None:
    if not classes or len({name.strip().lower() for name in classes}) < len(classes):
        raise InputError("classes should be different names", received=", ".join(classes) or "none")
    both = [name for name in leave_out if name in classes]
    if both:
        raise InputError("A label should be either in classes or in leave_out", received=both[0])
