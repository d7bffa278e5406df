"""Who is who from picture to picture: by the place where a person is expected, by looks where that is not enough."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import linear_sum_assignment

from ferkeras.faces.detection import Faces
from ferkeras.faces.motion import NEARBY, SAME_PLACE, Motion, overlaps

#: Gives the (N, D) unit vectors of the N faces of a picture; called only where they are needed.
Looks = Callable[[], np.ndarray]
#: Faces of which the looks of a person are the mean; more make the mean no better, and each costs an embedding.
SAMPLES = 8
#: The most by which the box of a person whose place is uncertain grows on each side, in its sides.
GROWTH = 0.5
#: By how much a place counts less where somebody is expected who was not found for so many frames or more.
ABSENCE, ABSENT = 0.2, 10


class Person:
    """Somebody who was seen.

    Attributes:
        motion: Where; its `time` is the frame in which they were seen last.
        detections: How often they were seen.
        known: Whether they are taken for a person, not for an error of the detector.
        placed: Whether their place is known: there was no cut since.
        steady: Whether they were found last where they were expected, without a jump.
        number: The one that they are reported with, once they are.
    """

    def __init__(self, box: np.ndarray, time: int) -> None:
        self.motion = Motion(box, time)
        self.detections = 1
        self.known, self.placed, self.steady = False, True, False
        self.number: int | None = None
        self.samples = 0
        self._sum: np.ndarray | float = 0.0

    def see(self, box: np.ndarray, time: int, *, near: bool, steady: bool) -> None:
        """Takes in that they were found: near the expected place or, recognised by looks, elsewhere."""
        if near:
            self.motion.see(box, time)
        else:
            self.motion = Motion(box, time)
        self.detections += 1
        self.placed, self.steady = True, steady

    def look(self, vector: np.ndarray) -> None:
        self.samples += 1
        self._sum = self._sum + vector

    def distances(self, vectors: np.ndarray) -> np.ndarray:
        """(N,) cosine distances, in [0, 2], of unit vectors (N, D) from the looks of this person; 2 without looks."""
        length = np.linalg.norm(self._sum)
        return 1 - vectors @ (self._sum / length) if length else np.full(len(vectors), 2.0)


class People:
    """All who are in the picture or were a moment ago, and, if there are looks, all who were some time ago."""

    def __init__(self, *, patience: int, memory: int, min_detections: int, same_person: float) -> None:
        """The arguments are those of `ferkeras.faces.track.track`; `memory` counts only where looks are given."""
        self._patience, self._memory = patience, memory
        self._min_detections, self._same_person = min_detections, same_person
        self._people: list[Person] = []
        self._time = -1

    def agree(self, time: int, faces: Faces, *, followed: Person | None) -> bool:
        """Whether all who were seen in the last frame, and nobody else, are where they are expected.

        If `followed` was, only they matter. Somebody who is not yet known may be absent.
        """
        present = [person for person in self._people if person.motion.time == self._time]
        if followed in present:
            present = [followed]
        near = self._near(time, faces) > 0
        steady = self._steady(time, faces)
        clear = steady & near & (near.sum(0, keepdims=True) == 1) & (near.sum(1, keepdims=True) == 1)
        rows = [self._people.index(person) for person in present]
        if not all(clear[row].any() for row, person in zip(rows, present, strict=True) if person.known):
            return False
        return followed in present or bool(clear[rows].any(0).all())

    def see(self, time: int, faces: Faces, *, cut: bool, looks: Looks | None) -> list[Person]:
        """Takes in the N faces of a frame: who they are, some of them perhaps new."""
        first = self._time < 0 or cut
        self._forget(time, cut=cut, by_looks=looks is not None)
        near = self._near(time, faces)
        found: list[Person | None] = [None] * len(faces)
        steady = self._steady(time, faces)
        for row, column in self._pairs(near, looks):
            person = found[column] = self._people[row]
            box, is_near, is_steady = faces.boxes[column], near[row, column] > 0, steady[row, column]
            person.see(box, time, near=bool(is_near), steady=bool(is_steady))
            person.known |= person.detections >= self._min_detections
        people = [person or self._new(box, time, first) for person, box in zip(found, faces.boxes, strict=True)]
        if looks is not None:
            self._remember_looks(people, faces, looks)
        self._time = time
        return people

    def _pairs(self, near: np.ndarray, looks: Looks | None) -> list[tuple[int, int]]:
        """Which people (rows) are which faces (columns), given the overlaps `near` (M, N)."""
        present = np.array([person.motion.time == self._time for person in self._people], bool)
        clear = bool(((near > 0).sum(0) == 1).all() and ((near > 0).sum(1) <= 1).all())
        if looks is None or (clear and present[near.any(1)].all()):
            return _assign(near)
        vectors = looks()
        distances = np.array([person.distances(vectors) for person in self._people]).reshape(near.shape)
        same, likeness = distances <= self._same_person, 2 - distances
        # Half hidden faces look unlike themselves: that alone does not part them from a person who was just there.
        wrong = ~same & (~present[:, None] | same.any(0))
        pairs = _assign(np.where(wrong, 0, near * (1 + likeness)))
        for row, column in pairs:
            same[row], same[:, column] = False, False
        return pairs + _assign(np.where(same, likeness, 0))

    def _new(self, box: np.ndarray, time: int, first: bool) -> Person:
        person = Person(box, time)
        person.known = first or self._min_detections <= 1
        self._people.append(person)
        return person

    def _forget(self, time: int, *, cut: bool, by_looks: bool) -> None:
        for person in self._people:
            person.placed &= not cut and time - person.motion.time <= self._patience
        self._people = [
            person
            for person in self._people
            if (person.placed and (person.known or person.motion.time == self._time))
            or (by_looks and person.known and time - person.motion.time <= self._memory)
        ]

    def _expected(self, time: int) -> tuple[np.ndarray, np.ndarray]:
        """(M, 4) boxes and (M,) uncertainties of all people; empty boxes of those whose place is unknown."""
        boxes = [person.motion.expected(time) * person.placed for person in self._people]
        doubts = [person.motion.uncertainty(time) for person in self._people]
        return np.array(boxes).reshape(-1, 4), np.array(doubts)

    def _steady(self, time: int, faces: Faces) -> np.ndarray:
        """(M, N) whether a face is just where a person is expected."""
        return overlaps(self._expected(time)[0], faces.boxes) >= SAME_PLACE

    def _near(self, time: int, faces: Faces) -> np.ndarray:
        """(M, N) overlap of people and faces, 0 where it is too small. The more uncertain the place, the larger both.

        That of somebody who was not there in the last frame counts less: where one covers another, it is the one behind
        who is hidden.

        Source: Yang et al., "Hard to track objects with irregular motions and similar appearances? Make it easier by
        buffering the matching space", WACV 2023; there the boxes grow by fixed amounts.
        """
        boxes, doubts = self._expected(time)
        shares, weights = np.zeros((len(boxes), len(faces))), np.ones((len(boxes), 1))
        for row, (box, doubt) in enumerate(zip(boxes, np.minimum(doubts, GROWTH), strict=True)):
            shares[row] = overlaps(_grown(box[None], doubt), _grown(faces.boxes, doubt))[0]
            absent = self._time - self._people[row].motion.time
            weights[row] = 1 - ABSENCE * min(absent / ABSENT, 1)
        return np.where(shares >= NEARBY, shares * weights, 0)

    def _remember_looks(self, people: list[Person], faces: Faces, looks: Looks) -> None:
        """Looks are sampled a few times per person, where no other face is in the way."""
        alone = (overlaps(faces.boxes, faces.boxes) > 0).sum(0) <= 1
        for index, person in enumerate(people):
            if person.samples == 0 or (alone[index] and person.samples < SAMPLES):
                person.look(looks()[index])


def _grown(boxes: np.ndarray, share: float) -> np.ndarray:
    """(N, 4) x, y, width, height larger by `share` of their sides on each side."""
    sides = boxes[:, 2:]
    return np.hstack([boxes[:, :2] - share * sides, sides * (1 + 2 * share)])


def _assign(scores: np.ndarray) -> list[tuple[int, int]]:
    """The pairs (row, column) of the largest sum of scores; a score of 0 is no pair."""
    rows, columns = linear_sum_assignment(scores, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if scores[i, j] > 0]
