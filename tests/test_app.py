"""What the page answers, without Gradio and without a network; and how the command ends when it cannot begin."""

import csv
import html.parser
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.app import markup, server
from ferkeras.app.about import about
from ferkeras.app.camera import PAUSE_S, Camera, decode_frame, encode_frame
from ferkeras.app.explanation import SIDE, Explainer
from ferkeras.app.model import Model
from ferkeras.app.picture import LONGEST, answer, shrunk
from ferkeras.app.session import MOST, Sessions
from ferkeras.app.video import analyse
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.faces.track import TrackedFace
from ferkeras.modelcard import LIMITS
from ferkeras.pictures import read_picture
from ferkeras.prediction.result import FaceResult, FrameResult, Scores
from ferkeras.runs import RunFolder
from ferkeras.video import Frame, open_video
from tests import tiny_networks
from tests.commands import assert_one_line, call
from tests.make_video import write_video
from tests.tiny_runs import still_run

LABELS = ("angry", "<happy>", "sad")
PROBABILITIES = np.array([0.1, 0.7, 0.2])


def face(number: int = 0, scores: Scores | None = None) -> FaceResult:
    box = np.array([10, 5, 20, 25], np.float32)
    landmarks = np.full((5, 2), 15, np.float32)
    scores = scores or Scores(PROBABILITIES, 0.5, -0.25)
    return FaceResult(TrackedFace(number, box, landmarks, 0.9, True), scores, "<happy>")


class Fake:
    """Finds one face in everything that is not black, and notes how many callers it has at once."""

    labels = LABELS
    takes_clips = False

    def __init__(self, folder: Path) -> None:
        self.folder = RunFolder(folder)
        self.callers = self.most_callers = 0
        self._lock = threading.Lock()

    def _result(self, source: str, frame: int, time_s: float | None, image: np.ndarray) -> FrameResult:
        with self._lock:
            self.callers += 1
            self.most_callers = max(self.most_callers, self.callers)
        threading.Event().wait(0.002)
        with self._lock:
            self.callers -= 1
        return FrameResult(source, frame, time_s, image, (face(),) if image.any() else ())

    def pictures(self, paths: Iterable[str | Path]) -> Iterator[FrameResult]:
        for path in paths:
            try:
                yield self._result(str(path), 0, None, read_picture(Path(path)))
            except InputError as error:
                yield FrameResult(str(path), 0, None, None, (), problem=error)

    def video(self, path: str | Path) -> Iterator[FrameResult]:
        with open_video(Path(path)) as video:
            yield from self.stream(video.frames(), source=str(path))

    def stream(self, frames: Iterable[Frame], *, source: str, live: bool = False) -> Iterator[FrameResult]:
        for frame in frames:
            if frame.image[0, 0, 0] == 13:
                raise InputError("Unlucky")
            yield self._result(source, frame.index, frame.time_s, frame.image)

    def crop(self, image: np.ndarray, face: TrackedFace) -> np.ndarray:
        return image[:8, :8]


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


