"""The answer to one picture: annotated copy, bars, table."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ferkeras.annotation.draw import draw
from ferkeras.app import markup
from ferkeras.app.model import Model
from ferkeras.files import staged
from ferkeras.prediction.result import FaceResult, FrameResult
from ferkeras.rows import columns, open_writer

#: Longest side in pixels of pictures on the page.
LONGEST = 1600


@dataclass(frozen=True, eq=False)
class Seen:
    """A face as the network saw it.

    Attributes:
        crop: (H, W, C) uint8.
        best: Name of the most probable emotion; None for a network of valence and arousal alone.
    """

    crop: np.ndarray
    best: str | None


@dataclass(frozen=True, eq=False)
class Answer:
    """What the page says of a picture.

    Attributes:
        annotated: JPEG file with boxes and labels, at most `LONGEST` pixels long.
        said: What was found, in a sentence.
        bars: HTML, a block for each face.
        table: HTML, the rows.
        rows: CSV file, the rows.
        seen: The faces, in the order of the rows.
    """

    annotated: Path
    said: str
    bars: str
    table: str
    rows: Path
    seen: Sequence[Seen]


def answer(model: Model, path: Path, folder: Path) -> Answer:
    """Finds and classifies the faces in `path`; files go to `folder`.

    Raises:
        InputError: if the file is no picture or too large.
    """
    result = model.picture(path)
    seen = [_seen(model, _image(result), face) for face in result.faces]
    small = shrunk(result, LONGEST)
    annotated, rows = folder / f"{path.stem}.annotated.jpg", folder / f"{path.stem}.csv"
    with staged(annotated) as unfinished:
        Image.fromarray(draw(_image(small), small, labels=model.labels)).save(unfinished, quality=92)
    found = list(result.rows(model.labels))
    with open_writer(rows, classes=model.labels) as write:
        for row in found:
            write(row)
    table = markup.table(found, columns(model.labels), caption=f"Faces in {path.name}")
    return Answer(annotated, markup.sentence(result), markup.bars(result, model.labels), table, rows, seen)


def shrunk(result: FrameResult, longest: int) -> FrameResult:
    """The same in a picture whose longer side has at most `longest` pixels."""
    image = _image(result)
    scale = longest / max(image.shape[:2])
    if scale >= 1:
        return result
    size = tuple(max(round(side * scale), 1) for side in image.shape[1::-1])
    faces = tuple(
        replace(face, face=replace(face.face, box=face.face.box * scale, landmarks=face.face.landmarks * scale))
        for face in result.faces
    )
    return replace(result, image=cv2.resize(image, size, interpolation=cv2.INTER_AREA), faces=faces)


def _seen(model: Model, image: np.ndarray, face: FaceResult) -> Seen:
    probabilities = None if face.scores is None else face.scores.probabilities
    best = None if probabilities is None else model.labels[int(probabilities.argmax())]
    return Seen(model.predictor.crop(image, face.face), best)


def _image(result: FrameResult) -> np.ndarray:
    if result.image is None:
        raise ValueError("the result has no image")
    return result.image
