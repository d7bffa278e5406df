"""The table of classification scores, alone and by folder."""

import csv
from pathlib import Path

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.faces.track import TrackedFace
from ferkeras.prediction.inputs import Input
from ferkeras.prediction.result import FaceResult, FrameResult, Scores
from ferkeras.prediction.score_table import open_score_table, open_score_tables, table_names

CLASSES = ("happy", "sad")


def face(side: float, happy: float) -> FaceResult:
    box = np.array([0, 0, side, side], np.float32)
    tracked = TrackedFace(0, box, np.full((5, 2), np.nan, np.float32), 1.0, True)
    return FaceResult(tracked, Scores(np.array([happy, 1 - happy])), None)


def picture(source: Path | str, *faces: FaceResult) -> FrameResult:
    return FrameResult(str(source), 0, None, None, faces)


def inputs(*paths: Path) -> list[Input]:
    return [Input(str(path), path) for path in paths]


def read(path: Path) -> list[list[str]]:
    return list(csv.reader(path.open()))


def test_the_largest_face_of_each_picture(tmp_path: Path) -> None:
    with open_score_table(tmp_path / "scores.csv", classes=CLASSES) as write:
        write(picture("a.png", face(10, 0.25), face(20, 0.75)))
        write(picture("b.png"))
    assert read(tmp_path / "scores.csv") == [["path", "happy", "sad"], ["a.png", "0.75", "0.25"], ["b.png", "", ""]]
    with pytest.raises(InputError, match="network with classes"), open_score_table(tmp_path / "a.csv", classes=()):
        pass


def test_a_table_for_each_folder(tmp_path: Path) -> None:
    paths = [
        tmp_path / name for name in ("in/monday/a.png", "in/tuesday/b.png", "in/monday/late/c.png", "in/monday/d.png")
    ]
    output = tmp_path / "out"
    with open_score_tables(output, inputs=inputs(*paths), classes=CLASSES) as write:
        for path in paths[:2]:
            write(picture(path, face(10, 0.5)))
        # Complete tables are there, others are not.
        assert [path.name for path in output.glob("*.csv")] == ["tuesday.csv"]
        for path in paths[2:]:
            write(picture(path))
    assert [row[0] for row in read(output / "monday.csv")] == ["path", str(paths[0]), str(paths[3])]
    assert [row[0] for row in read(output / "tuesday.csv")] == ["path", str(paths[1])]
    assert [row[0] for row in read(output / "monday/late.csv")] == ["path", str(paths[2])]
    assert sorted(path.name for path in output.rglob("*")) == ["late.csv", "monday", "monday.csv", "tuesday.csv"]


def test_an_interruption_keeps_the_rows_so_far(tmp_path: Path) -> None:
    paths = [tmp_path / "a/1.png", tmp_path / "a/2.png", tmp_path / "b/1.png", tmp_path / "b/2.png"]

    def interrupted() -> None:
        with open_score_tables(tmp_path, inputs=inputs(*paths), classes=CLASSES) as write:
            write(picture(paths[0]))
            write(picture(paths[2]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [len(read(tmp_path / f"{name}.csv")) for name in "ab"] == [2, 2]


def test_one_folder_in_two_spellings_is_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spelled = [Path("a/1.png"), Path("b/../a/2.png")]
    with open_score_tables(tmp_path / "out", inputs=inputs(*spelled), classes=CLASSES) as write:
        for path in spelled:
            write(picture(path))
    assert len(read(tmp_path / "out/a.csv")) == 3


def test_where_the_tables_lie() -> None:
    folders = [Path(f"/data/{number}") for number in range(3)]
    assert table_names(folders) == {folder: Path(f"{folder.name}.csv") for folder in folders}
    assert table_names([Path("/data")]) == {Path("/data"): Path("data.csv")}
    assert table_names([Path("/"), Path("/a")]) == {Path("/"): Path("root.csv"), Path("/a"): Path("a.csv")}
    assert table_names([]) == {}


def test_videos_are_refused(tmp_path: Path) -> None:
    film = Input("film.mp4", Path("film.mp4"), "video")
    with pytest.raises(InputError, match=r"film\.mp4"), open_score_tables(tmp_path, inputs=[film], classes=CLASSES):
        pass
    with open_score_tables(tmp_path, inputs=[], classes=CLASSES) as write, pytest.raises(InputError, match="camera:0"):
        write(FrameResult("camera:0", 0, 0.0, None, ()))
    with pytest.raises(InputError, match="network with classes"), open_score_tables(tmp_path, inputs=[], classes=()):
        pass
