"""The TensorFlow Datasets builder of DISFA. Reading the files, and the rules, lie in the modules beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS, NO_CLASS
from tfds_builders.base import work
from tfds_builders.base.aligned_clips import PerFrame
from tfds_builders.base.clip_builder import ClipBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.listing import list_files
from tfds_builders.base.official import warn_if_incomplete
from tfds_builders.base.source import ClipSource, FrameValues, Skip, StillSource, VideoFrame, VideoPart
from tfds_builders.base.still_builder import StillBuilder
from tfds_builders.disfa.layout import SPLIT, Camera, Recording, read_recordings
from tfds_builders.disfa.rules import ACTION_UNITS, NO_INTENSITY, Matching, emotions_of

OFFICIAL_VIDEOS = 27


@dataclass(eq=False, kw_only=True)
class DisfaConfig(FaceConfig):
    """A configuration of DISFA.

    Attributes:
        form: `clips` are videos with labels in each frame, `stills` single frames with an emotion.
        camera: Which of the two videos of a person.
        threshold: Intensity from which on an action unit is active.
        matching: See `emotions_of`.
        angry: Whether there is a rule for anger, of whose action units DISFA codes only two.
        step: Stills: every so-manieth frame of a run of one emotion is taken.
    """

    form: Literal["clips", "stills"] = "clips"
    camera: Camera = "left"
    threshold: int = 2
    matching: Matching = "exact"
    angry: bool = True
    step: int = 10


class Builder(ClipBuilder, StillBuilder):
    """DISFA, one split `train`, with `subject` and `action_units`: 0 to 5, in the order of `ACTION_UNITS`.

    Clips have `action_units` (T, 12) and `emotion` (T,) in the order of `EMOTIONS`, both -1 where there is none. Stills
    have `action_units` (12,) and `label`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "DISFA"
    HOMEPAGE = "http://mohammadmahoor.com/disfa/"
    SUBJECTS = True
    builder_config: DisfaConfig
    BUILDER_CONFIGS: ClassVar = [
        DisfaConfig(name="aligned", description="Clips, aligned faces, 112 x 112 pixels, RGB.", faces=FaceSettings()),
        DisfaConfig(name="aligned_224", description="The same, 224 x 224 pixels.", faces=FaceSettings(size=224)),
        DisfaConfig(
            name="whole",
            description="Clips of whole frames, scaled to 112 x 112 pixels.",
            faces=FaceSettings(detector="none"),
        ),
        DisfaConfig(
            name="stills",
            description="Every tenth frame of those whose active action units (intensity 2 or more) are those of an "
            "emotion and no others; aligned, 112 x 112 pixels, RGB.",
            faces=FaceSettings(),
            form="stills",
        ),
        DisfaConfig(
            name="stills_subset",
            description="The same, but further action units may be active.",
            faces=FaceSettings(),
            form="stills",
            matching="subset",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask for DISFA at http://mohammadmahoor.com/disfa/ and put into manual_dir the videos of one camera, extracted, and
    ActionUnit_Labels.zip, as it is or extracted.
    """

    @property
    def _kind(self) -> type[ClipBuilder] | type[StillBuilder]:
        return ClipBuilder if self.builder_config.form == "clips" else StillBuilder

    @property
    def classes(self) -> tuple[str, ...]:
        return () if self.builder_config.form == "clips" else EMOTIONS

    def per_frame(self) -> Mapping[str, PerFrame]:
        units = PerFrame((len(ACTION_UNITS),), "int32", NO_INTENSITY)
        return {"action_units": units, "emotion": PerFrame((), "int32", NO_CLASS)}

    def more_features(self) -> dict[str, Any]:
        if self.builder_config.form == "clips":
            return {}
        return {"action_units": tfds.features.Tensor(shape=(len(ACTION_UNITS),), dtype=np.int32)}

    def _info(self) -> tfds.core.DatasetInfo:
        return self._kind._info(self)

    def make(self) -> work.Make:
        return self._kind.make(self)

    def stored(self, source: Any, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return self._kind.stored(self, source, result)

    def read(self, manual_dir: Path) -> Iterator[ClipSource | StillSource | Skip]:
        config, found = self.builder_config, 0
        if not 1 <= config.threshold <= 5 or config.step < 1:
            received = f"threshold={config.threshold}, step={config.step}"
            raise InputError("DISFA: threshold must be in [1, 5], step at least 1", received=received)
        for recording in read_recordings(list_files(manual_dir), camera=config.camera):
            if isinstance(recording, Skip):
                yield recording
                continue
            found += 1
            emotions = emotions_of(
                recording.intensities, threshold=config.threshold, matching=config.matching, angry=config.angry
            )
            if config.form == "clips":
                yield clip_of(recording, emotions)
            else:
                yield from stills_of(recording, emotions, step=config.step)
        official = {SPLIT: {"videos": OFFICIAL_VIDEOS}}
        warn_if_incomplete({SPLIT: {"videos": found}}, official, title=f"{manual_dir.name} (DISFA)")


def clip_of(recording: Recording, emotions: np.ndarray) -> ClipSource:
    """The whole video, as far as there are labels."""
    values = {"action_units": FrameValues(recording.intensities), "emotion": FrameValues(emotions)}
    return ClipSource(
        split=SPLIT,
        id=recording.subject,
        recording=recording.subject,
        frames=VideoPart(recording.video, stop=len(emotions)),
        subject=recording.subject,
        per_frame=values,
    )


def stills_of(recording: Recording, emotions: np.ndarray, *, step: int) -> Iterator[StillSource]:
    """Frames `step` apart in the middle of each run of frames with one emotion: neighbours are nearly the same."""
    for emotion, frames in groupby(range(len(emotions)), key=lambda frame: int(emotions[frame])):
        run = list(frames)
        for frame in run[len(run) % step // 2 :: step] if emotion != NO_CLASS else ():
            yield StillSource(
                split=SPLIT,
                id=f"{recording.subject}/{frame:05d}",
                picture=VideoFrame(VideoPart(recording.video), frame),
                label=EMOTIONS[emotion],
                subject=recording.subject,
                more={"action_units": recording.intensities[frame]},
            )
