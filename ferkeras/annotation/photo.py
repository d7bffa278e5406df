"""Annotated copies of pictures, as files."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from ferkeras.annotation.draw import draw
from ferkeras.errors import InputError
from ferkeras.files import staged
from ferkeras.prediction.result import FaceResult, FrameResult

QUALITY = 95
#: Pictures whose shorter side has fewer pixels are enlarged by a whole factor: captions would not fit in.
LEGIBLE = 240
#: Suffixes of sources that are kept without loss; all others become JPEG.
LOSSLESS: Final = (".png", ".bmp", ".tif", ".tiff", ".gif")


class AnnotatedPhotos:
    """Writes annotated pictures to a folder, as `<stem>.annotated.jpg`, or `.png` where the source is without loss.

    The copies are upright and hold no metadata, so neither place nor time of the photo. A source whose name is taken,
    since another folder has a picture of the same stem, gives `<stem>-2.annotated.jpg` and so on, in the order in which
    they come; what an earlier run has left is replaced.

    Args:
        folder: Made where it is missing.
        labels: K names of the emotions; none for a network without classes.
    """

    def __init__(self, folder: Path, labels: tuple[str, ...]) -> None:
        self._folder, self._labels = Path(folder), labels
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def write(self, result: FrameResult) -> Path:
        """Writes one picture and returns its path.

        Raises:
            InputError: for a result without an image.
        """
        if result.image is None:
            raise InputError("There is no image to annotate", received=result.source)
        return write_photo(result, self._target(Path(result.source)), labels=self._labels)

    def _target(self, source: Path) -> Path:
        suffix = ".png" if source.suffix.lower() in LOSSLESS else ".jpg"
        while True:
            key = (source.stem + suffix).lower()  # some file systems do not tell cases apart
            self._counts[key] = count = self._counts.get(key, 0) + 1
            name = f"{source.stem}{'' if count == 1 else f'-{count}'}.annotated{suffix}"
            target = self._folder / name
            if name.lower() not in self._taken and not (target.exists() and _same(target, source)):
                self._taken.add(name.lower())
                return target


def write_photo(result: FrameResult, target: Path, *, labels: tuple[str, ...]) -> Path:
    """Writes the annotated picture to a `.jpg`, `.jpeg` or `.png` file, whole or not at all; returns `target`.

    Raises:
        InputError: for a result without an image, another suffix, or a target that is the source.
    """
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}.get(target.suffix.lower())
    if kind is None:
        raise InputError("An annotated picture ends in .jpg or .png", received=str(target))
    if target.exists() and _same(target, Path(result.source)):
        raise InputError("The annotated picture may not replace its source", received=str(target))
    if result.image is None:
        raise InputError("There is no image to annotate", received=result.source)
    larger = _enlarged(result, result.image)
    picture = io.BytesIO()
    Image.fromarray(draw(larger[0], larger[1], labels=labels)).save(picture, kind, quality=QUALITY, subsampling=0)
    with staged(target) as unfinished:
        unfinished.write_bytes(picture.getvalue())
    return target


def _enlarged(result: FrameResult, image: np.ndarray) -> tuple[np.ndarray, FrameResult]:
    """Image and result in a size in which captions can be read."""
    times = -(-LEGIBLE // min(image.shape[:2])) if min(image.shape[:2]) < LEGIBLE else 1
    if times == 1 or max(image.shape[:2]) * times > 4096:
        return image, result
    larger = np.repeat(np.repeat(image, times, axis=0), times, axis=1)
    return larger, replace(result, faces=tuple(_scaled(face, times) for face in result.faces))


def _scaled(face: FaceResult, times: int) -> FaceResult:
    return replace(face, face=replace(face.face, box=face.face.box * times, landmarks=face.face.landmarks * times))


def _same(target: Path, source: Path) -> bool:
    return source.exists() and target.samefile(source)
