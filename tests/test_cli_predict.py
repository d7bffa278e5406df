"""`ferkeras predict` as a user types it: files, folders, videos and broken things in any mixture."""

import csv
import functools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from ferkeras.cli import predict
from ferkeras.labels import EMOTIONS
from ferkeras.prediction import camera
from ferkeras.rows import columns
from ferkeras.runs import DEFAULT_RUNS, RunFolder
from ferkeras.video import Frame, open_video
from tests.commands import Command, assert_one_line, call, picture
from tests.make_video import numbered, write_video
from tests.tiny_networks import BOTH, images
from tests.tiny_runs import clip_run, still_run

CROPS = ["--detector", "none"]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return functools.partial(call, capsys, "predict")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return still_run(tmp_path_factory.mktemp("runs") / "still")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return clip_run(tmp_path_factory.mktemp("runs") / "clip", BOTH)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 40 frames, and `boxes.csv` beside it with a face in the first 30 of them."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_video(path, frames=40, picture=lambda index: numbered(index % 2))  # others look like cuts
    rows = "".join(f"film.mp4,{frame},{10 + frame},20,30,30\n" for frame in range(30))
    (path.parent / "boxes.csv").write_text("source,frame,x,y,width,height\n" + rows)
    return path


def read(path: Path) -> list[dict]:
    if path.suffix == ".csv":
        return list(csv.DictReader(path.open()))
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    import pyarrow.parquet as pq

    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet"])
