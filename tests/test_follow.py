"""Following one face: a detector that knows the truth, faces that come, go and jump, cuts, several people."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.faces.align import TEMPLATE
from ferkeras.faces.detection import Faces, create_detector
from ferkeras.faces.follow import Followed, follow
from ferkeras.video import open_video
from tests.make_video import write_video

WIDTH, HEIGHT, SIDE = 320, 240, 60


class Shot(NamedTuple):
    """A frame; its number is written into its first two pixels, where the detector reads it."""

    index: int
    image: np.ndarray


def shots(count: int, *, light: Callable[[int], int] = lambda index: 100) -> Iterator[Shot]:
    for index in range(count):
        image = np.full((HEIGHT, WIDTH, 3), light(index), np.uint8)
        image[0, :2, 0] = index // 256, index % 256
        yield Shot(index, image)


def faces_at(*centres: tuple[float, float], scores: Sequence[float] = ()) -> Faces:
    """Faces of 60 x 60 pixels, best score first; without `scores` their order is that of the scores."""
    if not centres:
        return Faces.none()
    middle = np.array(centres, np.float32)
    boxes = np.hstack([middle - SIDE / 2, np.full_like(middle, SIDE)]).astype(np.float32)
    marks = middle[:, None] + ((TEMPLATE - 56) * SIDE / 112)[None]
    values = scores or np.linspace(0.9, 0.5, len(centres))
    return Faces(boxes, np.array(values, np.float32), marks.astype(np.float32))


class Oracle:
    """A detector that looks the faces up by the frame's number, and keeps the numbers it was asked for."""

    name = "oracle"

    def __init__(self, truth: Callable[[int], Faces]) -> None:
        self.truth = truth
        self.asked: list[int] = []

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        numbers = [int(image[0, 0, 0]) * 256 + int(image[0, 1, 0]) for image in images]
        self.asked += numbers
        return [self.truth(number) for number in numbers]


def centre(followed: Followed) -> tuple[float, float]:
    x, y, width, height = (float(value) for value in followed.box)
    return x + width / 2, y + height / 2


def test_a_steady_face_is_interpolated_between_few_detections() -> None:
    oracle = Oracle(lambda index: faces_at((80 + 2 * index, 100 + index)))
    results = list(follow(shots(61), oracle))
    assert [result.frame.index for result in results] == list(range(61))
    assert all(result.found for result in results)
    assert len(oracle.asked) <= 61 / 5 + 2
    assert [result.frame.index for result in results if result.detected] == sorted(oracle.asked)
    for result in results:
        truth = faces_at((80 + 2 * result.frame.index, 100 + result.frame.index))
        np.testing.assert_allclose(result.box, truth.boxes[0], atol=1e-3)
        np.testing.assert_allclose(result.landmarks, truth.landmarks[0], atol=1e-3)
        assert result.score == (pytest.approx(0.9) if result.detected else 0)
        assert result.box.dtype == result.landmarks.dtype == np.float32


def test_key_interval_1_detects_in_every_frame() -> None:
    oracle = Oracle(lambda index: faces_at((80 + 2 * index, 100)))
    results = list(follow(shots(23), oracle, key_interval=1))
    assert oracle.asked == list(range(23))
    assert all(result.detected for result in results)


