"""Which copy is found, and how it is compared with the official counts."""

import warnings
from collections import Counter
from pathlib import Path

import pytest

from ferkeras.errors import InputError
from tfds_builders.fer2013.layout import find_source
from tfds_builders.fer2013.make_dummy_data import (
    csv_row,
    csv_text,
    dummy_examples,
    image_files,
    write_folder,
    write_tar_gz,
    write_zip,
)
from tfds_builders.fer2013.official import OFFICIAL_COUNTS, check_counts


@pytest.mark.parametrize("kind", ["absent", "empty", "file"])
def test_no_folder(kind: str, tmp_path: Path) -> None:
    folder = tmp_path / "manual"
    if kind == "empty":
        folder.mkdir()
    elif kind == "file":
        folder.touch()
    with pytest.raises(InputError, match=f"does not exist or is empty. Received: {folder}. Put fer2013.csv,"):
        find_source(folder)


def test_files_may_lie_one_folder_down(tmp_path: Path) -> None:
    write_folder(tmp_path / "downloads" / "fer2013", image_files(dummy_examples()))
    assert find_source(tmp_path / "downloads").path == tmp_path / "downloads" / "fer2013"
    with pytest.raises(InputError, match="No known layout"):
        find_source(tmp_path)


def test_unknown_layout_tells_what_was_found(tmp_path: Path) -> None:
    write_folder(tmp_path, {"train.csv": b"", "notes.txt": b"", "train/1/a.jpg": b""})
    with pytest.raises(InputError, match=r"Received: notes.txt, train, train.csv\. Put fer2013.csv,"):
        find_source(tmp_path)


def test_first_of_the_documented_order_is_read(tmp_path: Path) -> None:
    csv_file = csv_text(map(csv_row, dummy_examples())).encode()
    images = image_files(dummy_examples())
    write_folder(tmp_path, {"fer2013.csv": csv_file, "icml_face_data.csv": csv_file, **images})
    write_tar_gz(tmp_path / "fer2013.tar.gz", {"fer2013/fer2013.csv": csv_file})
    write_zip(tmp_path / "any.zip", images)
    (tmp_path / "other.zip").write_bytes(b"damaged")
    order = ["fer2013.csv", "icml_face_data.csv", "fer2013.tar.gz", ".", "any.zip"]
    for position, name in enumerate(order[:-1]):
        with pytest.warns(UserWarning, match="more than once") as caught:
            source = find_source(tmp_path)
        assert source.path == tmp_path / name
        ignored = ", ".join(order[position + 1 :])
        assert f"Read: {name}. Ignored: {ignored}." in str(caught[0].message)
        if name == ".":
            for part in ("train", "test"):
                (tmp_path / part).rename(tmp_path / f"{part}_away")
        else:
            (tmp_path / name).unlink()
    assert find_source(tmp_path).path == tmp_path / "any.zip"


def official() -> dict[str, Counter[str]]:
    return {split: Counter(counts) for split, counts in OFFICIAL_COUNTS.items()}


def test_official_counts_add_up() -> None:
    assert {split: counts.total() for split, counts in official().items()} == {
        "train": 28709,
        "validation": 3589,
        "test": 3589,
    }


def test_complete_copy_brings_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_counts(official(), name="x")


def test_other_counts_are_one_warning_with_both_numbers() -> None:
    counts = official()
    counts["test"]["sad"] -= 1
    with pytest.warns(UserWarning, match="not the complete FER2013") as caught:
        check_counts(counts, name="x.zip")
    assert [str(warning.message) for warning in caught] == [
        "x.zip is not the complete FER2013 (found of official): "
        "train 28709 of 28709; validation 3589 of 3589; test 3588 of 3589 (sad 593 of 594)."
    ]


@pytest.mark.parametrize("also_incomplete", [False, True])
def test_interchanged_test_sets_are_refused(also_incomplete: bool) -> None:
    counts = official()
    counts["validation"], counts["test"] = counts["test"], counts["validation"]
    if also_incomplete:
        counts["validation"]["sad"] = 0
    expected = "test has exactly the images of validation" if also_incomplete else "are interchanged"
    with pytest.raises(InputError, match=expected):
        check_counts(counts, name="x")
