"""What cleaning reads and writes: folders and archives of pictures, and the table of those that are rejected."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from ferkeras.cleaning.collection import Picture, open_collection
from ferkeras.cleaning.rejected import Rejected, write_rejected
from ferkeras.errors import InputError
from tests.test_cleaning import clean, drawn, found, save


def test_the_table(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rejected.csv"
    write_rejected(
        path,
        [
            Rejected("happy/a, b.png", "happy", "blurred", 12.34567, 40.0),
            Rejected("happy/c.png", "happy", "unreadable"),
            Rejected("happy/d.png", "happy", "duplicate", 0, 0, partner="happy/e.png"),
            Rejected("happy/f.png", "happy", "mislabelled", 0.01234567, 0.5, suggested="sad"),
        ],
    )
    assert path.read_text() == (
        "path,class,reason,value,threshold,partner,suggested\n"
        '"happy/a, b.png",happy,blurred,12.35,40,,\n'
        "happy/c.png,happy,unreadable,,,,\n"
        "happy/d.png,happy,duplicate,0,0,happy/e.png,\n"
        "happy/f.png,happy,mislabelled,0.01235,0.5,,sad\n"
    )


def test_a_table_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_rejected(tmp_path / "file" / "rejected.csv", [])


def test_pictures_are_found_in_folders_splits_and_archives(tmp_path: Path) -> None:
    for path in ("train/happy/a.JPG", "train/sad/b.png", "happy/c.webp", ".hidden/d.png", "happy/.e.png", "loose.png"):
        save(drawn(0), tmp_path / path)
    (tmp_path / "happy" / "notes.txt").write_text("")
    save(drawn(1), tmp_path / "f.png")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for name in ("crawl/fear/g.png", "happy/c.webp", "__MACOSX/fear/g.png", "h.png", "fear/"):
            archive.write(tmp_path / "f.png", name)
    with open_collection(tmp_path) as collection:
        assert collection.pictures == (
            Picture("happy/c.webp", "happy"),
            Picture("more.zip/crawl/fear/g.png", "fear"),
            Picture("train/happy/a.JPG", "happy"),
            Picture("train/sad/b.png", "sad"),
        )
        assert collection.loose == ("f.png", "loose.png", "more.zip/h.png")
        np.testing.assert_array_equal(collection.read("more.zip/crawl/fear/g.png"), drawn(1))
    with open_collection(tmp_path / "more.zip") as collection:
        assert [picture.path for picture in collection.pictures] == ["more.zip/crawl/fear/g.png"]


def test_a_damaged_member_of_an_archive_is_unreadable(tmp_path: Path) -> None:
    save(drawn(0), tmp_path / "a.bmp")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("sad/a.bmp", "sad/b.bmp"):
            archive.write(tmp_path / "a.bmp", name)
    data = bytearray((tmp_path / "all.zip").read_bytes())
    data[5000] ^= 255
    (tmp_path / "all.zip").write_bytes(data)
    assert found(clean(tmp_path / "all.zip")) == {("all.zip/sad/a.bmp", "unreadable")}


def test_wrong_folders(tmp_path: Path) -> None:
    save(drawn(0), tmp_path / "a" / "loose.png")
    (tmp_path / "no.zip").write_text("no archive")
    for root, words in ((tmp_path / "a", "classes"), (tmp_path / "none", "no such"), (tmp_path / "no.zip", "archive")):
        with pytest.raises(InputError, match=words), open_collection(root):
            pass
