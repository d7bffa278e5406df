"""One face through a video: detected in key frames, interpolated between those that agree.

A detector takes far longer than everything else that happens to a frame, and a face moves little in a few frames.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.choice import FaceChoice, choose
from ferkeras.faces.detection import Detector, Faces
from ferkeras.faces.motion import NEARBY, SAME_PLACE, Cuts, between, overlaps


class Picture(Protocol):
    """A frame: `ferkeras.video.Frame`, or whatever else has a number and pixels (H, W, 3) uint8 RGB."""

    @property
    def index(self) -> int: ...

    @property
    def image(self) -> np.ndarray: ...


P = TypeVar("P", bound=Picture)


@dataclass(frozen=True, eq=False)
class Followed(Generic[P]):
    """The followed face in one frame.

    Attributes:
        frame: The frame.
        found: Whether there is a face; if not, all that follows is NaN, 0 or False.
        box: (4,) float32 x, y, width, height in pixels of the frame.
        landmarks: (5, 2) float32 x, y, in the order of `Faces`; NaN where the detector has none.
        score: The detector's; 0 where the position is interpolated.
        detected: Whether the detector found the face in this very frame.
    """

    frame: P
    found: bool
    box: np.ndarray
    landmarks: np.ndarray
    score: float
    detected: bool


def follow(
    frames: Iterable[P], detector: Detector, *, rule: FaceChoice = "central", key_interval: int = 5, batch: int = 4
) -> Iterator[Followed[P]]:
    """Each of the frames with the face of one person, in constant memory.

    The person is chosen by `rule` once; then it is the face that overlaps the last position most, even if the rule
    would name another. Where none overlaps, and after a cut, the rule chooses anew.

    In every `key_interval`-th frame the face is detected. Between two key frames that both show it in nearly the same
    place, it is interpolated linearly; between two without it, there is none; in all other cases (it came, went or
    jumped, or there is a cut) the frames between are detected one by one. So a face that shows itself for fewer than
    `key_interval` frames can be missed, and one that is hidden for so short a time is interpolated.

    Args:
        frames: In the order of time; their sizes may differ, which counts as a cut.
        detector: Finds the faces.
        rule: Which of several faces; "all" is none.
        key_interval: Frames from one key frame to the next; 1 detects in every frame.
        batch: Key frames given to the detector at once. `key_interval` times as many frames are held in memory.

    Raises:
        InputError: for the rule "all", an interval or a batch below 1.
    """
    if rule == "all":
        raise InputError("One face is followed, so the rule must name one", received=rule)
    if key_interval < 1 or batch < 1:
        raise InputError("key_interval and batch must be at least 1", received=f"{key_interval}, {batch}")
    return _follow(iter(frames), detector, _Person(rule), key_interval=key_interval, batch=batch)


def _follow(
    frames: Iterator[P], detector: Detector, person: "_Person", *, key_interval: int, batch: int
) -> Iterator[Followed[P]]:
    last: Followed[P] | None = None
    is_cut = Cuts()
    while chunk := list(islice(frames, key_interval * batch)):
        keys = set(range(key_interval - 1, len(chunk), key_interval)) | {len(chunk) - 1}
        if last is None:
            keys.add(0)
        cuts = [is_cut(frame.image) for frame in chunk]
        start = 0
        for key, faces in zip(sorted(keys), _detect(detector, [chunk[key] for key in sorted(keys)]), strict=True):
            inner, cut = chunk[start:key], cuts[start : key + 1]
            end = person.find(chunk[key], faces)
            if inner and not any(cut) and last and _agree(last, end):
                results = [_interpolated(last, end, frame, i / (key - start + 1)) for i, frame in enumerate(inner, 1)]
            else:
                results = []
                for frame, found, cut_here in zip(inner, _detect(detector, inner), cut, strict=False):
                    results.append(person.see(frame, found, cut=cut_here))
                end = person.see(chunk[key], faces, cut=cut[-1])  # chosen again, now that the way there is known
            person.remember(end)
            yield from results
            yield end
            last, start = end, key + 1


class _Person:
    """Who is followed: the rule of the first choice, and the box where the person was last seen."""

    def __init__(self, rule: FaceChoice) -> None:
        self.rule = rule
        self.box: np.ndarray | None = None

    def find(self, frame: P, faces: Faces) -> Followed[P]:
        """The person among the faces of a frame."""
        shares = np.zeros(0) if self.box is None else overlaps(self.box[None], faces.boxes)[0]
        if shares.size and shares.max() >= NEARBY:
            faces = faces[[int(np.argmax(shares))]]
        else:
            faces = choose(faces, self.rule, image_shape=frame.image.shape)
        if not len(faces):
            unknown = np.full((5, 2), np.nan, np.float32)
            return Followed(frame, False, np.full(4, np.nan, np.float32), unknown, 0.0, False)
        return Followed(frame, True, faces.boxes[0], faces.landmarks[0], float(faces.scores[0]), True)

    def see(self, frame: P, faces: Faces, *, cut: bool) -> Followed[P]:
        """Finds the person and remembers where."""
        if cut:
            self.box = None
        followed = self.find(frame, faces)
        self.remember(followed)
        return followed

    def remember(self, followed: Followed[P]) -> None:
        if followed.found:
            self.box = followed.box


def _detect(detector: Detector, frames: Sequence[P]) -> list[Faces]:
    return detector([frame.image for frame in frames]) if frames else []


def _agree(a: Followed[P], b: Followed[P]) -> bool:
    """Whether what lies between two frames can be told from them: no face in both, or a face in the same place."""
    if a.found and b.found:
        return bool(overlaps(a.box[None], b.box[None])[0, 0] >= SAME_PLACE)
    return a.found == b.found


def _interpolated(a: Followed[P], b: Followed[P], frame: P, fraction: float) -> Followed[P]:
    """What `frame` shows, which lies `fraction` of the way from `a` to `b`; NaN stays NaN."""
    box, landmarks = between(a.box, b.box, fraction), between(a.landmarks, b.landmarks, fraction)
    return Followed(frame, a.found, box, landmarks, 0.0, False)