class Texts(html.parser.HTMLParser):
    """Tags that are open, which must close in order, and all texts."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


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


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


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


def test_markup_escapes_and_bounds() -> None:
    rows = [{"source": "<script>", "value": None}, {"value": 0.5}] * markup.MOST_ROWS
    table = Texts(markup.table(rows, ["source", "value"], caption="<b>"))
    assert "script" not in table.tags
    assert table.tags.count("tr") == markup.MOST_ROWS + 1
    assert f"{markup.MOST_ROWS} more rows are in the file." in table.texts
    assert "b" not in Texts(markup.status("<b>", done=0.5)).tags
    assert "b" not in Texts(markup.live("data:image/jpeg;base64,", '"><b>', "<b>")).tags


def test_faces_without_scores_and_without_classes() -> None:
    waiting = FaceResult(face().face, None, None)
    affect = FaceResult(face(1).face, Scores(None, -0.5, 0.25), None)
    result = FrameResult("a", 0, None, None, (waiting, affect))
    assert markup.sentence(result) == (
        "2 faces: person 0 not seen for long enough yet; person 1 valence -0.50, arousal +0.25."
    )
    bars = markup.bars(result, ())
    assert "margin-left:25.0%;width:25.0%" in bars  # from -0.5 to 0 on the scale from -1 to 1
    assert "margin-left:50.0%;width:12.5%" in bars


def test_what_a_visitor_leaves_is_removed(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    session, other = sessions.get("a"), sessions.get("b")
    assert sessions.get("a") is session
    own, shared = tmp_path / "1" / "own.png", tmp_path / "2" / "shared.png"
    for path in (own, shared):
        path.parent.mkdir()
        path.touch()
        session.uploaded(str(path))
    other.uploaded(str(shared))
    with session.results() as folder:
        (folder / "kept.jpg").touch()
    with pytest.raises(InputError), session.results() as failed:
        raise InputError("Failed")
    assert folder.exists()
    assert not failed.exists()
    sessions.close("a")
    assert session.stop.is_set()
    assert {path.name for path in tmp_path.iterdir()} == {"2", other.folder.name}
    sessions.close("b")
    assert not list(tmp_path.iterdir())
    sessions.close("unknown")


def test_only_the_idle_are_forgotten(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path)
    busy, idle = sessions.get("busy"), sessions.get("idle")
    with busy.results():
        for number in range(MOST):
            sessions.get(str(number))
        assert busy.folder.exists()
        assert not idle.folder.exists()
        assert sessions.get("busy") is busy
    assert len(list(tmp_path.iterdir())) == MOST


def test_about(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a_run")
    folder.path.mkdir()
    with pytest.raises(InputError, match="model card"):
        about([folder])
    card = f"# a_run\n\nMade of wax.\n\n## Results\n\n![plot](plots/a.png)\n\n## Limits\n\n{LIMITS}\n"
    (folder.path / "README.md").write_text(card)
    text = about([folder])
    assert text.count(LIMITS) == 1
    assert "## Model: a_run\n\nMade of wax.\n\n### Results" in text
    assert "plots/" not in text
    assert "2024/1689" in text
    assert "Apache" in text


def test_explanation(tmp_path: Path) -> None:
    predictor = Fake(tmp_path / "run")
    still_run(tmp_path / "run", tiny_networks.BOTH)
    explainer = Explainer(Model(predictor))
    assert explainer.targets == (*tiny_networks.EMOTION["emotion"], "valence", "arousal")
    crop = tiny_networks.images(1)[0]
    path, speaks = explainer(crop, "happy", "gradcam", tmp_path)
    with Image.open(path) as image:
        assert image.size == (SIDE, SIDE)
        pixels = np.asarray(image).astype(int)
    assert speaks == bool(np.ptp(pixels, axis=-1).any())  # a grey face has colour only where the map has some
    with pytest.raises(InputError, match="does not have this class"):
        explainer(crop, "bored", "gradcam", tmp_path)


def test_an_address_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match=r"cannot be used.*--port"):
            server.check_address("127.0.0.1", taken.getsockname()[1])
    with pytest.raises(InputError, match="cannot be used"):
        server.check_address("no.such.host.invalid", 7860)
    with pytest.raises(InputError, match="65535"):
        server.check_address("127.0.0.1", 70000)


def test_without_gradio(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[app\]"):
        server.check_gradio()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    assert_one_line(call(capsys, "app", tmp_path / "run"), "ferkeras[app]")


def test_wrong_usage_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert_one_line(call(capsys, "app", "absent", "--runs", tmp_path), "no run of this name", "absent")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text("{}")
    assert_one_line(call(capsys, "app", "run", "--runs", tmp_path, "--compare", "absent"), "absent")
    assert_one_line(call(capsys, "app", "run", "--runs", tmp_path, "--max-upload", 0), "--max-upload")
