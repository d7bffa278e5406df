"""What the page answers to pictures, cameras and videos, without Gradio and without a network."""

import csv
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.app.camera import PAUSE_S, Camera, decode_frame, encode_frame
from ferkeras.app.model import Model
from ferkeras.app.picture import LONGEST, answer, shrunk
from ferkeras.app.video import analyse
from ferkeras.errors import InputError
from ferkeras.prediction.result import FrameResult
from ferkeras.video import open_video
from tests.fake_app import LABELS, Clock, Fake, Texts, face
from tests.make_video import write_video


@pytest.fixture
def model(tmp_path: Path) -> Model:
    run = tmp_path / "runs" / "fake"
    run.mkdir(parents=True)
    return Model(Fake(run))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "upload" / "two people.png"
    path.parent.mkdir()
    Image.fromarray(np.full((60, 80, 3), 200, np.uint8)).save(path)
    return path


def test_a_picture_gives_files_bars_and_crops(model: Model, picture: Path, tmp_path: Path) -> None:
    found = answer(model, picture, tmp_path)
    with Image.open(found.annotated) as annotated:
        assert annotated.size == (80, 60)
        assert np.asarray(annotated).std() > 5  # something is drawn on the even ground
    with found.rows.open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["source"], row["emotion"], row["<happy>"], row["valence"]) == (
        "two people.png",
        "<happy>",
        "0.7",
        "0.5",
    )
    assert found.said == "1 face: person 0 <happy>, 70 %, valence +0.50, arousal -0.25."
    assert [(seen.crop.shape, seen.best) for seen in found.seen] == [((8, 8, 3), "<happy>")]
    bars = Texts(found.bars)
    assert [text for text in bars.texts if text in LABELS] == ["<happy>", "sad", "angry"]
    assert "<happy>" in Texts(found.table).texts


def test_a_picture_without_a_face(model: Model, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "black.png")
    found = answer(model, tmp_path / "black.png", tmp_path)
    assert found.said == "No face was found."
    assert not found.seen
    with found.rows.open(encoding="utf-8") as file:
        assert [row["face_found"] for row in csv.DictReader(file)] == ["0"]


def test_no_picture_is_told_without_the_folder(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    path.write_text("<html>")
    with pytest.raises(InputError, match=r"Received: page\.jpg\.") as error:
        answer(model, path, tmp_path)
    assert str(tmp_path) not in str(error.value)
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".csv"] == []


def test_large_pictures_are_shown_smaller() -> None:
    image = np.zeros((2 * LONGEST, LONGEST, 3), np.uint8)
    small = shrunk(FrameResult("a", 0, None, image, (face(),)), LONGEST)
    assert small.image is not None
    assert small.image.shape == (LONGEST, LONGEST // 2, 3)
    np.testing.assert_allclose(small.faces[0].face.box, [5, 2.5, 10, 12.5])
    np.testing.assert_allclose(small.faces[0].face.landmarks, 7.5)
    unchanged = FrameResult("a", 0, None, image[:9, :9], (face(),))
    assert shrunk(unchanged, LONGEST) is unchanged


def test_one_question_at_a_time_and_pictures_between_frames(model: Model, picture: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", frames=40)
    order: list[str] = []
    begun = threading.Event()

    def watch() -> None:
        for _ in model.video(tmp_path / "film.mp4"):
            order.append("frame")
            begun.set()

    def look() -> None:
        begun.wait()
        model.picture(picture)
        order.append("picture")

    threads = [threading.Thread(target=watch), *(threading.Thread(target=look) for _ in range(4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.predictor.most_callers == 1
    assert order.count("frame") == 40
    assert "frame" in order[order.index("picture") :]


def test_camera(model: Model) -> None:
    clock = Clock()
    camera = Camera(model, clock=clock)
    image = np.full((60, 80, 3), 200, np.uint8)
    for count in range(30):
        clock.now = 0.1 * count
        view = camera(image)
        assert view.result.frame == count
        assert view.result.time_s == pytest.approx(0.1 * count)
    assert view.fps == pytest.approx(10)
    assert not np.array_equal(view.image, image)
    clock.now += PAUSE_S + 1
    again = camera(image)
    assert (again.result.frame, again.result.time_s, again.fps) == (0, 0.0, 0.0)


def test_a_camera_outlives_a_bad_frame(model: Model) -> None:
    camera = Camera(model)
    with pytest.raises(InputError, match="Unlucky"):
        camera(np.full((60, 80, 3), 13, np.uint8))
    assert camera(np.full((60, 80, 3), 200, np.uint8)).result.faces


def test_frames_of_a_browser() -> None:
    image = np.full((20, 30, 3), (200, 100, 50), np.uint8)
    url = encode_frame(image)
    np.testing.assert_allclose(decode_frame(url).astype(int), image, atol=4)
    for bad in ("http://example.org/a.png", "data:image/png;base64,%%%", "data:text/html;base64,AAAA", ""):
        with pytest.raises(InputError, match="base64"):
            decode_frame(bad)
    with pytest.raises(InputError, match="camera"):
        decode_frame("data:image/png;base64,AAAA")


def test_a_video_gives_film_timeline_summary_and_table(model: Model, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    write_video(source, frames=20)
    clock = Clock()
    results = tmp_path / "results"
    results.mkdir()
    news = []
    for item in analyse(model, source, results, stop=lambda: False, clock=clock):
        news.append(item)
        clock.now += 1
    assert [item.film is None for item in news] == [True] * (len(news) - 1) + [False]
    shares = [item.done for item in news]
    assert shares == sorted(shares)
    last = news[-1]
    with open_video(last.film) as film:
        assert (film.info.frames, film.info.width, film.info.height) == (20, 96, 64)
    with Image.open(last.timeline) as timeline:
        assert timeline.format == "PNG"
    with last.rows.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == [str(index) for index in range(20)]
    assert {row["source"] for row in rows} == {"film.mp4"}
    assert "<happy>" in Texts(last.summary).texts
    assert last.said.startswith("20 frames in ")


def test_a_stopped_video_keeps_what_was_seen(model: Model, tmp_path: Path) -> None:
    write_video(tmp_path / "film.mp4", frames=20)
    asked = iter([False] * 4 + [True])
    *_, last = analyse(model, tmp_path / "film.mp4", tmp_path, stop=lambda: next(asked))
    assert last.said.startswith("Stopped after 5 frames")
    with open_video(last.film) as film:
        assert film.info.frames == 5


def test_no_video_is_told_without_the_folder(model: Model, tmp_path: Path) -> None:
    path = tmp_path / "page.mp4"
    path.write_text("<html>")
    with pytest.raises(InputError, match=r"Received: page\.mp4\.") as error:
        list(analyse(model, path, tmp_path, stop=lambda: False))
    assert str(tmp_path) not in str(error.value)
