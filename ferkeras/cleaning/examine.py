"""Looks at every picture once: reads it, finds the face, measures, hashes, and computes features if there is a run."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ferkeras.cleaning.collection import Collection, Picture
from ferkeras.cleaning.quality import Quality, measure
from ferkeras.data.phash import dct_hash
from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment
from ferkeras.faces.detection import Detector, Faces

#: B faces (h, w, 1 or 3) uint8, whose sizes may differ -> features (B, D).
Encode = Callable[[Sequence[np.ndarray]], np.ndarray]

#: A batch ends at either: so many pictures, so many pixels together.
_MOST_PICTURES, _MOST_PIXELS = 16, 40_000_000


@dataclass(frozen=True, eq=False)
class Examined:
    """What is known of a picture. One that cannot be read has nothing but `problem`, one without a face no quality.

    Attributes:
        picture: Path and class.
        problem: Why it cannot be read.
        pixels: Height times width.
        digest: SHA-256 of shape and pixels.
        hash: Perceptual hash of the picture; None also where it shows too little.
        faces: Longer side of each face, the largest first.
        quality: Of the largest face.
        features: (D,) of the largest face, where there is an encoder.
    """

    picture: Picture
    problem: InputError | None = None
    pixels: int = 0
    digest: bytes = b""
    hash: int | None = None
    faces: tuple[float, ...] = ()
    quality: Quality | None = None
    features: np.ndarray | None = None


def examine(
    collection: Collection, detector: Detector, *, encode: Encode | None = None, alignment: Alignment | None = None
) -> Iterator[Examined]:
    """Examines the pictures in their order, in batches.

    Args:
        collection: The pictures.
        detector: Finds the faces.
        encode: Features of faces, for `ferkeras.cleaning.mislabelled`.
        alignment: How a face is cut out for `encode`; None gives it the whole picture.
    """
    for batch in _batches(collection):
        images = {index: image for index, (_, image) in enumerate(batch) if isinstance(image, np.ndarray)}
        found = dict(zip(images, detector([_rgb(image) for image in images.values()]) if images else [], strict=True))
        largest = {
            index: faces[[int(np.argmax(faces.boxes[:, 2:].max(axis=1)))]]
            for index, faces in found.items()
            if len(faces)
        }
        features: dict[int, np.ndarray] = {}
        if encode is not None and largest:
            crops = [_cut(images[index], face, alignment) for index, face in largest.items()]
            features = dict(zip(largest, np.asarray(encode(crops), np.float32), strict=True))
        for index, (picture, image) in enumerate(batch):
            if isinstance(image, InputError):
                yield Examined(picture, problem=image)
                continue
            face = largest.get(index)
            yield Examined(
                picture,
                pixels=image.shape[0] * image.shape[1],
                digest=hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest(),
                hash=dct_hash(image),
                faces=tuple(sorted(map(float, found[index].boxes[:, 2:].max(axis=1)), reverse=True)),
                quality=None if face is None else measure(image, face.boxes[0]),
                features=features.get(index),
            )


def _batches(collection: Collection) -> Iterable[list[tuple[Picture, np.ndarray | InputError]]]:
    batch: list[tuple[Picture, np.ndarray | InputError]] = []
    pixels = 0
    for picture in collection.pictures:
        try:
            image: np.ndarray | InputError = collection.read(picture.path)
        except InputError as error:
            image = error
        batch.append((picture, image))
        pixels += image.size if isinstance(image, np.ndarray) else 0
        if len(batch) == _MOST_PICTURES or pixels >= _MOST_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _cut(image: np.ndarray, face: Faces, alignment: Alignment | None) -> np.ndarray:
    if alignment is None:
        return image
    known = not np.isnan(face.landmarks[0]).any()
    matrix = alignment.matrix(face.landmarks[0]) if known else alignment.box_matrix(face.boxes[0])
    return alignment.crop(image, matrix)


def _rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
