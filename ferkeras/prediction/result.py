"""What is said of the faces of one picture or frame, and the rows of the table that it makes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.track import TrackedFace

#: What stands in the column of the emotion where no class is as probable as the user asks for.
UNCERTAIN = "uncertain"


@dataclass(frozen=True, eq=False)
class Scores:
    """What a network says of one face.

    Attributes:
        probabilities: (K,) float64 of the emotions, None for a network without classes.
        valence: In [-1, 1], None for a network without it.
        arousal: Likewise.
    """

    probabilities: np.ndarray | None = None
    valence: float | None = None
    arousal: float | None = None


@dataclass(frozen=True, eq=False)
class FaceResult:
    """One face.

    Attributes:
        face: Where it is and whose (`track_id`).
        scores: None while a network on clips has seen too few frames of the face.
        emotion: The most probable class, `UNCERTAIN` below the threshold, None without classes or scores.
    """

    face: TrackedFace
    scores: Scores | None
    emotion: str | None


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One picture, or one frame of a video.

    Attributes:
        source: The path as the user gave it, or `camera:0`.
        frame: Its number from 0; 0 for a picture.
        time_s: Seconds after the first frame; None for a picture.
        image: (H, W, 3) uint8 RGB, upright; None where it could not be read.
        faces: Best score first for a picture, by `track_id` for a frame; none where no face is found.
        cut: Whether the frame begins a new scene.
        problem: Why there is no image.
    """

    source: str
    frame: int
    time_s: float | None
    image: np.ndarray | None
    faces: tuple[FaceResult, ...]
    cut: bool = False
    problem: InputError | None = None

    def rows(self, labels: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Rows for `ferkeras.rows`: one for each face, or a single one with `face_found` 0.

        Args:
            labels: K names of the emotions; none for a network without classes.
        """
        common = {"source": self.source, "frame": self.frame, "time_s": _rounded(self.time_s)}
        if not self.faces:
            yield {**common, "face_found": 0}
        for result in self.faces:
            face, scores = result.face, result.scores or Scores()
            x, y, width, height = (round(float(value), 2) for value in face.box)
            row = {**common, "track_id": face.track_id, "face_found": 1, "x": x, "y": y, "width": width}
            row |= {"height": height, "detector_score": _rounded(face.score) if face.detected else None}
            row |= {"emotion": result.emotion}
            if scores.probabilities is not None:
                row |= {name: _rounded(value) for name, value in zip(labels, scores.probabilities, strict=True)}
            yield row | {"valence": _rounded(scores.valence), "arousal": _rounded(scores.arousal)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
