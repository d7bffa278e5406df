"""Face detectors: on the public-domain portrait of scikit-image, on pictures without a face, and wrong arguments."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.faces.boxes import squared, suppress, suppress_inside
from ferkeras.faces.choice import FaceChoice, choose
from ferkeras.faces.detection import DETECTORS, Detector, Faces, create_detector
from ferkeras.faces.mtcnn import BATCH

#: Where the eyes of the portrait are, by eye: x, y in pixels.
EYES = np.array([(204, 101), (246, 102)])


@pytest.fixture(scope="module")
def mtcnn() -> Detector:
    return create_detector("mtcnn", min_face=30)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return skimage.data.astronaut()


def scene(portrait: np.ndarray, *places: tuple[int, int, float]) -> np.ndarray:
    """A picture of 480 x 960 pixels with heads of the portrait at x, y and scale."""
    rng = np.random.default_rng(0)
    picture = rng.integers(90, 110, (480, 960, 3), np.uint8)
    head = portrait[20:220, 120:320]
    for x, y, scale in places:
        side = round(200 * scale)
        picture[y : y + side, x : x + side] = cv2.resize(head, (side, side), interpolation=cv2.INTER_AREA)
    return picture


# MTCNN


def test_the_portrait(mtcnn: Detector, portrait: np.ndarray) -> None:
    (faces,) = mtcnn([portrait])
    assert len(faces) == 1
    assert faces.scores[0] > 0.95
    np.testing.assert_allclose(faces.landmarks[0, :2], EYES, atol=3)
    eye1, eye2, nose, mouth1, mouth2 = faces.landmarks[0]
    assert eye1[0] < nose[0] < eye2[0]
    assert mouth1[0] < mouth2[0]
    assert max(eye1[1], eye2[1]) < nose[1] < min(mouth1[1], mouth2[1])
    x, y, width, height = faces.boxes[0]
    assert (faces.landmarks[0] > (x, y)).all()
    assert (faces.landmarks[0] < (x + width, y + height)).all()
    assert {array.dtype for array in (faces.boxes, faces.scores, faces.landmarks)} == {np.dtype("float32")}


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_agrees_with_the_package_whose_networks_it_runs(mtcnn: Detector, portrait: np.ndarray, scale: float) -> None:
    from mtcnn import MTCNN

    image = cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    (theirs,) = MTCNN().detect_faces(image)
    (ours,) = mtcnn([image])
    assert len(ours) == 1
    points = [theirs["keypoints"][name] for name in ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")]
    tolerance = 0.04 * ours.boxes[0, 2]  # whole pixels there, and patches cut out in another way
    np.testing.assert_allclose(ours.landmarks[0], points, atol=tolerance)
    np.testing.assert_allclose(ours.boxes[0], theirs["box"], atol=2 * tolerance)


def test_a_batch_of_several_sizes_is_as_one_at_a_time(mtcnn: Detector, portrait: np.ndarray) -> None:
    small = cv2.resize(portrait, (300, 280), interpolation=cv2.INTER_AREA)
    images = [portrait, small, np.ascontiguousarray(portrait[:, ::-1])] * (BATCH // 2)
    together = mtcnn(images)
    for faces, image in zip(together, images, strict=True):
        (alone,) = mtcnn([image])
        np.testing.assert_allclose(faces.boxes, alone.boxes, atol=0.01)
        np.testing.assert_allclose(faces.landmarks, alone.landmarks, atol=0.01)
    assert mtcnn([]) == []


def test_several_faces_down_to_the_smallest_wanted(mtcnn: Detector, portrait: np.ndarray) -> None:
    places = [(20, 20, 1.0), (400, 60, 0.7), (700, 150, 0.45)]
    (faces,) = mtcnn([scene(portrait, *places)])
    assert len(faces) == 3
    assert (np.diff(faces.scores) <= 0).all()
    left = sorted(float(x) for x in faces.boxes[:, 0])
    assert all(abs(x - (place[0] + 60 * place[2])) < 15 for x, place in zip(left, places, strict=True))
    (larger,) = create_detector("mtcnn", min_face=150)([scene(portrait, *places)])
    assert len(larger) < 3


def test_a_face_at_the_border_may_reach_beyond_it(mtcnn: Detector, portrait: np.ndarray) -> None:
    (faces,) = mtcnn([np.ascontiguousarray(portrait[75:, 190:])])
    assert len(faces) == 1
    assert faces.boxes[0, 1] < 0


@pytest.mark.parametrize("shape", [(1, 1), (8, 300), (30, 30), (200, 300)])
def test_no_face(mtcnn: Detector, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    pictures = [np.zeros((*shape, 3), np.uint8), rng.integers(0, 256, (*shape, 3), np.uint8)]
    assert [len(faces) for faces in mtcnn(pictures)] == [0, 0]


def test_a_grey_picture_given_as_rgb(mtcnn: Detector, portrait: np.ndarray) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    (faces,) = mtcnn([np.repeat(grey[..., None], 3, axis=-1)])
    assert len(faces) == 1
    np.testing.assert_allclose(faces.landmarks[0, :2], EYES, atol=3)


# The others


def test_haar_finds_the_portrait_and_nothing_in_noise(portrait: np.ndarray) -> None:
    haar = create_detector("haar")
    faces, empty = haar([portrait, np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)])
    assert len(empty) == 0
    x, y, width, height = faces.boxes[0]
    assert (EYES - (x, y) > 0).all()
    assert (EYES - (x + width, y + height) < 0).all()
    assert 0.5 < faces.scores[0] <= 1
    assert np.isnan(faces.landmarks).all()


def test_none_takes_the_whole_picture() -> None:
    (faces,) = create_detector("none")([np.zeros((20, 30, 3), np.uint8)])
    assert faces.boxes.tolist() == [[0, 0, 30, 20]]
    assert faces.scores.tolist() == [1]
    assert np.isnan(faces.landmarks).all()


# Mistakes


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mtcn", {}, r"Unknown face detector\. Received: mtcn\. Did you mean mtcnn\?"),
        ("qqq", {}, r"Known: mtcnn, haar, ssd, yunet, none\."),
        ("mtcnn", {"min_face": 5}, r"min_face must be at least 12 pixels\. Received: 5\."),
        ("haar", {"model_file": Path("x.onnx")}, r"haar takes no model file\. Received: x\.onnx"),
        ("yunet", {}, r"yunet needs a model file\. Name the \.onnx"),
        ("ssd", {"model_file": Path("absent.pb")}, r"no such model file\. Received: absent\.pb"),
    ],
)
def test_wrong_arguments(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        create_detector(name, **options)  # type: ignore[arg-type]


def test_every_name_has_a_detector_or_asks_for_its_file() -> None:
    assert set(DETECTORS) == {"mtcnn", "haar", "none", "ssd", "yunet"}
    for name in ("mtcnn", "haar", "none"):
        assert create_detector(name).name == name
    for name in ("ssd", "yunet"):
        with pytest.raises(InputError, match="needs a model file"):
            create_detector(name)


# Choice and boxes

boxes_of = st.lists(
    st.tuples(st.integers(-20, 100), st.integers(-20, 100), st.integers(1, 60), st.integers(1, 60)), max_size=12
)


def faces_of(boxes: list[tuple[int, int, int, int]]) -> Faces:
    scores = np.linspace(1, 0.5, len(boxes), dtype=np.float32)
    return Faces(np.array(boxes, np.float32).reshape(-1, 4), scores, np.zeros((len(boxes), 5, 2), np.float32))


@given(boxes_of)
def test_choices(boxes: list[tuple[int, int, int, int]]) -> None:
    faces = faces_of(boxes)
    rules: list[FaceChoice] = ["largest", "central", "best"]
    assert choose(faces, "all", image_shape=(100, 80, 3)) is faces
    for rule in rules:
        assert len(choose(faces, rule, image_shape=(100, 80, 3))) == min(1, len(boxes))
    if boxes:
        assert choose(faces, "best", image_shape=(100, 80)).boxes[0].tolist() == list(boxes[0])
        x, y, width, height = choose(faces, "largest", image_shape=(100, 80)).boxes[0]
        assert width * height == max(w * h for _, _, w, h in boxes)
        x, y, width, height = choose(faces, "central", image_shape=(100, 80)).boxes[0]
        nearest = min(np.hypot(a + w / 2 - 40, b + h / 2 - 50) for a, b, w, h in boxes)
        assert np.hypot(x + width / 2 - 40, y + height / 2 - 50) == pytest.approx(nearest)


def corners_of(boxes: list[tuple[int, int, int, int]]) -> np.ndarray:
    return np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float64).reshape(-1, 4)


def shared_over(a: np.ndarray, b: np.ndarray, *, smaller: bool) -> float:
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    areas = np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2])
    return float(shared / (min(areas) if smaller else sum(areas) - shared))


@given(boxes_of, st.lists(st.integers(0, 1), min_size=12, max_size=12))
def test_suppression_is_greedy_and_within_groups(boxes: list[tuple[int, int, int, int]], groups: list[int]) -> None:
    corners, owners = corners_of(boxes), np.array(groups[: len(boxes)], np.intp)
    scores = np.linspace(1, 0.5, len(boxes), dtype=np.float32)
    for suppressor, smaller in ((suppress, False), (suppress_inside, True)):
        expected: list[int] = []
        for index in range(len(boxes)):
            mine = [kept for kept in expected if owners[kept] == owners[index]]
            if all(shared_over(corners[kept], corners[index], smaller=smaller) <= 0.5 + 1e-9 for kept in mine):
                expected.append(index)
        assert suppressor(corners, scores, owners, overlap=0.5).tolist() == expected


def test_squares_keep_their_centres() -> None:
    assert squared(np.array([[0.0, 0, 10, 4]])).tolist() == [[0, -3, 10, 7]]
