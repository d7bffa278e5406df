"""All faces through a video, each with a number of its own: detected in key frames, matched, interpolated."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count, islice
from typing import Generic

import numpy as np

from ferkeras.errors import InputError
from ferkeras.faces.choice import FaceChoice, choose
from ferkeras.faces.detection import Detector, Faces
from ferkeras.faces.follow import P
from ferkeras.faces.motion import Cuts, between
from ferkeras.faces.people import People, Person


@dataclass(frozen=True, eq=False)
class TrackedFace:
    """A face in one picture or frame.

    Attributes:
        track_id: Number of the person from 0, in the order of appearance; the same as long as they are followed.
        box: (4,) float32 x, y, width, height in pixels of the frame; may reach beyond it.
        landmarks: (5, 2) float32 x, y, in the order of `Faces`; NaN where the detector has none.
        score: The detector's, in [0, 1]; 0 where the position is interpolated.
        detected: Whether the detector found the face in this very frame.
    """

    track_id: int
    box: np.ndarray
    landmarks: np.ndarray
    score: float
    detected: bool


@dataclass(frozen=True, eq=False)
class TrackedFrame(Generic[P]):
    """A frame and the faces in it.

    Attributes:
        frame: The frame.
        faces: In the order of their numbers, which differ.
        cut: Whether the frame is unlike the one before it, as after a change of camera.
    """

    frame: P
    faces: tuple[TrackedFace, ...]
    cut: bool


#: Unit vectors (N, D) of the N faces of a picture (H, W, 3) uint8, close to each other for faces of one person. The
#: `track_id` of the faces is -1, as it is yet to be found out.
Embed = Callable[[np.ndarray, list[TrackedFace]], np.ndarray]


def track(
    frames: Iterable[P],
    detector: Detector,
    *,
    rule: FaceChoice = "all",
    key_interval: int = 5,
    batch: int = 4,
    patience: int = 25,
    min_detections: int = 2,
    embed: Embed | None = None,
    same_person: float = 0.4,
    memory: int = 1500,
) -> Iterator[TrackedFrame[P]]:
    """Each of the frames, once and in order, with its faces; in constant memory.

    **Detection.** Faces are detected in every `key_interval`-th frame. Where a key frame shows the same people as the
    one before it, each where their motion leads to, they are interpolated linearly; where somebody came, went or
    jumped, where two are close to each other, and around a cut, the frames between are detected one by one. A face
    that is missed for fewer than `key_interval` frames there, and found where it was expected, is interpolated too.
    So a face that shows itself for fewer than `key_interval` frames can be missed.

    **Identity.** People are expected to move on with constant velocity, and the faces of a frame are assigned to them
    by the largest sum of overlaps, as in SORT (Bewley et al., "Simple online and realtime tracking", ICIP 2016).
    Deviations: boxes grow with the uncertainty of the place; the filter is of the centre alone. Somebody who is not
    found keeps their number for `patience` frames, if they then are about where they are expected. After a cut all
    are new. With `embed`, looks decide where places do not: between people who are close to each other, about those
    who were hidden, and after a cut; it is called in such frames only, and for the first few faces of a person.

    **False detections.** A face is reported once it was detected `min_detections` times in a row, then from the first
    time on, as far as those frames are still held. What is there in the first frame, or right after a cut, is reported
    at once.

    **One person.** With another rule than "all", it chooses one of those who are reported; they are followed until
    they were not seen for `patience` frames, or a cut, after which they are not recognised; then it chooses anew.

    No result waits for more than `key_interval * batch` frames after its own; with 1 and 1, for none.

    Args:
        frames: In the order of time; their sizes may differ, which counts as a cut.
        detector: Finds the faces.
        rule: Which of several faces.
        key_interval: Frames from one key frame to the next; 1 detects in every frame.
        batch: Key frames given to the detector at once. `key_interval` times as many frames, and one, are held.
        patience: Frames for which a hidden person is expected to come back; 25 are a second of most videos.
        min_detections: Detections in a row that make a face a person.
        embed: Describes faces by unit vectors.
        same_person: Largest cosine distance, in [0, 2], of two faces of one person. It is a matter of `embed`: 0.4 is
            strict for networks trained with an angular margin (ArcFace), whose strangers are about 1 apart.
        memory: Frames for which an absent person can still be recognised by `embed`.

    Raises:
        InputError: for an interval, a batch or `min_detections` below 1, a negative `patience` or `memory`, a
            `same_person` out of range, and, while the frames are read, for vectors of another shape than (N, D).
    """
    if min(key_interval, batch, min_detections) < 1:
        received = f"{key_interval}, {batch}, {min_detections}"
        raise InputError("key_interval, batch and min_detections must be at least 1", received=received)
    if min(patience, memory) < 0:
        raise InputError("patience and memory must be at least 0 frames", received=f"{patience}, {memory}")
    if not 0 <= same_person <= 2:
        raise InputError("same_person is a cosine distance in [0, 2]", received=same_person)
    people = People(patience=patience, memory=memory, min_detections=min_detections, same_person=same_person)
    tracker = _Tracker[P](detector, people, _Choice(rule, patience), embed)
    return _track(iter(frames), tracker, key_interval=key_interval, batch=batch)


@dataclass(frozen=True, eq=False)
class _Sighting:
    """A face of a person in a frame; `steady` if it was where it was expected, see `Person`."""

    box: np.ndarray
    landmarks: np.ndarray
    score: float
    detected: bool
    steady: bool


@dataclass(frozen=True, eq=False)
class _Row(Generic[P]):
    """A frame on its way: its number from 0, and all who are seen in it."""

    time: int
    frame: P
    cut: bool
    seen: dict[Person, _Sighting] = field(default_factory=dict)


def _track(frames: Iterator[P], tracker: "_Tracker[P]", *, key_interval: int, batch: int) -> Iterator[TrackedFrame[P]]:
    is_cut, times = Cuts(), count()
    # The last frame waits for what the next ones say about who is new in it, unless answers are wanted at once.
    waiting = min(key_interval * batch - 1, 1)
    held: deque[_Row[P]] = deque()
    while rows := [_Row(next(times), frame, is_cut(frame.image)) for frame in islice(frames, key_interval * batch)]:
        keys = {*range(key_interval - 1, len(rows), key_interval), len(rows) - 1}
        if rows[0].time == 0:
            keys.add(0)
        start = 0
        for key, faces in zip(sorted(keys), tracker.detect([rows[key] for key in sorted(keys)]), strict=True):
            tracker.see(rows[start : key + 1], faces)
            start = key + 1
        held.extend(rows)
        del rows  # so that they are not held while the next ones are read
        while len(held) > waiting:
            yield tracker.report(held.popleft())
    yield from map(tracker.report, held)


class _Tracker(Generic[P]):
    """Finds, interpolates and reports, one key frame after the other."""

    def __init__(self, detector: Detector, people: People, choice: "_Choice", embed: Embed | None) -> None:
        self._detector, self._people, self._choice, self._embed = detector, people, choice, embed
        self._last: _Row[P] | None = None
        self._numbers = 0

    def detect(self, rows: Sequence[_Row[P]]) -> list[Faces]:
        return self._detector([row.frame.image for row in rows]) if rows else []

    def see(self, rows: list[_Row[P]], faces: Faces) -> None:
        """Finds out who is seen in `rows`, which end with a key frame, whose faces are known."""
        *inner, key = rows
        cut = any(row.cut for row in rows)
        if inner and (cut or not self._people.agree(key.time, faces, followed=self._choice.person)):
            for row, found in zip(inner, self.detect(inner), strict=True):
                self._identify(row, found)
        self._identify(key, faces)
        _interpolate([self._last, *rows] if self._last else rows)
        self._last = key

    def report(self, row: _Row[P]) -> TrackedFrame[P]:
        people = [person for person in row.seen if person.known]
        faces = []
        for person in self._choice(row, people):
            if person.number is None:
                person.number, self._numbers = self._numbers, self._numbers + 1
            faces.append(_tracked(row.seen[person], person.number))
        return TrackedFrame(row.frame, tuple(sorted(faces, key=lambda face: face.track_id)), row.cut)

    def _identify(self, row: _Row[P], faces: Faces) -> None:
        marks = faces.landmarks
        found = [_Sighting(faces.boxes[i], marks[i], float(faces.scores[i]), True, False) for i in range(len(faces))]
        embed = self._embed
        looks = None if embed is None else cache(lambda: _embedded(embed, row.frame.image, found))
        people = self._people.see(row.time, faces, cut=row.cut, looks=looks)
        for person, face in zip(people, found, strict=True):
            row.seen[person] = _Sighting(face.box, face.landmarks, face.score, True, person.steady)


class _Choice:
    """Which of the known people are reported: all, or the one whom a rule chose."""

    def __init__(self, rule: FaceChoice, patience: int) -> None:
        self._rule, self._patience = rule, patience
        self.person: Person | None = None
        self._seen = 0

    def __call__(self, row: _Row[P], people: list[Person]) -> list[Person]:
        if self._rule == "all":
            return people
        if self.person not in people and (row.cut or row.time - self._seen > self._patience):
            self.person = None
        if self.person is None and people:
            boxes, scores, landmarks = (
                np.array([getattr(row.seen[person], name) for person in people])
                for name in ("box", "score", "landmarks")
            )
            box = choose(Faces(boxes, scores, landmarks), self._rule, image_shape=row.frame.image.shape).boxes[0]
            self.person = next(person for person in people if np.array_equal(row.seen[person].box, box))
        if self.person not in people:
            return []
        self._seen = row.time
        return [self.person]


def _interpolate(rows: Sequence[_Row[P]]) -> None:
    """Closes the gaps of people who are where they were expected when they are found again."""
    for end, row in enumerate(rows):
        for person, b in row.seen.items():
            start = next((i for i in range(end - 1, -1, -1) if person in rows[i].seen), end)
            if end - start > 1 and b.steady:
                a = rows[start].seen[person]
                for i in range(start + 1, end):
                    fraction = (i - start) / (end - start)
                    box, landmarks = between(a.box, b.box, fraction), between(a.landmarks, b.landmarks, fraction)
                    rows[i].seen[person] = _Sighting(box, landmarks, 0.0, False, False)


def _tracked(face: _Sighting, number: int) -> TrackedFace:
    return TrackedFace(number, face.box, face.landmarks, face.score, face.detected)


def _embedded(embed: Embed, image: np.ndarray, found: Sequence[_Sighting]) -> np.ndarray:
    """(N, D) float64, checked."""
    vectors = (
        np.asarray(embed(image, [_tracked(face, -1) for face in found]), np.float64) if found else np.zeros((0, 1))
    )
    if vectors.ndim != 2 or len(vectors) != len(found):
        raise InputError(f"embed must return ({len(found)}, D) unit vectors", received=f"shape {vectors.shape}")
    return vectors
