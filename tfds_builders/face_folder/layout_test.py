"""Folders of pictures: classes, splits, subjects, what is left out, what is refused. Needs no TensorFlow."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS, EMOTIONS_WITH_CONTEMPT
from tfds_builders.base.dummies import write_files
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.face_folder.layout import class_of, read_face_folder, split_of
from tfds_builders.face_folder.make_dummy_data import PLAIN, SPLIT, plain, split
from tfds_builders.fer2013.make_dummy_data import write_zip


def read(folder: Path, *, classes: tuple[str, ...] = EMOTIONS, **more: object) -> list[StillSource | Skip]:
    return list(read_face_folder(folder, classes=classes, **more))


def labels(sources: list[StillSource | Skip]) -> dict[str, str]:
    return {source.id: source.label for source in sources if isinstance(source, StillSource)}


def message(folder: Path, **more: object) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_with_and_without_splits(tmp_path: Path) -> None:
    write_files(tmp_path / "plain", {**plain(), "Happy/.DS_Store": b"x", "notes.txt": "x", "rejected.csv": "x"})
    write_files(tmp_path / "split", split())
    sources = read(tmp_path / "plain")
    assert labels(sources) == PLAIN
    assert {source.split for source in sources} == {"train"}
    sources = read(tmp_path / "split")
    assert labels(sources) == SPLIT
    assert [source.split for source in sources] == ["test", "train", "train", "validation"]


@pytest.mark.parametrize("around", ["", "crawl/", "crawl/2024/"])
def test_zip(around: str, tmp_path: Path) -> None:
    write_zip(tmp_path / "any.zip", {f"{around}{path}": data for path, data in split().items()})
    sources = read(tmp_path)
    assert labels(sources) == {f"any.zip/{around}{path}": label for path, label in SPLIT.items()}
    assert {source.split for source in sources} == {"train", "validation", "test"}


def test_extracted_zip_is_read_once(tmp_path: Path) -> None:
    write_zip(tmp_path / "any.zip", plain())
    write_files(tmp_path / "any", plain())
    assert labels(read(tmp_path)) == {f"any/{path}": label for path, label in PLAIN.items()}


def test_classes_of_the_user(tmp_path: Path) -> None:
    write_files(tmp_path, {"Pensive/1.jpg": b"x", "happiness/1.jpg": b"y", "neutral/1.jpg": b"z"})
    found = labels(read(tmp_path, classes=("neutral", "happy", "pensive")))
    assert found == {"Pensive/1.jpg": "pensive", "happiness/1.jpg": "happy", "neutral/1.jpg": "neutral"}
    assert "Received: 'Pensive'. The option classes names others" in message(tmp_path)
    assert "Received: 'neutral'" in message(tmp_path, classes=("happy", "pensive"))


def test_subjects(tmp_path: Path) -> None:
    write_files(tmp_path, split())
    for pattern in (r"^[a-z]+", r"([a-z]+)_\d"):
        assert {s.id: s.subject for s in read(tmp_path, subject_pattern=pattern)} == {
            path: path.rpartition("/")[2].partition("_")[0] for path in SPLIT
        }
    assert "should find the subject in every file name" in message(tmp_path, subject_pattern=r"x(\d+)")
    assert "should be a regular expression" in message(tmp_path, subject_pattern="(")


def test_exclusions(tmp_path: Path) -> None:
    rows = [
        "path,class,reason,value,threshold",
        "Happy/anna_1.jpg,happy,blurred,3.1,20",
        '"Happy/anna_1.jpg",happy,"no face",,',
        "anger/anna_2.jpg,angry,duplicate,,",
        "anger/anna_2.jpg,angry,duplicate,,",
        "anger/gone.jpg,angry,unreadable,,",
    ]
    write_files(tmp_path / "pictures", plain())
    write_files(tmp_path, {"rejected.csv": "\n".join(rows)})
    with pytest.warns(UserWarning, match="lists 1 pictures that are not there: anger/gone.jpg"):
        sources = read(tmp_path / "pictures", exclude=tmp_path / "rejected.csv")
    assert [source for source in sources if isinstance(source, Skip)] == [
        Skip("train", "Happy/anna_1.jpg", "excluded: blurred, no face"),
        Skip("train", "anger/anna_2.jpg", "excluded: duplicate"),
    ]
    assert set(labels(sources)) == {"Happy/bert_1.png", "neutral/bert_2.bmp"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,class\nHappy/anna_1.jpg,happy\n", "line 1 should name the columns path, class, reason"),
        ("path,class,reason\n../Happy/anna_1.jpg,happy,x\n", "line 2: a path should lie inside"),
        ("path,class,reason\nother/1.jpg,happy,x\n", "Was it made for another folder?"),
        ("path,class,reason\nHappy/anna_1.jpg,happy\n", "line 2 should have 3 fields"),
    ],
)
def test_broken_exclusions(text: str, expected: str, tmp_path: Path) -> None:
    write_files(tmp_path / "pictures", plain())
    write_files(tmp_path, {"rejected.csv": text})
    assert expected in message(tmp_path / "pictures", exclude=tmp_path / "rejected.csv")


def test_missing_exclusions(tmp_path: Path) -> None:
    write_files(tmp_path, plain())
    assert "There is no file no.csv" in message(tmp_path, exclude=tmp_path / "no.csv")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("1.jpg", "should lie in a folder of one of the classes"),
        ("unknown/1.jpg", "Received: 'unknown'"),
        ("Happy/more/1.jpg", "Received: 'more'"),
        ("train/happy/1.jpg", "Either all pictures or none"),
        ("contempt/1.jpg", "Received: 'contempt'"),
    ],
)
def test_a_picture_in_another_place(path: str, expected: str, tmp_path: Path) -> None:
    write_files(tmp_path, {**plain(), path: b"x"})
    assert expected in message(tmp_path)


@pytest.mark.parametrize("classes", [(), ("happy", "Happy")])
def test_classes_that_cannot_be_told_apart(classes: tuple[str, ...], tmp_path: Path) -> None:
    assert "classes should be different names" in message(tmp_path, classes=classes)


def test_no_pictures(tmp_path: Path) -> None:
    write_files(tmp_path, {"happy/readme.txt": "x"})
    assert "There should be pictures in one folder per class" in message(tmp_path)


@given(
    name=st.sampled_from(EMOTIONS_WITH_CONTEMPT),
    spelling=st.sampled_from([str.upper, str.title, str.lower]),
    around=st.sampled_from(["", "a/", "train/", "a/val/"]),
)
def test_class_and_split_of_a_path(name: str, spelling: object, around: str) -> None:
    assert callable(spelling)
    path = f"{around}{spelling(name)}/1.jpg"
    assert class_of(path, EMOTIONS_WITH_CONTEMPT) == name
    assert split_of(path) == {"train/": "train", "a/val/": "validation"}.get(around)
