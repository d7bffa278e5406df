"""From the source of a clip to its examples: frames read, one face followed, aligned, labels put beside them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.align import map_points
from ferkeras.faces.choice import choose
from ferkeras.faces.follow import follow
from ferkeras.faces.landmarks68 import five_points
from ferkeras.video import Frame, open_video
from tfds_builders.base.faces import GIVEN, FaceSettings, colour, detector_of, face_matrix
from tfds_builders.base.pictures import load_picture
from tfds_builders.base.source import ClipSource, FrameFiles, Skip, VideoPart
from tfds_builders.base.videos import read_part, widened

#: Number of landmarks of a clip whose data set has none: those of the detectors.
FIVE, SIXTY_EIGHT = 5, 68
#: Stands for a frame whose picture the data set does not have or that cannot be read.
MISSING = np.zeros((1, 1, 3), np.uint8)


@dataclass(frozen=True)
class PerFrame:
    """A feature with one value a frame: its shape, its type, and what stands where a frame has no label."""

    shape: tuple[int, ...]
    dtype: str
    unlabelled: float


@dataclass(frozen=True, eq=False)
class AlignedFace:
    """One frame of a clip: its number and time, the face (S, S, C), its landmarks (N, 2) in pixels of the face."""

    index: int
    found: bool
    face: np.ndarray
    landmarks: np.ndarray


def clip_results(
    source: ClipSource, *, settings: FaceSettings, per_frame: Mapping[str, PerFrame], landmarks: int
) -> Iterator[dict[str, Any] | Skip]:
    """The results of one source, at most `settings.max_frames` frames each, and what was wrong with its files.

    Raises nothing for a file that cannot be read: that is a `Skip`. A clip with no face in any frame is one too.
    """
    problems: list[str] = []
    try:
        fps, frames = _frames(source.frames, problems)
        faces = _aligned(frames, source, settings)
        number = 0
        while part := list(islice(faces, settings.max_frames)):
            if any(face.found for face in part):
                yield _example(source, part, fps=fps, number=number, per_frame=per_frame, landmarks=landmarks)
            else:
                yield Skip(source.split, _clip_id(source, number), "no face in any frame")
            number += 1
        if not number:
            yield Skip(source.split, source.id, "no frame")
    except InputError as error:
        yield Skip(source.split, source.id, f"cannot be read: {error}")
    for problem in problems:
        yield Skip(source.split, source.id, f"damaged, the rest is kept: {problem}")


def _frames(source: VideoPart | FrameFiles, problems: list[str]) -> tuple[float, Iterator[Frame]]:
    """Frames per second, and the frames; what is damaged is added to `problems` while they are read."""
    if isinstance(source, FrameFiles):
        return source.fps, _from_files(source, problems)
    with open_video(source.path) as video:
        fps = video.info.fps
    return fps, read_part(source, problems)


def _from_files(source: FrameFiles, problems: list[str]) -> Iterator[Frame]:
    for index, picture in zip(source.index, source.pictures, strict=True):
        image = MISSING
        if picture is not None:
            try:
                image = widened(colour(load_picture(picture), 3), source.stretch)
            except InputError as error:
                problems.append(str(error))
        yield Frame(index, index / source.fps, image)


def _aligned(frames: Iterable[Frame], source: ClipSource, settings: FaceSettings) -> Iterator[AlignedFace]:
    if source.landmarks is not None:
        yield from _aligned_by_landmarks(frames, source.landmarks, settings)
        return
    if settings.detector == "none":
        yield from _whole(frames, settings)
        return
    if settings.detector == GIVEN:
        yield from _by_given(frames, source.recording, settings)
        return
    detector = detector_of(settings.detector, settings.model_file, settings.min_face)
    for followed in follow(frames, detector, rule=settings.choice, key_interval=settings.key_interval):
        if not followed.found:
            yield _no_face(followed.frame, settings, landmarks=FIVE)
            continue
        matrix = face_matrix(settings.alignment, followed.box, followed.landmarks)
        yield _face(followed.frame, settings, matrix, followed.landmarks)


def _by_given(frames: Iterable[Frame], recording: str, settings: FaceSettings) -> Iterator[AlignedFace]:
    for frame in frames:
        found = settings.given().faces(recording, frame=frame.index)
        faces = choose(found, settings.choice, image_shape=frame.image.shape)
        if not len(faces) or _is_missing(frame):
            yield _no_face(frame, settings, landmarks=FIVE)
            continue
        matrix = face_matrix(settings.alignment, faces.boxes[0], faces.landmarks[0])
        yield _face(frame, settings, matrix, faces.landmarks[0])


def _aligned_by_landmarks(
    frames: Iterable[Frame], landmarks: Mapping[int, np.ndarray], settings: FaceSettings
) -> Iterator[AlignedFace]:
    for frame in frames:
        points = landmarks.get(frame.index)
        try:
            if points is None or _is_missing(frame):
                raise InputError("There is no face")
            matrix = settings.alignment.matrix(five_points(points))
        except InputError:  # also where the landmarks are all in one place, which says that there is no face
            yield _no_face(frame, settings, landmarks=SIXTY_EIGHT)
        else:
            yield _face(frame, settings, matrix, points)


def _whole(frames: Iterable[Frame], settings: FaceSettings) -> Iterator[AlignedFace]:
    unknown = np.full((FIVE, 2), np.nan, np.float32)
    for frame in frames:
        if _is_missing(frame):
            yield _no_face(frame, settings, landmarks=FIVE)
        else:
            height, width = frame.image.shape[:2]
            yield _face(frame, settings, settings.alignment.box_matrix(np.array([0, 0, width, height])), unknown)


def _is_missing(frame: Frame) -> bool:
    return frame.image.shape[:2] == MISSING.shape[:2]


def _face(frame: Frame, settings: FaceSettings, matrix: np.ndarray, points: np.ndarray) -> AlignedFace:
    face = settings.alignment.crop(colour(frame.image, settings.channels), matrix)
    return AlignedFace(frame.index, True, face, map_points(matrix, points).astype(np.float32))


def _no_face(frame: Frame, settings: FaceSettings, *, landmarks: int) -> AlignedFace:
    black = np.zeros((settings.size, settings.size, settings.channels), np.uint8)
    return AlignedFace(frame.index, False, black, np.full((landmarks, 2), np.nan, np.float32))


def _example(
    source: ClipSource,
    faces: list[AlignedFace],
    *,
    fps: float,
    number: int,
    per_frame: Mapping[str, PerFrame],
    landmarks: int,
) -> dict[str, Any]:
    unknown = np.full((landmarks, 2), np.nan, np.float32)
    example: dict[str, Any] = {
        "frames": np.stack([face.face for face in faces]),
        "frame_index": np.array([face.index for face in faces], np.int32),
        "face_found": np.array([face.found for face in faces]),
        # Five points of a detector have no place where the data set has 68 for other clips.
        "landmarks": np.stack([face.landmarks if len(face.landmarks) == landmarks else unknown for face in faces]),
        "clip_id": _clip_id(source, number),
        "recording": source.recording,
        "fps": np.float32(fps),
        **source.more,
    }
    if source.label is not None:
        example["label"] = source.label
    if source.subject is not None:
        example["subject"] = source.subject
    for name, feature in per_frame.items():
        values = source.per_frame.get(name, {})
        empty = np.full(feature.shape, feature.unlabelled, feature.dtype)
        example[name] = np.array([values.get(face.index, empty) for face in faces], feature.dtype)
    return example


def _clip_id(source: ClipSource, number: int) -> str:
    """The id of a clip is that of its source; the second and later parts of a long one have a number behind it."""
    return source.id if number == 0 else f"{source.id}#{number}"
