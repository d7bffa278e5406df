"""`ferkeras.Predictor`: pictures, frames and files in; the right pixels into the network; results in order."""

import doctest
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ferkeras
from ferkeras.errors import InputError
from ferkeras.faces.detection import Faces
from ferkeras.faces.given import GivenFaces
from ferkeras.faces.track import TrackedFace
from ferkeras.inference import softmax
from ferkeras.labels import EMOTIONS
from ferkeras.prediction.predictor import Predictor
from ferkeras.prediction.result import UNCERTAIN, Scores
from ferkeras.runs import RunFolder
from ferkeras.video import Frame
from tests.make_video import write_video
from tests.tiny_networks import AFFECT, BOTH, SIDE
from tests.tiny_runs import clip_run, still_run

BOX = (30.0, 12.0, 32.0, 32.0)


class Bright:
    """Finds the one bright square of a picture."""

    name = "bright"

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        found = []
        for image in images:
            rows, columns = np.nonzero(image[..., 0] > 200)
            if not len(rows):
                found.append(Faces.none())
                continue
            box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
            landmarks = np.full((1, 5, 2), np.nan, np.float32)
            found.append(Faces(np.array([box], np.float32), np.array([0.9], np.float32), landmarks))
        return found


def scene(x: int = 30) -> np.ndarray:
    """(64, 96, 3) with a bright square of 32 pixels at `x`, 12; none for a negative `x`."""
    image = np.full((64, 96, 3), 40, np.uint8)
    if x >= 0:
        image[12:44, x : x + 32] = 220
    return image


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return still_run(tmp_path_factory.mktemp("runs") / "still")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return clip_run(tmp_path_factory.mktemp("runs") / "clip", BOTH)


@pytest.fixture(scope="module")
def predictor(run: RunFolder) -> Predictor:
    return ferkeras.Predictor(run.path, detector=Bright())


