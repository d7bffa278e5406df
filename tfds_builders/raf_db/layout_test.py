"""Layouts and labels of RAF-DB: variants, broken copies. Needs no TensorFlow."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.labels import RAF_DB_CODES
from tfds_builders.base.dummies import write_files
from tfds_builders.base.pictures import load_picture
from tfds_builders.base.source import Skip, StillSource
from tfds_builders.fer2013.make_dummy_data import write_zip
from tfds_builders.raf_db.labels import OFFICIAL_COUNTS, parse_line
from tfds_builders.raf_db.layout import read_box, read_raf_db
from tfds_builders.raf_db.make_dummy_data import (
    LABELS,
    ORIGINALS,
    aligned_pictures,
    kaggle,
    list_text,
    official,
    original,
)

LIST = "EmoLabel/list_patition_label.txt"
TRUTH = {name: RAF_DB_CODES[code] for name, code in LABELS.items()}


def read(folder: Path, *, aligned: bool = True) -> list[StillSource | Skip]:
    return list(read_raf_db(folder, aligned=aligned))


def labels(folder: Path) -> dict[str, str]:
    """Name without suffix -> label; the pixels have to be those that belong to the name."""
    found = {}
    for source in read(folder):
        assert isinstance(source, StillSource), source
        name = source.id.rpartition("/")[2].removesuffix("_aligned.jpg")
        assert source.split == name.partition("_")[0]
        write_files(folder.parent / "expected", {"picture.jpg": aligned_pictures(LABELS)[f"{name}_aligned.jpg"]})
        np.testing.assert_array_equal(
            load_picture(source.picture), load_picture(folder.parent / "expected" / "picture.jpg")
        )
        found[name] = source.label
    return found


def message(folder: Path, *, aligned: bool = True) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, aligned=aligned)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def renamed(files: dict[str, bytes | str], old: str, new: str) -> dict[str, bytes | str]:
    return {path.replace(old, new): data for path, data in files.items()}


VARIANTS = {
    "official": official(),
    "kaggle": kaggle(),
    "kaggle without csv": {path: data for path, data in kaggle().items() if not path.endswith(".csv")},
    "double nesting": renamed(official(), "Image/aligned/", "basic/Image/aligned/aligned/"),
    "spelt correctly": renamed(official(), "patition", "partition"),
    "other case": renamed(renamed(official(), "EmoLabel/list_patition", "emolabel/List_Patition"), ".jpg", ".JPG"),
    "windows": {**official(), LIST: "\ufeff" + list_text(LABELS).replace("\n", "\r\n") + "\r\n"},
    "names of the aligned": {**official(), LIST: list_text(LABELS).replace(".jpg", "_aligned.jpg")},
    "strays": {**official(), "Image/aligned/Thumbs.db": b"x", "Image/._train_00001_aligned.jpg": b"x"},
    "beside the compound set": {**official(), f"compound/{LIST}": "train_0001.jpg 11", "compound/x.txt": ""},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_layout_give_the_same_labels(variant: str, tmp_path: Path) -> None:
    write_files(tmp_path / "manual", VARIANTS[variant])
    if variant == "other case":
        assert {s.id.lower().rpartition("/")[2]: s.label for s in read(tmp_path / "manual")} == {
            f"{name}_aligned.jpg": emotion for name, emotion in TRUTH.items()
        }
    else:
        assert labels(tmp_path / "manual") == TRUTH


@pytest.mark.parametrize("extracted_too", [False, True])
def test_aligned_zip_is_read_in_place(extracted_too: bool, tmp_path: Path) -> None:
    manual = tmp_path / "manual"
    write_files(manual, {LIST: list_text(LABELS)})
    members = {f"aligned/{name}": data for name, data in aligned_pictures(LABELS).items()}
    write_zip(manual / "Image" / "aligned.zip", members)
    if extracted_too:
        write_files(manual / "Image", members)
    assert labels(manual) == TRUTH
    ids = [source.id for source in read(manual)]
    assert all(("aligned.zip" in key) != extracted_too for key in ids)


def test_original_pictures_have_boxes(tmp_path: Path) -> None:
    write_files(tmp_path, original())
    sources = read(tmp_path, aligned=False)
    assert {s.id: s.label for s in sources} == {
        f"basic/Image/original/{name}.jpg": RAF_DB_CODES[code] for name, code in ORIGINALS.items()
    }
    np.testing.assert_array_equal([s.box for s in sources], [[52.5, 37, 56, 70], [54.5, 37, 54, 70]])
    assert "use the configuration official" in message(write_kaggle(tmp_path / "b"), aligned=False)


def write_kaggle(folder: Path) -> Path:
    write_files(folder, kaggle())
    return folder


@pytest.mark.parametrize("text", ["", "1 2 3", "9 9 1 1", "a b c d", "nan 1 2 3"])
def test_box_that_is_none(text: str, tmp_path: Path) -> None:
    write_files(tmp_path, {"x_boundingbox.txt": text})
    with pytest.raises(InputError, match="xmin ymin xmax ymax"):
        read_box(tmp_path / "x_boundingbox.txt")


BAD_LISTS = {
    "unknown code": ("train_00001.jpg 0", "line 1 should have a code from 1 to 7. Received: '0'"),
    "float code": ("train_00001.jpg 5.0", "Received: '5.0'"),
    "word": ("train_00001.jpg happy", "Received: 'happy'"),
    "compound": ("train_00001.jpg 8", "the compound set"),
    "no code": ("train_00001.jpg", "should be a name and a code"),
    "other name": ("../train_00001.jpg 1", "should be a name and a code"),
    "twice": ("train_00001.jpg 1\ntrain_00001.jpg 2", "line 2: every picture should be listed once"),
    "no text": ("train_00001.jpg 1\n\xff\xfe", "line 2"),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a_broken_list_is_named_with_its_line(case: str, tmp_path: Path) -> None:
    text, expected = BAD_LISTS[case]
    write_files(tmp_path, {**official(), LIST: text.encode("latin-1")})
    assert "list_patition_label.txt, line" in message(tmp_path)
    assert expected in message(tmp_path)


def test_missing_and_unlisted_pictures_are_skips(tmp_path: Path) -> None:
    write_files(tmp_path, official())
    (tmp_path / "Image/aligned/train_00003_aligned.jpg").unlink()
    shutil.copy(tmp_path / "Image/aligned/test_0001_aligned.jpg", tmp_path / "Image/aligned/test_0009_aligned.jpg")
    skips = [source for source in read(tmp_path) if isinstance(source, Skip)]
    assert skips == [
        Skip("train", "train_00003", "cannot be read: the picture is missing"),
        Skip("test", "Image/aligned/test_0009_aligned.jpg", "not in list_patition_label.txt"),
    ]


BAD_KAGGLE = {
    "class folder": ("DATASET/train/8/train_00009_aligned.jpg", b"x", "should have a code from 1 to 7. Received: '8'"),
    "split": ("DATASET/train/1/test_0009_aligned.jpg", b"x", "The splits are mixed up"),
    "csv contradicts": ("train_labels.csv", "image,label\ntrain_00001_aligned.jpg,2\n", "line 2: train_00001_aligned"),
    "csv code": ("train_labels.csv", "image,label\ntrain_00001_aligned.jpg,9\n", "line 2 should have a code"),
    "csv header": ("test_labels.csv", "file,class\n", "line 1 should name the columns image, label"),
}


@pytest.mark.parametrize("case", BAD_KAGGLE)
def test_broken_kaggle_copy(case: str, tmp_path: Path) -> None:
    path, data, expected = BAD_KAGGLE[case]
    write_files(tmp_path, {**kaggle(), path: data})
    assert expected in message(tmp_path)


def test_what_is_no_basic_set(tmp_path: Path) -> None:
    write_files(tmp_path / "compound", renamed(official(), "Image/", "compound/Image/"))
    write_files(tmp_path / "other", {"train/happy/1.jpg": b"x"})
    write_files(tmp_path / "set", {f"compound/{path}": data for path, data in official().items()})
    (tmp_path / "empty").mkdir()
    assert "with the compound set" in message(tmp_path / "set")
    assert "should be named train_<number>_aligned.jpg" in message(tmp_path / "other")
    assert "with nothing" in message(tmp_path / "empty")


def test_damaged_zip(tmp_path: Path) -> None:
    write_files(tmp_path, {LIST: list_text(LABELS), "Image/aligned.zip": b"PK\x03\x04 cut off"})
    assert "aligned.zip" in message(tmp_path)


def test_official_counts_add_up() -> None:
    assert {split: sum(counts.values()) for split, counts in OFFICIAL_COUNTS.items()} == {"train": 12271, "test": 3068}


@given(name=st.from_regex(r"(train|test)_[0-9]{4,5}", fullmatch=True), code=st.sampled_from(sorted(RAF_DB_CODES)))
def test_parse_line_inverts_writing(name: str, code: int) -> None:
    assert parse_line(list_text({name: code}), where="here") == (name, RAF_DB_CODES[code])


@given(text=st.text(max_size=40) | st.from_regex(r"train_[0-9]{5}\.jpg [089+-]?[0-9.]*", fullmatch=True))
def test_parse_line_answers_anything_else_with_input_error(text: str) -> None:
    try:
        name, emotion = parse_line(text, where="here")
    except InputError:
        return
    code = text.split()[-1]
    assert text.lower().startswith(name)
    assert RAF_DB_CODES[int(code)] == emotion
    assert code in "1234567"
