"""Boxes from a file in the place of a detector, for pictures and for the frames of a video."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from ferkeras.faces.detection import Faces
from ferkeras.faces.follow import Picture
from ferkeras.faces.given import GivenFaces

P = TypeVar("P", bound=Picture)


class BoxReader:
    """A `Detector` that looks the faces up by the very picture that it is given, see `announce`.

    Args:
        given: The file.
    """

    name = "boxes"

    def __init__(self, given: GivenFaces) -> None:
        self._given = given
        self._announced: dict[int, tuple[np.ndarray, str, int]] = {}  # by id; the picture is kept, so ids are unique

    def announce(self, frames: Iterable[P], *, source: str, held: int) -> Iterator[P]:
        """`frames`, of each of which it is remembered where it belongs, as long as `held` more have not come."""
        for frame in frames:
            self._announced[id(frame.image)] = (frame.image, source, frame.index)
            while len(self._announced) > held + 1:
                del self._announced[next(iter(self._announced))]
            yield frame

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        places = [self._announced[id(image)] for image in images]
        return [self._given.faces(source, frame=index) for _, source, index in places]