def test_a_picture_gives_what_the_network_says_of_its_crop(predictor: Predictor, run: RunFolder) -> None:
    (result,) = predictor(scene())
    np.testing.assert_array_equal(result.face.box, BOX)
    crop = predictor.crop(scene(), result.face)
    assert crop.shape == (SIDE, SIDE, 1)
    assert crop[SIDE // 2, SIDE // 2] == 220
    assert crop[0, 0] < 60, "the margin of the run shows what is around the box"
    wanted = softmax(np.asarray(run.load_model()(crop[None])["emotion"]))[0]
    assert result.scores is not None
    np.testing.assert_allclose(result.scores.probabilities, wanted, atol=1e-6)
    assert result.emotion == EMOTIONS[int(wanted.argmax())]


def test_no_face_gives_no_result_and_grey_pictures_are_taken(predictor: Predictor) -> None:
    assert predictor(scene(-1)) == []
    assert len(predictor(scene()[..., 0])) == len(predictor(scene()[..., :1])) == 1
    with pytest.raises(InputError, match="uint8"):
        predictor(scene() / 255)


def test_frames_are_followed(predictor: Predictor) -> None:
    results = predictor([scene(x) for x in range(10, 34)], fps=10)
    assert [result.frame for result in results] == list(range(24))
    assert results[5].time_s == pytest.approx(0.5)
    assert {face.face.track_id for result in results for face in result.faces} == {0}
    assert all(len(result.faces) == 1 for result in results)
    assert results[7].faces[0].face.box[0] == pytest.approx(17, abs=0.5)


def test_pictures_come_in_order_and_broken_ones_say_why(predictor: Predictor, tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(10)]
    for number, name in enumerate(names):
        Image.fromarray(scene(number if number % 2 else -1)).save(tmp_path / name)
    (tmp_path / "3.png").write_text("<html>")
    results = list(predictor.pictures(tmp_path / name for name in names))
    assert [Path(result.source).name for result in results] == names
    assert [len(result.faces) for result in results] == [0, 1, 0, 0, 0, 1, 0, 1, 0, 1]
    assert [result.problem is not None for result in results] == [number == 3 for number in range(10)]
    assert results[3].image is None


def test_the_threshold_makes_uncertain(run: RunFolder) -> None:
    (result,) = Predictor(run.path, detector=Bright(), threshold=1.0)(scene())
    assert result.emotion == UNCERTAIN
    assert result.scores is not None


def test_without_a_detector_a_picture_is_scaled_as_in_training(run: RunFolder) -> None:
    from ferkeras.data.preprocess import Preprocessing

    predictor = Predictor(run.path, detector="none")
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    (result,) = predictor(picture)
    np.testing.assert_array_equal(result.face.box, (0, 0, 30, 20))
    wanted = np.asarray(Preprocessing(SIDE, SIDE, 1)(picture))
    np.testing.assert_array_equal(predictor.crop(picture, result.face), wanted)


def test_filters_are_made_anew_for_each_video(run: RunFolder) -> None:
    made: list[list[tuple[int, float]]] = []

    def filters() -> list:
        seen: list[tuple[int, float]] = []
        made.append(seen)

        def change(track_id: int, time_s: float, scores: Scores) -> Scores:
            seen.append((track_id, time_s))
            return Scores(probabilities=np.eye(7)[2], valence=0.5)

        return [change]

    predictor = Predictor(run.path, detector=Bright(), filters=filters)
    for _ in range(2):
        results = predictor([scene(10), scene(-1), scene(12)])
    assert made == [[(0, 0.0), (0, 0.04), (0, 0.08)]] * 2, "a face that is missed once is interpolated"
    assert [face.emotion for result in results for face in result.faces] == [EMOTIONS[2]] * 3


def test_boxes_from_a_file_for_pictures_and_frames(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text(
        "source,frame,x,y,width,height\na.png,,30,12,32,32\nfilm.mp4,0,5,5,20,20\nfilm.mp4,2,6,5,20,20\nfilm.mp4,2,60,30,20,20\n"
    )
    Image.fromarray(scene()).save(tmp_path / "a.png")
    Image.fromarray(scene()).save(tmp_path / "b.png")
    write_video(tmp_path / "film.mp4", frames=4)
    predictor = Predictor(run.path, detector=GivenFaces(tmp_path / "boxes.csv"))
    a, b = predictor.pictures([tmp_path / "a.png", tmp_path / "b.png"])
    np.testing.assert_array_equal(a.faces[0].face.box, BOX)
    assert not b.faces
    boxes = [[face.face.box[:2].tolist() for face in result.faces] for result in predictor.video(tmp_path / "film.mp4")]
    assert boxes == [[[5, 5]], [], [[6, 5], [60, 30]], []]


def test_clips_begin_when_there_are_frames_enough(clips: RunFolder) -> None:
    predictor = Predictor(clips.path, detector=Bright())
    assert predictor.takes_clips
    results = predictor([scene(x) for x in range(10, 20)])
    scores = [result.faces[0].scores for result in results]
    assert [found is not None for found in scores] == [False] * 4 + [True] * 6  # three frames, two apart
    assert scores[-1] is not None
    assert scores[-1].valence is not None
    assert results[0].faces[0].emotion is None
    with pytest.raises(InputError, match="over time"):
        predictor(scene())


def test_networks_without_classes_have_no_emotion(tmp_path: Path) -> None:
    predictor = Predictor(still_run(tmp_path / "affect", AFFECT).path, detector=Bright())
    assert predictor.labels == ()
    (result,) = predictor(scene())
    assert result.emotion is None
    assert result.scores is not None
    assert -1 <= (result.scores.arousal or 0) <= 1


def test_live_frames_are_answered_before_the_next_is_taken(predictor: Predictor) -> None:
    taken: list[int] = []

    def frames() -> Iterator[Frame]:
        for index in range(4):
            taken.append(index)
            yield Frame(index, index / 10, scene(10 + index))

    for result in predictor.stream(frames(), source="camera:0", live=True):
        assert taken[-1] == result.frame


def test_clips_of_a_camera_are_of_the_pictures_that_were_in_time(clips: RunFolder) -> None:
    frames = (Frame(7 * number, number / 4, scene(10 + number)) for number in range(8))
    results = list(Predictor(clips.path, detector=Bright()).stream(frames, source="camera:0", live=True))
    assert [result.frame for result in results] == [7 * number for number in range(8)]
    assert [result.faces[0].scores is not None for result in results] == [False] * 4 + [True] * 4


def test_looks_recognise_a_person_after_a_cut(run: RunFolder) -> None:
    def embed(image: np.ndarray, faces: list[TrackedFace]) -> np.ndarray:
        return np.eye(2)[[0] * len(faces)]

    frames = [scene(10)] * 10 + [255 - scene(50) // 4] * 2 + [scene(60)] * 10
    assert {
        face.face.track_id for result in Predictor(run.path, detector=Bright())(frames) for face in result.faces
    } > {0}
    found = Predictor(run.path, detector=Bright(), embed=embed)(frames)
    assert {face.face.track_id for result in found for face in result.faces} == {0}


@pytest.mark.parametrize(
    ("options", "message"),
    [({"batch_size": 0}, "batch_size"), ({"threshold": 1.5}, "threshold"), ({"detector": "mtcn"}, "mtcnn")],
)
def test_wrong_options_say_what_is_wrong(run: RunFolder, options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictor(run.path, **options)


def test_the_example_in_the_docstring_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    still_run(Path("saved_models/quickstart"))
    for name in ("a.png", "b.png"):
        Image.fromarray(scene()).save(name)
    write_video(Path("film.mp4"), frames=4)
    text = Predictor.__doc__ or ""
    example = doctest.DocTestParser().get_doctest(text, {"image": scene()}, "Predictor", None, 0)
    assert len(example.examples) >= 5
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(example).failed == 0
