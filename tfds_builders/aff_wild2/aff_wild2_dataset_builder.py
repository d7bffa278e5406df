"""The TensorFlow Datasets builder of Aff-Wild2. Reading the files lies in the modules beside it."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import NO_CLASS, UNLABELLED
from tfds_builders.aff_wild2.annotation import (
    ACTION_UNITS,
    NOT_ANNOTATED,
    read_action_units,
    read_expressions,
    read_valence_arousal,
)
from tfds_builders.aff_wild2.layout import KINDS, Folders, Person, find_folders, read_people
from tfds_builders.base.aligned_clips import PerFrame
from tfds_builders.base.clip_builder import ClipBuilder
from tfds_builders.base.faces import FaceConfig, FaceSettings
from tfds_builders.base.source import ClipSource, FrameFiles, FrameValues, Skip, VideoPart

#: Frames per second of the cropped faces, which do not tell. Most of the videos have 30.
FPS = 30.0
#: Where people are whose annotation is called left and right: x, y, width, height as fractions of the frame.
HALVES = {"left": (0.0, 0.0, 0.5, 1.0), "right": (0.5, 0.0, 0.5, 1.0)}


@dataclass(eq=False, kw_only=True)
class AffWild2Config(FaceConfig):
    """A configuration of Aff-Wild2.

    Attributes:
        frames: `cropped` takes the faces of the owners, `videos` finds them in the videos.
        kinds: Which annotations: `VA`, `EXPR` and `AU`.
        two_people: Videos in which two people are annotated as left and right: the half of the frame is looked at, or
            they are left out. Faces of the owners need neither.
    """

    frames: Literal["cropped", "videos"] = "cropped"
    kinds: tuple[str, ...] = KINDS
    two_people: Literal["halves", "leave_out"] = "halves"


class Builder(ClipBuilder):
    """Aff-Wild2, splits `train` and `validation`: clips with the labels of each frame that the owners have.

    `valence` and `arousal` (T,) int32 from -10 to 10, `UNLABELLED` without annotation; `valence_arousal` (T, 2) float32
    as given, NaN without; `emotion` (T,) int32 in the order of `EMOTIONS`, -1 without or for other expressions;
    `action_units` (T, 12) int32 of 0 and 1, -1 without.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "Initial release."}
    TITLE = "Aff-Wild2"
    HOMEPAGE = "https://ibug.doc.ic.ac.uk/resources/aff-wild2/"
    builder_config: AffWild2Config
    BUILDER_CONFIGS: ClassVar = [
        AffWild2Config(
            name="cropped",
            description="The faces that the owners have cut out and aligned, 112 x 112 pixels, RGB.",
            faces=FaceSettings(detector="none"),
        ),
        AffWild2Config(
            name="aligned",
            description="Faces found in the videos by a detector, 112 x 112 pixels, RGB.",
            faces=FaceSettings(),
            frames="videos",
        ),
    ]
    DEFAULT_BUILDER_CONFIG_NAME = "cropped"
    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    An academic asks for Aff-Wild2 at https://ibug.doc.ic.ac.uk/resources/aff-wild2/. Extract the annotations and
    cropped_aligned, or the videos, into manual_dir.
    """

    def per_frame(self) -> Mapping[str, PerFrame]:
        return {
            "valence": PerFrame((), "int32", UNLABELLED),
            "arousal": PerFrame((), "int32", UNLABELLED),
            "valence_arousal": PerFrame((2,), "float32", np.nan),
            "emotion": PerFrame((), "int32", NO_CLASS),
            "action_units": PerFrame((len(ACTION_UNITS),), "int32", NOT_ANNOTATED),
        }

    def read(self, manual_dir: Path) -> Iterator[ClipSource | Skip]:
        config = self.builder_config
        unknown = set(config.kinds) - set(KINDS)
        if unknown or not config.kinds:
            raise InputError(f"Aff-Wild2: kinds should be some of {', '.join(KINDS)}", received=str(config.kinds))
        folders = find_folders(manual_dir)
        for person in read_people(folders, manual_dir, kinds=config.kinds):
            yield person if isinstance(person, Skip) else source_of(person, folders, config)


def source_of(person: Person, folders: Folders, config: AffWild2Config) -> ClipSource | Skip:
    """The frames of one person as far as they are annotated."""
    labels, length = read_labels(person)
    frames: FrameFiles | VideoPart
    if config.frames == "cropped":
        if person.name not in folders.cropped:
            return Skip(person.split, person.name, "no folder in cropped_aligned")
        frames = FrameFiles(NumberedFaces(folders.cropped[person.name], length), range(length), FPS)
    elif person.name in folders.videos:
        frames = VideoPart(folders.videos[person.name], stop=length)
    elif person.side is None or person.video not in folders.videos:
        return Skip(person.split, person.name, "no video file")
    elif config.two_people == "leave_out":
        return Skip(person.split, person.name, "one of two people")
    else:
        frames = VideoPart(folders.videos[person.video], stop=length, crop=HALVES[person.side])
    return ClipSource(split=person.split, id=person.name, recording=person.video, frames=frames, per_frame=labels)


def read_labels(person: Person) -> tuple[dict[str, FrameValues], int]:
    """Feature -> values, and the number of frames with any annotation. Files of one video may differ by a line."""
    labels: dict[str, np.ndarray] = {}
    if "VA" in person.files:
        given = read_valence_arousal(person.files["VA"])
        # Tenths, rounded: -10 to 10.
        tenths = np.where(np.isnan(given), UNLABELLED, np.rint(10 * given)).astype(np.int8)
        labels |= {"valence": tenths[:, 0], "arousal": tenths[:, 1], "valence_arousal": given}
    if "EXPR" in person.files:
        labels["emotion"] = read_expressions(person.files["EXPR"])
    if "AU" in person.files:
        labels["action_units"] = read_action_units(person.files["AU"])
    values = {name: FrameValues(array) for name, array in labels.items()}
    return values, max(map(len, labels.values()))


@dataclass(frozen=True)
class NumberedFaces(Collection[Path | None]):
    """The files `00001.jpg` and so on of a folder, None where there is none: no face was found in that frame.

    Millions of them lie there, so each is looked for when its turn comes.
    """

    folder: Path
    length: int

    def __iter__(self) -> Iterator[Path | None]:
        for number in range(1, self.length + 1):
            path = self.folder / f"{number:05d}.jpg"
            yield path if path.exists() else None

    def __len__(self) -> int:
        return self.length

    def __contains__(self, path: object) -> bool:
        return any(path == own for own in self)
