"""Boxes of a user's file: found by path or name, and every mistake told with its line."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.faces.given import LANDMARKS, GivenFaces


def write(folder: Path, *rows: str, header: str = "source,x,y,width,height") -> Path:
    path = folder / "boxes.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_by_path_by_name_and_by_frame(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "a/one.jpg,1,2,3,4,,0.5",
        "a/one.jpg,5,6,7,8,,0.9",
        "a/two.mp4,1,1,1,1,7,",
        "b/two.mp4,2,2,2,2,7,1",
        header="source,x,y,width,height,frame,score",
    )
    given_faces = GivenFaces(path)
    faces = given_faces.faces("a/one.jpg")
    assert faces.boxes.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]
    assert faces.scores.tolist() == pytest.approx([0.9, 0.5])
    assert np.isnan(faces.landmarks).all()
    assert len(given_faces.faces("/elsewhere/one.jpg")) == 2
    assert len(given_faces.faces("c/two.mp4", frame=7)) == 0, "the name alone is not unique"
    assert given_faces.faces("b/two.mp4", frame=7).boxes.tolist() == [[2, 2, 2, 2]]
    assert len(given_faces.faces("b/two.mp4", frame=8)) == 0


def test_landmarks_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "boxes.csv"
    header = ",".join(["source", "x", "y", "width", "height", *LANDMARKS])
    path.write_text(f"{header}\np.png,0,0,9,9,{','.join(map(str, range(10)))}\n", encoding="utf-8-sig")
    faces = GivenFaces(path).faces("p.png")
    assert faces.landmarks[0].tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p,1,2,3", r"boxes\.csv, line 3: as many values as columns"),
        ("p,1,2,3,4,5,6,7", r"line 3: as many values as columns"),
        (",1,2,3,4,,", r"line 3: source is empty"),
        ("p,one,2,3,4,,", r"line 3: x must be a number\. Received: 'one'"),
        ("p,nan,2,3,4,,", r"line 3: x must be a number"),
        ("p,1,2,0,4,,", r"line 3: width and height must be above 0\. Received: 0 x 4"),
        ("p,1,2,3,4,,2", r"line 3: score must be in \[0, 1\]\. Received: 2"),
        ("p,1,2,3,4,1.5,", r"line 3: frame must be a whole number from 0 on\. Received: 1\.5"),
        ("p,1,2,3,4,-1,", r"line 3: frame must be a whole number"),
    ],
)
def test_wrong_rows(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path, "p,1,2,3,4,,", row, header="source,x,y,width,height,frame,score")
    with pytest.raises(InputError, match=message):
        GivenFaces(path)


@pytest.mark.parametrize(
    "header", ["", "source,x,y,width", "source,x,y,width,height,colour", "x,source,x,y,width,height"]
)
def test_wrong_columns(tmp_path: Path, header: str) -> None:
    with pytest.raises(InputError, match="should have the columns source, x, y, width, height"):
        GivenFaces(write(tmp_path, header=header))


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read\. Received: .*absent\.csv"):
        GivenFaces(tmp_path / "absent.csv")
    (tmp_path / "picture.csv").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(InputError, match="cannot be read"):
        GivenFaces(tmp_path / "picture.csv")


number = st.integers(-1000, 1000)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), number, st.integers(1, 99)), max_size=20))
def test_every_row_is_found_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int, int]]
) -> None:
    lines = [f"{source},{x},{x},{side},{side},{frame}" for source, frame, x, side in rows]
    faces = GivenFaces(write(tmp_path_factory.mktemp("g"), *lines, header="source,x,y,width,height,frame"))
    for name in "abc":
        for frame in range(4):
            expected = [[x, x, side, side] for source, at, x, side in rows if (source, at) == (name, frame)]
            assert faces.faces(name, frame=frame).boxes.tolist() == expected
