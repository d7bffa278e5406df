"""The listing of a manual directory, and what is read out of lists and csv files. Needs no TensorFlow."""

import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from tfds_builders.base.dummies import write_files
from tfds_builders.base.listing import MAX_DEPTH, list_files
from tfds_builders.base.official import warn_if_incomplete
from tfds_builders.base.source import ZipMember
from tfds_builders.base.tables import MAX_LINE_BYTES, path_inside, read_lines, read_table
from tfds_builders.fer2013.make_dummy_data import write_zip


def test_files_and_members_of_archives_are_listed_by_path(tmp_path: Path) -> None:
    write_files(tmp_path, {"b/1.jpg": b"x", "a.txt": b"x", ".hidden": b"x", "b/Thumbs.db": b"x", ".git/x": b"x"})
    write_zip(tmp_path / "b" / "c.ZIP", {"d/2.jpg": b"x", "__MACOSX/d/._2.jpg": b"x", "/etc/x": b"x", "d/": b""})
    files = list_files(tmp_path)
    assert list(files) == ["a.txt", "b/1.jpg", "b/c.ZIP/d/2.jpg"]
    assert files["b/1.jpg"] == tmp_path / "b" / "1.jpg"
    assert files["b/c.ZIP/d/2.jpg"] == ZipMember(tmp_path / "b" / "c.ZIP", "d/2.jpg")


@pytest.mark.parametrize("place", ["d/2.jpg", "c/d/2.jpg"])
def test_members_that_lie_extracted_are_listed_once(place: str, tmp_path: Path) -> None:
    write_zip(tmp_path / "c.zip", {"d/2.jpg": b"x", "d/3.jpg": b"x"})
    write_files(tmp_path, {place: b"x"})
    assert list(list_files(tmp_path)) == sorted(["c.zip/d/3.jpg", place])


def test_damaged_archive_and_endless_folders(tmp_path: Path) -> None:
    write_files(tmp_path / "a", {"c.zip": b"PK"})
    with pytest.raises(InputError, match=r"c\.zip"):
        list_files(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "again").symlink_to(tmp_path / "b")
    with pytest.raises(InputError, match=f"more than {MAX_DEPTH} folders"):
        list_files(tmp_path / "b")


COLUMNS = ("path", "a b", "C")
fields = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n", exclude_categories=["Zs", "Cc"]), min_size=1)


@given(
    rows=st.lists(st.tuples(fields, fields, fields), max_size=5),
    order=st.permutations(COLUMNS),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
)
def test_read_table_inverts_writing(
    rows: list[tuple[str, ...]], order: list[str], end: str, mark: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "t.csv"
    quoted = [[f'"{row[COLUMNS.index(name)].replace(chr(34), chr(34) * 2)}"' for name in order] for row in rows]
    path.write_bytes((mark + end.join([", ".join(order).upper(), *map(", ".join, quoted)]) + end).encode())
    read = [row.values for row in read_table(path, columns=COLUMNS)]
    assert read == [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"path,a b\n1,2\n", "t.csv, line 1 should name the columns path, a b, C"),
        (b"path,a b,C\n\n1,2\n", "t.csv, line 3 should have 3 fields"),
        (b"path,a b,C\n1,\x00,3\n", "t.csv, line 2 is no text"),
        (b"path,a b,C\n1,\xff,3\n", "t.csv, line 2 is no text in UTF-8"),
        (b"path,a b,C\n1,2\r1,3\n", "t.csv, line 2 is not a csv line"),
        (b"0" * MAX_LINE_BYTES, "t.csv, line 1 is longer"),
    ],
)
def test_broken_tables_are_named_with_their_line(data: bytes, expected: str, tmp_path: Path) -> None:
    write_files(tmp_path, {"t.csv": data})
    with pytest.raises(InputError) as caught:
        list(read_table(tmp_path / "t.csv", columns=COLUMNS))
    assert str(caught.value).startswith(expected)


def test_lists_in_archives(tmp_path: Path) -> None:
    write_zip(tmp_path / "c.zip", {"d/t.txt": b"one\n\n two \n"})
    assert list(read_lines(ZipMember(tmp_path / "c.zip", "d/t.txt"))) == [
        ("t.txt, line 1", "one"),
        ("t.txt, line 3", "two"),
    ]
    with pytest.raises(InputError, match="gone"):
        list(read_lines(ZipMember(tmp_path / "c.zip", "gone")))


@pytest.mark.parametrize(
    "text", ["../x.jpg", "a/../../x.jpg", "/etc/x", "..\\x.jpg", "C:\\x.jpg", "\\\\host\\x", "", "."]
)
def test_paths_that_lead_out_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="here: a path should lie inside"):
        path_inside(text, where="here")


def test_paths_that_stay_inside() -> None:
    assert [path_inside(text, where="").as_posix() for text in ("a/b.jpg", "a\\b.jpg", "./b..jpg", "12:30/b")] == [
        "a/b.jpg",
        "a/b.jpg",
        "b..jpg",
        "12:30/b",
    ]


def test_numbers_that_differ_are_one_warning() -> None:
    official = {"train": {"happy": 2, "sad": 1}, "test": {"happy": 1}}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_incomplete(official, official, title="x")
    with pytest.warns(UserWarning, match="^x has other numbers") as caught:
        warn_if_incomplete({"train": {"happy": 2}, "test": {"happy": 1, "fear": 3}}, official, title="x")
    assert [str(warning.message) for warning in caught] == [
        "x has other numbers than the official ones (found of official): "
        "train 2 of 3 (sad 0 of 1); test 4 of 1 (fear 3 of 0)."
    ]
