"""The TensorFlow Datasets builder of CK+. Reading the files lies in the modules beside it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import CK_PLUS_CODES, EMOTIONS_WITH_CONTEMPT
from tfds_builders.base import work
from tfds_builders.base.clip_builder import ClipBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.listing import list_files
from tfds_builders.base.official import warn_if_incomplete
from tfds_builders.base.source import ClipSource, FrameFiles, Skip, StillSource
from tfds_builders.base.still_builder import StillBuilder
from tfds_builders.ck_plus.layout import SPLIT, Sequence, read_ck48, read_sequences

#: Frames per second of the recordings.
FPS = 30.0
#: Labelled sequences of each emotion: 327 of 593. CK+48 has the last three frames of each.
OFFICIAL_COUNTS = {CK_PLUS_CODES[code]: n for code, n in enumerate((45, 18, 59, 25, 69, 28, 83), start=1)}
CK48_FRAMES = 3


@dataclass(eq=False, kw_only=True)
class CkPlusConfig(FaceConfig):
    """A configuration of CK+.

    Attributes:
        form: `sequences` are clips, `stills` single frames of them, `ck48` is the copy of faces of 48 x 48 pixels.
        peak_frames: Stills: so many last frames of a sequence show its emotion.
        neutral_frames: Stills: so many first frames are neutral.
    """

    form: Literal["sequences", "stills", "ck48"] = "sequences"
    peak_frames: int = 3
    neutral_frames: int = 1


class Builder(ClipBuilder, StillBuilder):
    """CK+, one split `train`: `label` in the order of `EMOTIONS_WITH_CONTEMPT`, `subject`, and clips or stills.

    Clips have the features of `ClipBuilder` with 68 landmarks, stills those of `StillBuilder`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "CK+"
    HOMEPAGE = "http://www.jeffcohn.net/Resources/"
    CLASSES = EMOTIONS_WITH_CONTEMPT
    SUBJECTS = True
    LANDMARKS = 68
    builder_config: CkPlusConfig
    BUILDER_CONFIGS: ClassVar = [
        CkPlusConfig(
            name="sequences",
            description="Clips from neutral to the peak, aligned faces of 112 x 112 pixels, RGB.",
            faces=FaceSettings(),
        ),
        CkPlusConfig(
            name="stills",
            description="The last three frames as emotion, the first as neutral; aligned, 112 x 112 pixels, RGB.",
            faces=FaceSettings(),
            form="stills",
        ),
        CkPlusConfig(
            name="ck48",
            description="The faces of the copy CK+48, 48 x 48 pixels, grey, without neutral ones.",
            faces=FaceSettings(detector="none", size=48, channels=1),
            form="ck48",
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "sequences"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask for CK+ at http://www.jeffcohn.net/Resources/ and put extended-cohn-kanade-images.zip, Emotion_labels.zip and
    Landmarks.zip into manual_dir, as they are or extracted.
    """

    @property
    def _kind(self) -> type[ClipBuilder] | type[StillBuilder]:
        return ClipBuilder if self.builder_config.form == "sequences" else StillBuilder

    def _info(self) -> tfds.core.DatasetInfo:
        return self._kind._info(self)

    def make(self) -> work.Make:
        return self._kind.make(self)

    def stored(self, source: Any, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return self._kind.stored(self, source, result)

    def read(self, manual_dir: Path) -> Iterator[ClipSource | StillSource | Skip]:
        config, files, found = self.builder_config, list_files(manual_dir), Counter[str]()
        if config.peak_frames < 1 or config.neutral_frames < 0:
            received = f"peak_frames={config.peak_frames}, neutral_frames={config.neutral_frames}"
            raise InputError("CK+: peak_frames must be at least 1, neutral_frames at least 0", received=received)
        if config.form == "ck48":
            for still in read_ck48(files):
                found[still.label] += 1
                yield still
        else:
            for sequence in read_sequences(files):
                if isinstance(sequence, Skip):
                    yield sequence
                    continue
                found[sequence.emotion] += 1
                yield from [clip_of(sequence)] if config.form == "sequences" else stills_of(sequence, config)
        frames = CK48_FRAMES if config.form == "ck48" else 1
        official = {emotion: frames * count for emotion, count in OFFICIAL_COUNTS.items()}
        warn_if_incomplete({SPLIT: found}, {SPLIT: official}, title=f"{manual_dir.name} (CK+, {config.form})")


def clip_of(sequence: Sequence) -> ClipSource:
    """The whole sequence; its frames are counted from 0, whatever number the first file has."""
    first = min(sequence.pictures)
    index = tuple(number - first for number in sequence.pictures)
    return ClipSource(
        split=SPLIT,
        id=sequence.id,
        recording=sequence.id,
        frames=FrameFiles(tuple(sequence.pictures.values()), index, FPS),
        label=sequence.emotion,
        subject=sequence.subject,
        landmarks={number - first: points for number, points in sequence.landmarks.items()} or None,
    )


def stills_of(sequence: Sequence, config: CkPlusConfig) -> Iterator[StillSource]:
    """First frames as neutral, last frames as emotion. No frame is both: short sequences have fewer of the emotion."""
    numbers = list(sequence.pictures)
    neutral = numbers[: min(config.neutral_frames, len(numbers) - 1)]
    peak = numbers[len(neutral) :][-config.peak_frames :]
    for number in neutral + peak:
        yield StillSource(
            split=SPLIT,
            id=f"{sequence.id}/{sequence.id.replace('/', '_')}_{number:08d}.png",
            picture=sequence.pictures[number],
            label="neutral" if number in neutral else sequence.emotion,
            subject=sequence.subject,
            landmarks=sequence.landmarks.get(number),
        )