def test_pictures(suffix: str, run: RunFolder, command: Command, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    inputs = [picture(tmp_path / "one.png"), tmp_path / "folder"]
    picture(tmp_path / "folder" / "b.jpg")
    picture(tmp_path / "folder" / "a.bmp")
    output = tmp_path / f"out.{suffix}"
    code, out, err = command(run.path, *inputs, *CROPS, "--output", output)
    assert (code, out, err) == (0, "", "")
    rows = read(output)
    assert tuple(rows[0]) == columns(EMOTIONS)
    assert [Path(row["source"]).name for row in rows] == ["one.png", "a.bmp", "b.jpg"]
    for row in rows:
        assert sum(float(row[label]) for label in EMOTIONS) == pytest.approx(1, abs=1e-4)
        assert row["emotion"] == max(EMOTIONS, key=lambda label: float(row[label]))
        assert (float(row["width"]), float(row["height"]), int(row["face_found"])) == (50, 40, 1)


def test_what_cannot_be_read_has_a_line_and_a_row_and_the_rest_is_done(
    run: RunFolder, film: Path, command: Command, tmp_path: Path
) -> None:
    good, half, page = picture(tmp_path / "good.png"), tmp_path / "half.png", tmp_path / "page.jpg"
    half.write_bytes(good.read_bytes()[:200])
    page.write_text("<!doctype html>")
    (tmp_path / "empty.mp4").touch()
    inputs = [half, good, page, tmp_path / "empty.mp4", tmp_path / "missing.png", film]
    code, out, err = command(run.path, *inputs, *CROPS)
    rows = list(csv.DictReader(out.splitlines()))
    assert [(Path(row["source"]).name, row["face_found"]) for row in rows[:5]] == [
        ("half.png", "0"),
        ("good.png", "1"),
        ("page.jpg", "0"),
        ("empty.mp4", "0"),
        ("missing.png", "0"),
    ]
    assert len(rows) == 45
    assert rows[0]["emotion"] == ""
    assert code == 2
    lines = err.splitlines()
    for line, name in zip(lines, ["half.png", "page.jpg", "empty.mp4", "missing.png", "4 of 6 inputs"], strict=True):
        assert line.startswith("ferkeras: ")
        assert name in line


def test_a_video_with_everything(clips: RunFolder, film: Path, command: Command, tmp_path: Path) -> None:
    code, _, err = command(
        *(clips.path, film, "--boxes", film.parent / "boxes.csv", "--output", tmp_path / "rows.csv"),
        *("--annotate", tmp_path / "copies", "--timeline", tmp_path / "plots", "--prompt", tmp_path / "prompt.txt"),
        *("--smooth", "one-euro:2,0.5", "--baseline", "0.2", "--threshold", "0.3"),
    )
    assert (code, err) == (0, "")
    rows = read(tmp_path / "rows.csv")
    assert [int(row["face_found"]) for row in rows] == [1] * 30 + [0] * 10
    assert {row["track_id"] for row in rows[:30]} == {"0"}
    assert float(rows[25]["time_s"]) == pytest.approx(1.0)
    assert [row["valence"] == "" for row in rows] == [True] * 4 + [False] * 26 + [True] * 10
    with open_video(tmp_path / "copies" / "film.annotated.mp4") as copy:
        assert (copy.info.frames, copy.info.width, copy.info.height) == (40, 96, 64)
    summary = json.loads((tmp_path / "plots" / "film.summary.json").read_text())
    assert [track["frames"] for track in summary["tracks"]] == [30]
    assert Image.open(tmp_path / "plots" / "film.timeline.png").size[0] > 500
    assert "person 0" in (tmp_path / "prompt.txt").read_text()


def test_a_run_on_clips_leaves_pictures_out(clips: RunFolder, command: Command, tmp_path: Path) -> None:
    code, out, err = command(clips.path, picture(tmp_path / "one.png"), *CROPS)
    assert (code, len(out.splitlines())) == (2, 2)
    assert "over time" in err.splitlines()[0]


def test_scores_by_folder(run: RunFolder, command: Command, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        picture(tmp_path / name / "1.png")
    code, _, _ = command(
        *(run.path, tmp_path / "a", tmp_path / "b", *CROPS),
        *("--output", tmp_path / "rows.csv", "--scores-by-folder", tmp_path / "scores"),
    )
    assert code == 0
    for name in ("a", "b"):
        (row,) = read(tmp_path / "scores" / f"{name}.csv")
        assert tuple(row) == ("path", *EMOTIONS)


def test_annotated_pictures(run: RunFolder, command: Command, tmp_path: Path) -> None:
    one = picture(tmp_path / "one.jpg", size=(300, 400))
    assert command(run.path, one, *CROPS, "--annotate", tmp_path / "copy.png")[0] == 0
    assert Image.open(tmp_path / "copy.png").size == (400, 300)
    two = picture(tmp_path / "two.jpg")
    assert_one_line(command(run.path, one, two, *CROPS, "--annotate", tmp_path / "copy.png"), "One file", "folder")


def test_no_face_anywhere_is_explained(run: RunFolder, film: Path, command: Command, tmp_path: Path) -> None:
    one = picture(tmp_path / "one.png")
    code, out, err = command(run.path, one, "--boxes", film.parent / "boxes.csv")
    assert (code, next(csv.DictReader(out.splitlines()))["face_found"]) == (0, "0")
    assert "--detector none" in err


def test_dry_run_writes_nothing(run: RunFolder, command: Command, tmp_path: Path) -> None:
    one = picture(tmp_path / "one.png")
    code, out, _ = command(run.path, one, "--output", tmp_path / "rows.csv", "--dry-run")
    assert code == 0
    assert "would read the picture" in out
    assert "rows.csv" in out
    assert list(tmp_path.iterdir()) == [one]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing to look at"),
        (["no.png"], "no.png"),
        (["one.png", "--output", "x.xls"], ".csv"),
        (["one.png", "--smooth", "kalman"], "exponential"),
        (["one.png", "--smooth", "one-euro:1"], "2 numbers"),
        (["one.png", "--smooth", "exponential:x"], "numbers"),
        (["one.png", "--smooth", "exponential:0"], "above 0"),
        (["one.png", "--baseline", "0"], "0 seconds"),
        (["one.png", "--threshold", "2"], "[0, 1]"),
        (["one.png", "--detector", "mtcn"], "mtcnn"),
        (["one.png", "--boxes", "none.csv"], "none.csv"),
        (["--webcam", "0", "--scores-by-folder", "x"], "Scores by folder"),
        (["one.png", "--artifact", "onnx"], "onnx"),
    ],
)
def test_mistakes(
    words: list[str],
    message: str,
    run: RunFolder,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "one.png")
    assert_one_line(command(run.path, *words), message)
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_ctrl_c_keeps_rows_film_and_plot(
    run: RunFolder, film: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = predict._Tally.add

    def add(self: predict._Tally, result: object) -> None:
        plain(self, result)  # type: ignore[arg-type]
        if result.frame == 20:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    monkeypatch.setattr(predict._Tally, "add", add)
    code, _, err = command(
        *(run.path, film, *CROPS, "--output", tmp_path / "rows.json"),
        *("--annotate", tmp_path / "copy.mp4", "--timeline", tmp_path / "plots"),
    )
    assert (code, err) == (130, "ferkeras: Interrupted.\n")
    assert len(read(tmp_path / "rows.json")) == 21
    with open_video(tmp_path / "copy.mp4") as copy:
        assert copy.info.frames == 21
    assert json.loads((tmp_path / "plots" / "film.summary.json").read_text())["frames"] == 21


def test_a_camera_ends_by_ctrl_c(
    run: RunFolder, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def frames(number: int) -> Iterator[Frame]:
        for index in range(3):
            yield Frame(index, index / 10, images(1)[0].repeat(3, axis=-1))
        raise KeyboardInterrupt

    monkeypatch.setattr(camera, "camera_frames", frames)
    code, out, _ = command(run.path, "--webcam", "3", *CROPS)
    rows = list(csv.DictReader(out.splitlines()))
    assert (code, [row["source"] for row in rows]) == (0, ["camera:3"] * 3)


def test_no_camera_is_one_line(run: RunFolder, command: Command, tmp_path: Path) -> None:
    code, _, err = command(run.path, "--webcam", "77", *CROPS, "--output", tmp_path / "rows.csv")
    assert code == 2
    assert "camera" in err


@pytest.fixture
def shelf(run: RunFolder, tmp_path: Path) -> Path:
    """A folder of runs with two that may stand in, the better one unfinished, and one without its recipe."""
    for name in (*DEFAULT_RUNS[-2:], "mine"):
        shutil.copytree(run.path, tmp_path / "shelf" / name)
    (tmp_path / "shelf" / DEFAULT_RUNS[-1] / "README.md").touch()
    (tmp_path / "shelf" / "mine" / "recipe.json").unlink()
    return tmp_path / "shelf"


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["predict", "one.png"], "would read the picture one.png"),
        (["predict", "*.png", "more"], "would read the picture more/two.png"),
        (["predict", "more"], "would read the picture more/two.png"),
        (["predict", "--webcam", "0"], "would write CSV"),
        (["explain", "one.png", "--method", "saliency"], "would explain 1 pictures"),
        (["explain", "one.png", "more", "--method", "saliency"], "would explain 2 pictures"),
    ],
)
def test_without_a_run_a_shipped_one_stands_in(
    words: list[str],
    read: str,
    shelf: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "more").mkdir()
    picture(tmp_path / "one.png")
    picture(tmp_path / "more" / "two.png")
    code, out, err = call(capsys, *words, "--runs", shelf, "--dry-run")
    assert (code, err.count("\n")) == (0, 1)
    assert str(shelf / DEFAULT_RUNS[-1]) in err
    assert read in out
    (shelf / DEFAULT_RUNS[-2] / "README.md").touch()  # the better one is finished now
    assert str(shelf / DEFAULT_RUNS[-2]) in call(capsys, *words, "--runs", shelf, "--dry-run")[2]


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["predict", "quikstart", "one.png"], ["no run of this name", "quikstart", DEFAULT_RUNS[-2]]),
        (["predict", "quikstart"], ["no run of this name", "quikstart"]),
        (["explain", "quikstart", "--method", "saliency"], ["no run of this name", "quikstart"]),
        (["app", "one.png"], ["no run of this name", "one.png"]),
        (["predict", "shelf/mine", "one.png"], ["no run of this name", "shelf/mine"]),  # a run without its recipe
        (["predict", "shelf"], ["no run of this name", "shelf"]),
        (["predict"], ["nothing to look at"]),
        (["explain", DEFAULT_RUNS[-1], "--method", "saliency"], ["nothing to look at"]),
    ],
)
def test_a_mistyped_run_is_no_picture(
    words: list[str],
    messages: list[str],
    shelf: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "one.png")
    code, out, err = call(capsys, *words, "--runs", "shelf")
    assert (code, out) == (2, "")
    assert all(message in err.splitlines()[-1] for message in messages), err


@pytest.mark.parametrize("words", [["predict", "one.png"], ["explain", "one.png", "--method", "cam"], ["app"]])
def test_where_no_run_can_stand_in(words: list[str], run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    result = call(capsys, *words, "--runs", run.path.parent)
    assert_one_line(result, "No run is named", DEFAULT_RUNS[0], "--runs", f"Runs in {run.path.parent}: still")
