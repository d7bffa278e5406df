"""The annotation files and folders of Aff-Wild2: what is read, what is refused, and which split it means."""

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.aff_wild2.annotation import (
    parse_action_units,
    parse_expression,
    parse_valence_arousal,
    read_action_units,
    read_expressions,
    read_valence_arousal,
)
from tfds_builders.aff_wild2.layout import KINDS, Person, find_folders, read_people
from tfds_builders.aff_wild2.make_dummy_data import ALL_UNITS, HEADERS, PEOPLE, files
from tfds_builders.base.dummies import write_files
from tfds_builders.base.source import Skip

READERS = {"VA": read_valence_arousal, "EXPR": read_expressions, "AU": read_action_units}


def read(root: Path, kind: str, text: str | bytes) -> list[object]:
    path = root / "x.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return READERS[kind](path).tolist()  # type: ignore[no-any-return]


def people(root: Path, kinds: tuple[str, ...] = KINDS) -> list[Person | Skip]:
    return list(read_people(find_folders(root), root, kinds=kinds))


def test_line_i_after_the_header_is_frame_i(tmp_path: Path) -> None:
    found = read(tmp_path, "VA", "\ufeffvalence,arousal\r\n0.5,-1\r\n-5,0.5\r\n0.5, -5.0\r\n-0.25,1\r\n\r\n")
    np.testing.assert_array_equal(found, [[0.5, -1], [math.nan] * 2, [math.nan] * 2, [-0.25, 1]])
    codes = [-1, 0, 1, 2, 3, 4, 5, 6, 7]
    emotions = [None, "neutral", "angry", "disgust", "fear", "happy", "sad", "surprise", None]
    found = read(tmp_path, "EXPR", "\n".join([HEADERS["EXPR"], *map(str, codes)]))
    assert [None if position == -1 else EMOTIONS[position] for position in found] == emotions  # type: ignore[call-overload]
    assert read(tmp_path, "VA", "valence,arousal\n") == []


def test_seven_classes_are_those_of_abaw_1(tmp_path: Path) -> None:
    assert read(tmp_path, "EXPR", HEADERS["EXPR"].removesuffix(",Other") + "\n4\n") == [EMOTIONS.index("happy")]


def test_action_units_are_taken_by_the_names_in_the_header(tmp_path: Path) -> None:
    (same,) = read(tmp_path, "AU", f"{HEADERS['AU']}\n{ALL_UNITS}\n")
    assert same == [1, 0] * 6
    (eight,) = read(tmp_path, "AU", "AU1,AU2,AU4,AU6,AU12,AU15,AU20,AU25\n1,0,-1,1,0,1,1,0\n")
    assert eight == [1, 0, -1, 1, -1, -1, 0, 1, -1, -1, 0, -1]


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("VA", "0.5,0.5\n0.5,0.5\n", "x.txt should begin with valence,arousal. Received: '0.5,0.5'"),
        ("VA", "arousal,valence\n0.5,0.5\n", "should begin with valence,arousal"),
        ("VA", "valence,arousal\n0.5,0.5\n\n0.5,0.5\n", "x.txt, line 3 should be two numbers"),
        ("VA", "valence,arousal\n0.5\n", "line 2 should be two numbers"),
        ("VA", "valence,arousal\n0.5,0.5,0.5\n", "line 2 should be two numbers"),
        ("VA", "valence,arousal\n0.5,high\n", "line 2 should be two numbers"),
        ("VA", "valence,arousal\n0.5,1.5\n", "line 2 should have valence and arousal from -1 to 1"),
        ("VA", "valence,arousal\n-2,0.5\n", "line 2 should have valence and arousal"),
        ("VA", "valence,arousal\n0.5,nan\n", "line 2 should have valence and arousal"),
        ("EXPR", "1\n2\n", "x.txt should begin with the classes neutral, angry"),
        ("EXPR", "Anger,Neutral,Disgust,Fear,Happiness,Sadness,Surprise\n1\n", "should begin with the classes"),
        ("EXPR", HEADERS["EXPR"] + "\n4\n8\n", "line 3 should have a code from -1 to 7"),
        ("EXPR", HEADERS["EXPR"] + "\n-2\n", "line 2 should have a code"),
        ("EXPR", HEADERS["EXPR"] + "\n1.5\n", "line 2 should have whole numbers"),
        ("EXPR", HEADERS["EXPR"] + "\n1\n\n2\n", "line 3 should have whole numbers"),
        ("AU", f"{ALL_UNITS}\n{ALL_UNITS}\n", "should begin with action units such as AU1,AU2"),
        ("AU", "AU1,AU1\n0,1\n", "should begin with action units"),
        ("AU", "AU1,AU2\n0,1\n0\n", "line 3 should have 2 values -1, 0 or 1"),
        ("AU", "AU1,AU2\n0,2\n", "line 2 should have 2 values"),
        ("AU", "AU1,AU2\n0,0.5\n", "line 2 should have whole numbers"),
        ("VA", b"\xff\xd8\xff\xe0", "x.txt is no text in UTF-8"),
        ("VA", b"", "should begin with valence,arousal"),
    ],
)
def test_a_bad_file_is_an_error_with_its_line(kind: str, text: str | bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, kind, text)


