"""Joining votes and faces: the row is the key, and what cannot be joined is refused. Needs no TensorFlow."""

import re
from pathlib import Path

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.base.dummies import write_files
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.fer2013.make_dummy_data import (
    ICML_HEADER,
    csv_row,
    csv_text,
    image_files,
    write_tar_gz,
    write_zip,
)
from tfds_builders.fer_plus import joining
from tfds_builders.fer_plus.joining import VOTES_FILE, read_joined
from tfds_builders.fer_plus.make_dummy_data import ROWS, fer2013_examples, votes_csv

FACES = csv_text(map(csv_row, fer2013_examples()))
LINES = votes_csv().splitlines()


def write(folder: Path, *, votes: str | None = None, faces: str = FACES) -> Path:
    write_files(folder, {VOTES_FILE: votes_csv() if votes is None else votes, "fer2013.csv": faces})
    return folder


def message(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(read_joined(folder, "majority"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_row_is_an_example_or_a_skip_with_its_number(tmp_path: Path) -> None:
    faces = fer2013_examples()
    for number, source in enumerate(read_joined(write(tmp_path), "majority")):
        row = ROWS[number]
        assert (source.id, source.split) == (str(number), row.split)
        if row.majority:
            assert isinstance(source, StillSource)
            np.testing.assert_array_equal(source.picture, faces[number].image)
            np.testing.assert_array_equal(source.more["votes"], row.votes)
            assert row.majority == {source.label: 1.0}
        else:
            assert isinstance(source, Skip)
    assert number == len(ROWS) - 1


def test_reasons(tmp_path: Path) -> None:
    reasons = {s.id: s.reason for s in read_joined(write(tmp_path), "majority") if isinstance(s, Skip)}
    assert reasons["2"] == "it has no image name, because no voter saw a face"
    assert reasons["3"] == "most voters see no face in it"
    assert reasons["4"] == "most voters do not know the emotion"
    assert reasons["0"] == reasons["9"] == "the voters disagree"


@pytest.mark.parametrize("layout", ["icml_face_data.csv", "fer2013.tar.gz", "any.zip", "nested"])
def test_other_layouts_of_fer2013_give_the_same(layout: str, tmp_path: Path) -> None:
    icml = csv_text((csv_row(face, header=ICML_HEADER) for face in fer2013_examples()), header=ICML_HEADER)
    (tmp_path / "b").mkdir()
    if layout == "icml_face_data.csv":
        write_files(tmp_path / "b", {VOTES_FILE: votes_csv(), layout: icml})
    elif layout == "nested":
        write_files(tmp_path / "b", {f"FERPlus-master/{VOTES_FILE}": votes_csv(), "fer2013/fer2013.csv": FACES})
    else:
        write_files(tmp_path / "b", {VOTES_FILE: "\ufeff" + votes_csv().replace("\n", "\r\n")})
        pack = write_zip if layout == "any.zip" else write_tar_gz
        pack(tmp_path / "b" / layout, {"fer2013/fer2013.csv": FACES.encode()})
    expected, got = (list(read_joined(folder, "majority")) for folder in (write(tmp_path / "a"), tmp_path / "b"))
    assert [(s.id, getattr(s, "label", None)) for s in got] == [(s.id, getattr(s, "label", None)) for s in expected]
    assert all(
        np.array_equal(a.picture, b.picture) for a, b in zip(expected, got, strict=True) if isinstance(a, StillSource)
    )


BAD_LINES = {
    "too few fields": ("Training,fer0000000.png,10,0", "should have 12 fields. Received: 4 fields"),
    "unknown usage": ("Test,a.png,10,0,0,0,0,0,0,0,0,0", "Usage should be one of"),
    "float votes": ("Training,a.png,10.0,0,0,0,0,0,0,0,0,0", "column neutral should be a number of votes"),
    "negative votes": ("Training,a.png,11,-1,0,0,0,0,0,0,0,0", "should be a number of votes"),
    "too many votes": ("Training,a.png,10,1,0,0,0,0,0,0,0,0", "the votes of at most 10 people. Received: 11"),
    "no votes": ("Training,a.png,0,0,0,0,0,0,0,0,0,0", "the votes of at most 10 people. Received: 0"),
    "no text": ("Training,a.png,\0,0,0,0,0,0,0,0,0,0", "is no text"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_a_broken_row_is_named(case: str, tmp_path: Path) -> None:
    line, expected = BAD_LINES[case]
    text = message(write(tmp_path, votes="\n".join([*LINES[:3], line, *LINES[4:]])))
    assert f"{VOTES_FILE}, line 4" in text
    assert expected in text


def test_a_file_without_header_is_refused(tmp_path: Path) -> None:
    assert "line 1 should name the columns Usage" in message(write(tmp_path, votes="\n".join(LINES[1:])))


@pytest.mark.parametrize("shorter", ["FER2013", VOTES_FILE])
def test_other_numbers_of_rows(shorter: str, tmp_path: Path) -> None:
    if shorter == "FER2013":
        write(tmp_path, faces=csv_text(map(csv_row, fer2013_examples()[:-1])))
    else:
        write(tmp_path, votes="\n".join(LINES[:-1]))
    assert f"only {len(ROWS) - 1} rows of {shorter}" in message(tmp_path)


def test_another_usage(tmp_path: Path) -> None:
    text = message(write(tmp_path, votes=votes_csv().replace("PublicTest", "PrivateTest", 1)))
    assert re.search("Data row 8: Usage should be the same.*validation and test", text)


def test_a_corrupt_face_ends_the_reading(tmp_path: Path) -> None:
    faces = FACES.splitlines()
    faces[2] = faces[2].replace(" ", " x ", 1)
    assert "fer2013.csv, line 3" in message(write(tmp_path, faces="\n".join(faces)))


@pytest.mark.parametrize("packed", [False, True])
def test_image_folders_cannot_be_joined(packed: bool, tmp_path: Path) -> None:
    write_files(tmp_path, {VOTES_FILE: votes_csv()})
    if packed:
        write_zip(tmp_path / "archive.zip", image_files(fer2013_examples()))
    else:
        write_files(tmp_path, image_files(fer2013_examples()))
    assert "cannot be joined with FER+" in message(tmp_path)


@pytest.mark.parametrize(
    ("missing", "expected"), [(VOTES_FILE, f"{VOTES_FILE} is missing"), ("fer2013.csv", "FER2013")]
)
def test_a_missing_file(missing: str, expected: str, tmp_path: Path) -> None:
    (write(tmp_path) / missing).unlink()
    assert expected in message(tmp_path)


def test_rows_in_another_order_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Usage alone cannot tell: whole blocks of rows have the same."""
    monkeypatch.setattr(joining, "ENOUGH_ROWS", 5)
    label = {number: (*row.majority, EMOTIONS[0])[0] for number, row in enumerate(ROWS)}
    faces = [
        face._replace(emotion="angry" if label[number] == "contempt" else label[number])
        for number, face in enumerate(fer2013_examples())
    ]
    list(read_joined(write(tmp_path, faces=csv_text(map(csv_row, faces))), "majority"))
    wrong = [face._replace(emotion="fear") for face in faces]
    assert "should agree on about two of three" in message(write(tmp_path, faces=csv_text(map(csv_row, wrong))))
