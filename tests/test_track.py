"""Tracking all faces: a detector that knows the truth, people who cross, hide, leave and return, cuts, false faces."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest
import skimage.data

from ferkeras.faces.align import TEMPLATE
from ferkeras.faces.detection import Faces, create_detector
from ferkeras.faces.motion import Motion, overlaps
from ferkeras.faces.track import TrackedFace, TrackedFrame, track
from tests.test_follow import Oracle, Shot, shots

#: Centre x, y and side of the faces that are visible in a frame, by name.
Scene = Callable[[int], dict[str, tuple[float, float, float]]]


def faces_of(visible: dict[str, tuple[float, float, float]], scores: Sequence[float] = ()) -> Faces:
    if not visible:
        return Faces.none()
    middle, side = np.split(np.array(list(visible.values()), np.float32), [2], axis=1)
    boxes = np.hstack([middle - side / 2, side, side])
    marks = middle[:, None] + (TEMPLATE - 56)[None] * side[:, None] / 112
    values = scores or np.linspace(0.9, 0.5, len(visible))
    return Faces(boxes.astype(np.float32), np.array(values, np.float32), marks.astype(np.float32))


def run(scene: Scene, count: int, *, jitter: float = 0.0, **options: object) -> list[TrackedFrame[Shot]]:
    """Tracks `count` frames of the scene; detections are off by normal noise of `jitter` sides, in a mixed order."""
    return list(track(shots(count), oracle_of(scene, jitter=jitter), **options))


def oracle_of(scene: Scene, *, jitter: float = 0.0) -> Oracle:
    noise = np.random.default_rng(0)

    def detected(index: int) -> Faces:
        names = list(scene(index).items())
        noise.shuffle(names)
        faces = faces_of(dict(names))
        wrong = noise.normal(0, 1, faces.boxes.shape) * jitter * faces.boxes[:, 2:3]
        return Faces((faces.boxes + wrong).astype(np.float32), faces.scores, faces.landmarks)

    return Oracle(detected)


def numbers_of(scene: Scene, results: Sequence[TrackedFrame[Shot]]) -> dict[str, set[int]]:
    """The numbers that each of the visible people got; the nearest centre tells who is who."""
    found: dict[str, set[int]] = {}
    for result in results:
        for name, (x, y, side) in scene(result.frame.index).items():
            for face in result.faces:
                distance = np.hypot(*(face.box[:2] + face.box[2:] / 2 - (x, y)))
                if distance < side / 4:
                    found.setdefault(name, set()).add(face.track_id)
    return found


def faces_per_frame(results: Sequence[TrackedFrame[Shot]]) -> list[int]:
    return [len(result.faces) for result in results]


def looks_of(scene: Scene, vectors: dict[str, np.ndarray]) -> tuple[Callable, list[int]]:
    """An embedding that knows who is where, with a little noise, and the frames it was asked for."""
    asked: list[int] = []
    noise = np.random.default_rng(2)

    def embed(image: np.ndarray, faces: list[TrackedFace]) -> np.ndarray:
        index = int(image[0, 0, 0]) * 256 + int(image[0, 1, 0])
        asked.append(index)
        found = []
        for face in faces:
            x, y = face.box[:2] + face.box[2:] / 2
            name = min(scene(index).items(), key=lambda item: np.hypot(item[1][0] - x, item[1][1] - y))[0]
            found.append(vectors[name] + noise.normal(0, 0.05, vectors[name].shape))
        return np.stack([vector / np.linalg.norm(vector) for vector in found])

    return embed, asked


def test_two_steady_people_are_interpolated_between_few_detections() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (60 + index, 100, 50), "b": (250 - index / 2, 120, 60)}

    oracle = oracle_of(scene)
    results = list(track(shots(61), oracle))
    assert [result.frame.index for result in results] == list(range(61))
    assert numbers_of(scene, results) == {"a": {0}, "b": {1}} or numbers_of(scene, results) == {"a": {1}, "b": {0}}
    assert len(oracle.asked) <= 61 / 5 + 2
    numbers = {name: next(iter(ids)) for name, ids in numbers_of(scene, results).items()}
    for result in results:
        truth = faces_of(scene(result.frame.index))
        for row, name in enumerate("ab"):
            face = next(face for face in result.faces if face.track_id == numbers[name])
            np.testing.assert_allclose(face.box, truth.boxes[row], atol=1e-2)
            np.testing.assert_allclose(face.landmarks, truth.landmarks[row], atol=1e-2)
            assert face.detected == (result.frame.index in oracle.asked) == (face.score > 0)
            assert face.box.dtype == face.landmarks.dtype == np.float32


def crossing(index: int) -> dict[str, tuple[float, float, float]]:
    """They pass through each other in frame 50; the one behind is hidden while more than half of it is covered."""
    front, behind = (60 + 2 * index, 100, 60), (260 - 2 * index, 105, 55)
    return {"front": front} if abs(front[0] - behind[0]) < 30 else {"front": front, "behind": behind}


@pytest.mark.parametrize("key_interval", [1, 2, 5])
@pytest.mark.parametrize("jitter", [0.0, 0.03])
def test_people_who_cross_keep_their_numbers(key_interval: int, jitter: float) -> None:
    results = run(crossing, 100, jitter=jitter, key_interval=key_interval)
    numbers = numbers_of(crossing, results)
    assert sorted(map(len, numbers.values())) == [1, 1], numbers
    assert numbers["front"] != numbers["behind"]


def test_people_who_cross_unhidden_keep_their_numbers() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (60 + 3 * index, 80, 60), "b": (240 - 3 * index, 110, 50)}

    numbers = numbers_of(scene, run(scene, 60, jitter=0.03))
    assert sorted(map(len, numbers.values())) == [1, 1]


@pytest.mark.parametrize("hidden", [5, 10, 15])
@pytest.mark.parametrize("speed", [0.0, 2.0])
@pytest.mark.parametrize("key_interval", [1, 5])
def test_a_hidden_person_is_known_again(hidden: int, speed: float, key_interval: int) -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        here = {"b": (60.0, 200.0, 50.0)}
        return here if 31 <= index < 31 + hidden else {"a": (60 + speed * index, 80, 60), **here}

    results = run(scene, 75, jitter=0.02, key_interval=key_interval)
    numbers = numbers_of(scene, results)
    assert sorted(map(len, numbers.values())) == [1, 1]
    truth = [len(scene(index)) for index in range(75)]
    differing = [index for index, (a, b) in enumerate(zip(truth, faces_per_frame(results), strict=True)) if a != b]
    assert all(31 <= index < 31 + hidden for index in differing)
    assert len(differing) < key_interval, "only gaps shorter than the interval are interpolated"


def test_after_the_patience_a_person_is_new_and_no_number_is_used_again() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (100, 100, 60)} if index % 60 < 20 else {}

    results = run(scene, 180)
    assert [sorted({face.track_id for result in results[i : i + 60] for face in result.faces}) for i in (0, 60, 120)]
    assert [result.faces[0].track_id for result in results if result.faces] == [0] * 20 + [1] * 20 + [2] * 20
    assert {face.track_id for result in run(scene, 180, patience=41) for face in result.faces} == {0}


@pytest.mark.parametrize("come", range(11, 16))
@pytest.mark.parametrize("batch", [1, 4])
def test_coming_and_going_is_found_to_the_frame(come: int, batch: int) -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (200, 150, 60)} | ({"b": (80, 100, 50)} if come <= index < come + 17 else {})

    results = run(scene, 50, batch=batch)
    assert faces_per_frame(results) == [len(scene(index)) for index in range(50)]


def test_a_cut_makes_all_people_new() -> None:
    def light(index: int) -> int:
        return 40 if index < 33 else 160

    truth = oracle_of(lambda index: {"a": (100, 100, 60)})
    results = list(track(shots(60, light=light), truth))
    assert [result.frame.index for result in results if result.cut] == [33]
    assert [result.faces[0].track_id for result in results] == [0] * 33 + [1] * 27
    assert results[33].faces[0].detected


def test_frames_of_another_size_are_a_cut() -> None:
    small = np.full((100, 100, 3), 100, np.uint8)
    small[0, :2, 0] = 0, 7
    frames = [Shot(shot.index, small if shot.index == 7 else shot.image) for shot in shots(15)]
    results = list(track(iter(frames), oracle_of(lambda index: {} if index == 7 else {"a": (150, 100, 60)})))
    assert [result.cut for result in results] == [index in (7, 8) for index in range(15)]
    assert faces_per_frame(results) == [int(index != 7) for index in range(15)]


@pytest.mark.parametrize("key_interval", [1, 5])
def test_missed_and_false_detections_neither_break_nor_make_tracks(key_interval: int) -> None:
    noise = np.random.default_rng(1)
    missed, false = noise.random(150) < 0.1, noise.random(150) < 0.05
    places = noise.uniform(40, 200, (150, 2))

    def real(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (60 + index, 60, 50), "b": (270, 200 - index / 2, 60)}

    def seen(index: int) -> dict[str, tuple[float, float, float]]:
        found = real(index)
        if missed[index]:
            del found["a"]
        return found | ({"false": (*places[index], 30)} if false[index] else {})

    results = run(seen, 150, jitter=0.02, key_interval=key_interval)
    numbers = numbers_of(real, results)
    assert sorted(map(len, numbers.values())) == [1, 1]
    assert max(faces_per_frame(results)) == 2, "no false detection is reported"


def test_a_repeated_false_detection_is_a_face() -> None:
    """The counterpart: the tracker cannot know better than a detector that insists."""
    results = run(lambda index: {"a": (60, 60, 50)} | ({"b": (200, 150, 40)} if 20 <= index < 22 else {}), 40)
    assert faces_per_frame(results)[15:30] == [1] * 15, "seen between key frames alone, it is missed"
    results = run(lambda index: {"a": (60, 60, 50)} | ({"b": (200, 150, 40)} if 23 <= index < 25 else {}), 40)
    assert faces_per_frame(results)[20:28] == [1, 1, 1, 2, 2, 1, 1, 1]


def test_every_detection_counts_if_one_is_enough() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (60, 60, 50)} if index == 14 else {}

    assert sum(faces_per_frame(run(scene, 30))) == 0
    assert faces_per_frame(run(scene, 30, min_detections=1)) == [int(index == 14) for index in range(30)]


def test_growing_and_shrinking_faces_keep_their_numbers() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (90, 120, 30 * 1.02**index), "b": (250, 120, 120 / 1.02**index)}

    oracle = oracle_of(scene, jitter=0.02)
    numbers = numbers_of(scene, list(track(shots(70), oracle)))
    assert sorted(map(len, numbers.values())) == [1, 1]
    assert len(oracle.asked) < 30


def test_steady_fast_movement_needs_few_detections() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (30 + 10 * index, 100, 60)}

    oracle = oracle_of(scene)
    results = list(track(shots(30), oracle))
    assert numbers_of(scene, results) == {"a": {0}}
    assert faces_per_frame(results) == [1] * 30
    assert len(oracle.asked) < 15


def test_a_jump_is_somebody_else_and_not_interpolated() -> None:
    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"a": (50, 60, 40)} if index < 17 else {"b": (250, 180, 40)}

    results = run(scene, 40)
    assert numbers_of(scene, results) == {"a": {0}, "b": {1}}
    assert faces_per_frame(results) == [1] * 40


def test_motion_learns_the_speed_and_doubts_what_it_has_not_seen_for_long() -> None:
    motion = Motion(np.array([0.0, 0.0, 50.0, 50.0]), 0)
    for time in range(5, 30, 5):
        motion.see(np.array([3.0 * time, -time, 50.0, 50.0]), time)
    np.testing.assert_allclose(motion.expected(35), [105, -35, 50, 50], atol=1)
    assert motion.uncertainty(26) < motion.uncertainty(35) < motion.uncertainty(50)


def test_overlaps_by_hand() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 0, 2, 2], [5, 5, 0, 0]])
    np.testing.assert_allclose(overlaps(boxes, boxes), [[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 0]])


PORTRAIT = skimage.data.astronaut()[30:210, 130:310]


@pytest.mark.slow
def test_two_real_faces_that_pass_each_other() -> None:
    """The portrait and its darker mirror image, which is in front; the detector sees one face where they meet."""
    size, rows = 140, np.hypot(*(np.mgrid[:140, :140] - 70)) < 68
    behind = cv2.resize(PORTRAIT, (size, size), interpolation=cv2.INTER_AREA)
    front = (behind[:, ::-1] * 0.8).astype(np.uint8)

    def scene(index: int) -> dict[str, tuple[float, float, float]]:
        return {"behind": (100 + 4 * index, 130, 70), "front": (500 - 4 * index, 120, 70)}

    def frames() -> Iterator[Shot]:
        for index in range(100):
            image = np.full((240, 600, 3), 90, np.uint8)
            for name, face in (("behind", behind), ("front", front)):
                x, y, _ = scene(index)[name]
                x, y = int(x) - size // 2, int(y) - size // 2
                image[y : y + size, x : x + size][rows] = face[rows]
            yield Shot(index, image)

    results = list(track(frames(), create_detector("mtcnn", min_face=40)))
    numbers: dict[str, set[int]] = {}
    for result in results:
        places = scene(result.frame.index)
        if abs(places["front"][0] - places["behind"][0]) > 70:
            assert len(result.faces) == 2
            for face in result.faces:
                middle = face.box[0] + face.box[2] / 2
                name = min(places, key=lambda name: abs(places[name][0] - middle))
                numbers.setdefault(name, set()).add(face.track_id)
    assert {face.track_id for result in results for face in result.faces} == {0, 1}
    assert sorted(map(len, numbers.values())) == [1, 1]
