"""The list of segments: what is read, and an error with the line for every kind of bad row."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from tfds_builders.annotated_segments.segments import Segment, parse_segment, read_segments
from tfds_builders.base.dummies import write_files
from tfds_builders.base.source import Skip

CLASSES = ("neutral", "happy", "pensive")
HEADER = "video,start,end,label,subject\n"


def read(root: Path, text: str | bytes, **options: object) -> list[Segment | Skip]:
    write_files(root, {"a.avi": b"", "deep/b.avi": b"", "segments.csv": text})
    return list(read_segments(root, "segments.csv", classes=CLASSES, **options))  # type: ignore[arg-type]


def test_rows_become_segments(tmp_path: Path) -> None:
    text = HEADER + "a.avi,0,1.5,happy,s1\n\n ./deep//b.avi , 1.50,2,pensive,Ana Núñez\n"
    expected = [
        Segment("a.avi", 0.0, 1.5, "happy", "s1", "", "train", False),
        Segment("deep/b.avi", 1.5, 2.0, "pensive", "Ana Núñez", "", "train", False),
    ]
    assert read(tmp_path, text) == expected
    assert [segment.id for segment in expected] == ["a.avi@0.0s-1.5s", "deep/b.avi@1.5s-2.0s"]


def test_a_mark_other_columns_and_another_order_do_not_matter(tmp_path: Path) -> None:
    text = "\ufeffSubject,annotator,Label,END_frame,start_frame,Video,Split,group\r\ns1,x,happy,20,5,a.avi,Dev,es\r\n"
    (segment,) = read(tmp_path, text.encode())
    assert segment == Segment("a.avi", 5, 20, "happy", "s1", "es", "validation", True)
    assert segment.id == "a.avi@5-20"


def test_labels_that_are_not_wanted_are_left_out(tmp_path: Path) -> None:
    text = HEADER + "a.avi,0,1,other,s1\na.avi,1,2,happy,s1\n"
    skip, segment = read(tmp_path, text, leave_out=("other",))
    assert skip == Skip("train", "a.avi@0.0s-1.0s", "label is left out")
    assert isinstance(segment, Segment)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("c.avi,0,1,happy,s1", r"segments\.csv, line 3: the video is missing\. Received: c\.avi"),
        ("../a.avi,0,1,happy,s1", "line 3: a path should lie inside the data set"),
        ("/etc/passwd,0,1,happy,s1", "line 3: a path should lie inside the data set"),
        ("C:\\a.avi,0,1,happy,s1", "line 3: a path should lie inside the data set"),
        ("a.avi,2,1,happy,s1", r"line 3: a segment should end after its start\. Received: 2\.0 to 1\.0"),
        ("a.avi,1,1,happy,s1", "line 3: a segment should end after its start"),
        ("a.avi,-1,1,happy,s1", r"line 3, column start should be seconds from 0 on, such as 12\.5\. Received: '-1'"),
        ("a.avi,0,00:01:02,happy,s1", "line 3, column end should be seconds"),
        ("a.avi,0,nan,happy,s1", "line 3, column end should be seconds"),
        ("a.avi,0,inf,happy,s1", "line 3, column end should be seconds"),
        ("a.avi,,1,happy,s1", "line 3, column start should be seconds"),
        ("a.avi,0,1,Happy,s1", "line 3 should have one of the labels neutral, happy, pensive. Received: 'Happy'"),
        ("a.avi,0,1,,s1", "line 3 should have a label"),
        ("a.avi,0,1,happy,", "line 3 should have a subject"),
        (",0,1,happy,s1", "line 3 should have a video"),
        ("a.avi,0,1,happy", "line 3 should have 5 fields"),
        ("a.avi,0,1,5,happy,s1", "line 3 should have 5 fields"),
        ("a.avi,3.0,4,neutral,s2", r"there once\. Received: a\.avi@3\.0s-4\.0s in .* line 2 and in .* line 3"),
    ],
)
def test_a_bad_row_is_an_error_with_its_line(row: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, f"{HEADER}a.avi,3,4,happy,s1\n{row}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,start_frame,end_frame,label,subject\na.avi,0.5,9,happy,s1\n", "line 2, column start_frame should be a"),
        ("video,start_frame,end_frame,label,subject\na.avi,-5,9,happy,s1\n", "line 2, column start_frame should be a"),
        ("video,start,end,label,subject,split\na.avi,0,1,happy,s1,\n", "line 2: a split should be train"),
        ("video,start,end,label,subject,split\na.avi,0,1,happy,s1,all\n", "Received: 'all'"),
        ("a.avi,0,1,happy,s1\n", "line 1 should name the columns video, start, end, label, subject"),
        ("video,start_frame,label,subject\n", "line 1 should name the columns video, start_frame, end_frame"),
        ("video,start,end,start_frame,end_frame,label,subject\n", "either in seconds or in frames"),
        ("video,start,end,label,subject,Label\n", "each column once. Received: label twice"),
        ("video;start;end;label;subject\n", "should have commas between the columns"),
        (b"video,start,end,label,subject\na.avi,0,1,happy,\xe9\n", "line 2 is no text in UTF-8"),
        (b"PK\x03\x04\0\0", "line 1 is no text"),
    ],
)
def test_a_bad_list_is_an_error(text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, text)


def test_the_list_must_be_there_and_inside(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"The list of segments other\.csv is missing"):
        list(read_segments(tmp_path, "other.csv", classes=CLASSES))
    with pytest.raises(InputError, match="should lie inside the data set"):
        list(read_segments(tmp_path, "../segments.csv", classes=CLASSES))


@given(st.text(max_size=12), st.text(max_size=12), st.booleans())
def test_any_span_is_understood_or_refused(start: str, end: str, in_frames: bool) -> None:
    names = ("start_frame", "end_frame") if in_frames else ("start", "end")
    row = {"video": "a.avi", names[0]: start, names[1]: end, "label": "happy", "subject": "s1"}
    try:
        segment = parse_segment(row, where="x")
    except InputError:
        return
    assert 0 <= segment.start < segment.end
    assert (segment.start, segment.end) == (float(start), float(end))


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_every_good_span_is_understood(start: int, length: int) -> None:
    row = {"video": "a.avi", "start": f"{start / 1000}", "end": f"{(start + length) / 1000}"}
    segment = parse_segment({**row, "label": "happy", "subject": "s1"}, where="x")
    assert (segment.start, segment.end) == (start / 1000, (start + length) / 1000)