@given(st.text(alphabet="0123456789,.-+e naif", max_size=12))
def test_any_line_is_understood_or_refused(text: str) -> None:
    try:
        values = parse_valence_arousal(text, where="x")
    except InputError:
        pass
    else:
        assert all(math.isnan(value) for value in values) or all(-1 <= value <= 1 for value in values)
    with contextlib.suppress(InputError):
        assert parse_expression(text, where="x") in range(-1, 7)
    with contextlib.suppress(InputError):
        assert set(parse_action_units(text, 2, where="x")) <= {-1, 0, 1}


def test_validation_wins_over_training(tmp_path: Path) -> None:
    write_files(tmp_path, files())
    found = people(tmp_path)
    persons = {person.name: person for person in found if isinstance(person, Person)}
    assert {name: (person.split, set(person.files)) for name, person in persons.items()} == {
        name: (person.split, set(person.used)) for name, person in PEOPLE.items()
    }
    assert [tuple(skip) for skip in found if isinstance(skip, Skip)] == [
        (
            "train",
            "6th_ABAW_Annotations/VA_Estimation_Challenge/Train_Set/video12.txt",
            "its video is in a validation set",
        )
    ]
    assert persons["4-30-1920x1080_left"].video == persons["4-30-1920x1080_right"].video == "4-30-1920x1080"
    assert persons["video9"].side is None
    alone = people(tmp_path, ("VA",))
    assert {person.name: person.split for person in alone if isinstance(person, Person)} == {
        "1-30-1280x720": "train",
        "4-30-1920x1080_left": "train",
        "video12": "train",
        "video9": "validation",
    }


def test_two_people_of_one_video_are_in_one_split(tmp_path: Path) -> None:
    text = "valence,arousal\n0,0\n"
    write_files(tmp_path, {"VA_Set/Training_Set/a_left.txt": text, "VA_Set/Validation_Set/a_right.txt": text})
    skip, person = people(tmp_path)
    assert isinstance(skip, Skip)
    assert isinstance(person, Person)
    assert (skip.id, person.name) == ("VA_Set/Training_Set/a_left.txt", "a_right")


@pytest.mark.parametrize("folder", ["VA_Set/Training_Set", "Third ABAW Annotations/va_estimation_challenge/train_set"])
def test_folders_of_other_years(folder: str, tmp_path: Path) -> None:
    write_files(
        tmp_path, {f"{folder}/a.txt": "valence,arousal\n0,0\n", "cropped-aligned/cropped_aligned/a/00001.jpg": b""}
    )
    (person,) = people(tmp_path)
    assert (person.name, person.split) == ("a", "train")  # type: ignore[union-attr]
    assert list(find_folders(tmp_path).cropped) == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (("notes.txt",), "there should be annotations of VA, EXPR, AU, .* Received: notes.txt"),
        (("VA_Set/Train_Set/a.txt", "6th/VA_Challenge/Train_Set/a.txt"), "lies there twice, perhaps of two years"),
        (("batch1/a.mp4", "batch2/a.avi"), r"lies there twice.*Received: batch1/a\.mp4 and batch2/a\.avi"),
        (("cropped_aligned/a/1.jpg", "x/cropped_aligned_2/a/1.jpg"), "lies there twice"),
    ],
)
def test_other_folders_are_an_error(content: tuple[str, ...], message: str, tmp_path: Path) -> None:
    write_files(tmp_path, dict.fromkeys(content, b""))
    with pytest.raises(InputError, match=message):
        people(tmp_path)