@pytest.mark.parametrize("come", [0, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("go", [30, 31, 33, 40])
def test_coming_and_going_is_found_to_the_frame(come: int, go: int) -> None:
    oracle = Oracle(lambda index: faces_at((150, 100)) if come <= index < go else faces_at())
    results = list(follow(shots(40), oracle))
    assert [result.frame.index for result in results if result.found] == list(range(come, go))
    lost = [result for result in results if not result.found]
    assert all(np.isnan(result.box).all() and result.score == 0 and not result.detected for result in lost)
    assert len(oracle.asked) < 25


def test_a_jump_is_not_interpolated() -> None:
    def truth(index: int) -> tuple[float, float]:
        return (60, 60) if index < 17 else (230, 150)

    results = list(follow(shots(30), Oracle(lambda index: faces_at(truth(index)))))
    assert [centre(result) for result in results] == [truth(index) for index in range(30)]


def test_fast_movement_is_detected_frame_by_frame() -> None:
    oracle = Oracle(lambda index: faces_at((40 + 12 * index, 100)))
    results = list(follow(shots(20), oracle))
    assert sorted(set(oracle.asked)) == list(range(20))
    assert [centre(result)[0] for result in results] == [40 + 12 * index for index in range(20)]


def test_the_person_stays_when_another_becomes_more_central_and_better() -> None:
    """The first one walks out of the middle while a second one, with the higher score, walks into it."""

    def truth(index: int) -> Faces:
        return faces_at((60 + 2 * index, 120), (160 + 2 * index, 120), scores=(0.99, 0.7))

    results = list(follow(shots(45), Oracle(truth), rule="central"))
    assert [centre(result)[0] for result in results] == pytest.approx([160 + 2 * index for index in range(45)])


@pytest.mark.parametrize("frame_of_cut", [10, 12, 14, 15])
def test_a_cut_starts_anew(frame_of_cut: int) -> None:
    """Both people of the second shot overlap the one of the first; the rule, not the overlap, must choose."""

    def truth(index: int) -> Faces:
        if index < frame_of_cut:
            return faces_at((140, 120))
        return faces_at((130, 120), (165, 120))

    light = {True: 40, False: 160}
    results = list(follow(shots(30, light=lambda index: light[index < frame_of_cut]), Oracle(truth)))
    assert [centre(result)[0] for result in results] == [140] * frame_of_cut + [165] * (30 - frame_of_cut)
    assert results[frame_of_cut].detected


def test_without_a_cut_the_overlap_chooses() -> None:
    """The counterpart: the same people, but the light stays."""
    oracle = Oracle(lambda index: faces_at((140, 120)) if index < 12 else faces_at((130, 120), (165, 120)))
    assert centre(list(follow(shots(30), oracle))[-1])[0] == 130


def test_frames_of_another_size_are_a_cut() -> None:
    small = np.full((100, 100, 3), 100, np.uint8)
    frames = [Shot(shot.index, small.copy() if shot.index == 7 else shot.image) for shot in shots(15)]
    frames[7].image[0, :2, 0] = 0, 7
    oracle = Oracle(lambda index: faces_at() if index == 7 else faces_at((150, 100)))
    assert [result.frame.index for result in follow(iter(frames), oracle) if not result.found] == [7]


def test_detectors_without_landmarks_follow_the_box() -> None:
    def truth(index: int) -> Faces:
        faces = faces_at((100 + index, 100))
        return Faces(faces.boxes, faces.scores, np.full((1, 5, 2), np.nan, np.float32))

    results = list(follow(shots(21), Oracle(truth)))
    assert [centre(result)[0] for result in results] == pytest.approx([100 + index for index in range(21)])
    assert all(np.isnan(result.landmarks).all() for result in results)


def looked_ahead(read: Callable[[Iterator[Shot]], Iterator[object]], *, results: int) -> int:
    """How many frames beyond those given out `read` has taken at most, while it gives out `results` of them."""
    taken = 0

    def endless() -> Iterator[Shot]:
        nonlocal taken
        for shot in itertools.cycle(shots(300)):
            taken += 1
            yield shot

    ahead, given_out = 0, read(endless())
    for count in range(1, results + 1):
        next(given_out)
        ahead = max(ahead, taken - count)
    return ahead


def test_looks_ahead_no_further_than_one_batch() -> None:
    oracle = Oracle(lambda index: faces_at((150, 100)))
    assert looked_ahead(lambda frames: follow(frames, oracle, key_interval=4, batch=3), results=1000) <= 12


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 7), st.integers(1, 3))
def test_every_frame_comes_once_and_detections_are_the_detectors(seen: list[bool], interval: int, batch: int) -> None:
    oracle = Oracle(lambda index: faces_at((150, 100)) if seen[index] else faces_at())
    results = list(follow(shots(len(seen)), oracle, key_interval=interval, batch=batch))
    assert [result.frame.index for result in results] == list(range(len(seen)))
    for result in results:
        if result.detected:
            assert seen[result.frame.index]
        if result.found and not result.detected:
            assert result.frame.index not in oracle.asked
    runs = "".join("x" if flag else "." for flag in seen).split(".")
    if all(len(run) in (0, *range(interval, 41)) for run in runs):
        assert all(result.found for result, flag in zip(results, seen, strict=True) if flag)


def test_no_frames() -> None:
    assert list(follow(iter([]), Oracle(lambda index: faces_at()))) == []


def test_wrong_arguments() -> None:
    oracle = Oracle(lambda index: faces_at())
    with pytest.raises(InputError, match="all"):
        follow(shots(3), oracle, rule="all")
    for wrong in ({"key_interval": 0}, {"batch": 0}):
        with pytest.raises(InputError, match="at least 1"):
            follow(shots(3), oracle, **wrong)


def test_a_real_face_in_a_real_video(tmp_path: Path) -> None:
    """The portrait slides through a video; nothing is made up here but the movement."""
    portrait = skimage.data.astronaut()[:320, 60:420]

    def picture(index: int) -> np.ndarray:
        return np.ascontiguousarray(portrait[index : index + 240, index : index + 320])

    path = tmp_path / "video.mp4"
    write_video(path, frames=32, picture=picture)
    with open_video(path) as video:
        results = list(follow(video.frames(), create_detector("haar", min_face=60)))
    assert [result.frame.index for result in results] == list(range(32))
    assert all(result.found for result in results)
    assert sum(result.detected for result in results) <= 8
    middle = np.array([(224 - 60 - index, 120 - index) for index in range(32)])  # of the face, between eyes and mouth
    assert np.abs(np.array([centre(result) for result in results]) - middle).max() < 15
