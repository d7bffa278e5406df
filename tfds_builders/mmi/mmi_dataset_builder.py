"""The TensorFlow Datasets builder of MMI. Reading the files lies in the modules beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS, MMI_CODES
from ferkeras.video import open_video
from tfds_builders.base import work
from tfds_builders.base.aligned_clips import PerFrame
from tfds_builders.base.clip_builder import ClipBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.listing import list_files
from tfds_builders.base.source import ClipSource, FrameValues, Skip, StillSource, VideoFrame
from tfds_builders.base.still_builder import StillBuilder
from tfds_builders.mmi.layout import SPLIT, Dual, Recording, read_recordings
from tfds_builders.mmi.metadata import UNKNOWN, apex_of

#: Stills: so many frames around the apex show the emotion.
APEX_FRAMES = 3


@dataclass(eq=False, kw_only=True)
class MmiConfig(FaceConfig):
    """A configuration of MMI.

    Attributes:
        form: `clips` are whole videos, `stills` the apex, two frames beside it and the first frame as neutral.
        rotate: Whether older videos, which lie on their side, are turned upright.
        dual: Which half is frontal where a frame holds both views; such videos are left out otherwise.
    """

    form: Literal["clips", "stills"] = "clips"
    rotate: bool = True
    dual: Dual = "leave_out"


class Builder(ClipBuilder, StillBuilder):
    """MMI, one split `train`, with `subject`.

    Clips have `label` (six emotions), `apex` (number of a frame), and `phase` (T,) int32: 0 neutral, 1 onset, 2 apex, 3
    offset, -1 unknown. Stills have `label` in the order of `EMOTIONS`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "MMI"
    HOMEPAGE = "https://mmifacedb.eu"
    SUBJECTS = True
    builder_config: MmiConfig
    BUILDER_CONFIGS: ClassVar = [
        MmiConfig(name="aligned", description="Clips, aligned faces, 112 x 112 pixels, RGB.", faces=FaceSettings()),
        MmiConfig(name="aligned_224", description="The same, 224 x 224 pixels.", faces=FaceSettings(size=224)),
        MmiConfig(
            name="whole",
            description="Clips of whole frames, scaled to 112 x 112 pixels.",
            faces=FaceSettings(detector="none"),
        ),
        MmiConfig(
            name="stills",
            description="Three frames at the apex as emotion, the first as neutral; aligned, 112 x 112 pixels, RGB.",
            faces=FaceSettings(),
            form="stills",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    Ask for an account at https://mmifacedb.eu, choose sessions, download them, and extract the archive into manual_dir.
    """

    @property
    def _kind(self) -> type[ClipBuilder] | type[StillBuilder]:
        return ClipBuilder if self.builder_config.form == "clips" else StillBuilder

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(MMI_CODES.values()) if self.builder_config.form == "clips" else EMOTIONS

    def per_frame(self) -> Mapping[str, PerFrame]:
        return {"phase": PerFrame((), "int32", UNKNOWN)}

    def more_features(self) -> dict[str, Any]:
        return {"apex": tfds.features.Scalar(np.int32)} if self.builder_config.form == "clips" else {}

    def _info(self) -> tfds.core.DatasetInfo:
        return self._kind._info(self)

    def make(self) -> work.Make:
        return self._kind.make(self)

    def stored(self, source: Any, result: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if self.builder_config.form == "clips":
            frames = result["frame_index"]
            known = frames[0] <= result["apex"] <= frames[-1]
            result = {**result, "apex": np.int32(result["apex"] if known else frames[len(frames) // 2])}
        return self._kind.stored(self, source, result)

    def read(self, manual_dir: Path) -> Iterator[ClipSource | StillSource | Skip]:
        config = self.builder_config
        for recording in read_recordings(list_files(manual_dir), rotate=config.rotate, dual=config.dual):
            if isinstance(recording, Skip):
                yield recording
            elif config.form == "clips":
                yield clip_of(recording)
            else:
                yield from stills_of(recording)


def clip_of(recording: Recording) -> ClipSource:
    """The whole video. An apex that is not known, -1, is replaced by the middle once the frames are counted."""
    phases = recording.phases
    apex = None if phases is None else apex_of(phases)
    return ClipSource(
        split=SPLIT,
        id=recording.id,
        recording=recording.name,
        frames=recording.video,
        label=recording.emotion,
        subject=recording.subject,
        per_frame={} if phases is None else {"phase": FrameValues(phases, hold=True)},
        more={"apex": np.int32(-1 if apex is None else apex)},
    )


def stills_of(recording: Recording) -> Iterator[StillSource | Skip]:
    """The first frame as neutral, and the apex, or the middle, and its neighbours as emotion."""
    try:
        with open_video(recording.video.path) as video:
            count = video.info.frames
    except InputError as error:
        yield Skip(SPLIT, recording.id, f"cannot be read: {error}")
        return
    apex = None if recording.phases is None else apex_of(recording.phases)
    middle = count // 2 if apex is None or apex >= count else apex
    around = range(middle - APEX_FRAMES // 2, middle + APEX_FRAMES // 2 + 1)
    for frame in (0, *(frame for frame in around if 0 < frame < count)):
        yield StillSource(
            split=SPLIT,
            id=f"{recording.id}/{frame:05d}",
            picture=VideoFrame(recording.video, frame),
            label=recording.emotion if frame else "neutral",
            subject=recording.subject,
        )
