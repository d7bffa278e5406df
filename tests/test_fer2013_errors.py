"""How reading FER2013 ends on damaged, incomplete and mixed-up copies. Needs no TensorFlow."""

import tarfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from ferkeras.errors import InputError
from tfds_builders.fer2013 import archives, reading
from tfds_builders.fer2013.csv_source import MAX_LINE_BYTES
from tfds_builders.fer2013.folder_source import decode_image, parse_name
from tfds_builders.fer2013.make_dummy_data import (
    FER2013_HEADER,
    ICML_HEADER,
    csv_row,
    csv_text,
    dummy_examples,
    image_files,
    jpeg,
    noise,
    write_folder,
    write_tar_gz,
    write_zip,
)
from tfds_builders.fer2013.reading import read_examples

# Every tiny copy is incomplete; the tests of that warning turn it back on.
pytestmark = pytest.mark.filterwarnings("ignore:.*is not the complete FER2013")

ROWS = [csv_row(example) for example in dummy_examples()]
PIXELS = ROWS[0].split(",")[1]
IMAGES = image_files(dummy_examples())


def write_csv(folder: Path, rows: list[str], *, name: str = "fer2013.csv", header: str = FER2013_HEADER) -> Path:
    write_folder(folder, {name: csv_text(rows, header=header).encode()})
    return folder


def ids(folder: Path, *, skip_corrupt: bool = False) -> list[str]:
    splits = read_examples(folder, skip_corrupt=skip_corrupt)
    return [example.id for examples in splits.values() for example in examples]


def message(folder: Path) -> str:
    """The error on reading the folder, which has to be one line."""
    with pytest.raises(InputError) as caught:
        read_examples(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Corrupt rows and files: an error that names them, or skipped and counted

BAD_ROWS = {
    "short": ("0", "should have 3 fields. Received: 1 fields"),
    "long": (f"0,{PIXELS},Training,more", "Received: 4 fields"),
    "unknown emotion": (f"7,{PIXELS},Training", "the emotion code should be 0 to 6. Received: '7'"),
    "emotion by name": (f"happy,{PIXELS},Training", "Received: 'happy'"),
    "unknown usage": (f"0,{PIXELS},Test", "Usage should be one of Training, PublicTest, PrivateTest"),
    "too few pixels": (f"0,{PIXELS[:-2]},Training", "should have 2304 pixels. Received: 2303 pixels"),
    "too many pixels": (f"0,{PIXELS} 1,Training", "Received: 2305 pixels"),
    "pixel out of range": (f"0,256{PIXELS[1:]},Training", "from 0 to 255. Received: '256' as pixel 0"),
    "pixel not whole": (f"0,0.5{PIXELS[1:]},Training", "Received: '0.5' as pixel 0"),
    "unbalanced quote": (f'0,"{PIXELS},Training', "should have 3 fields"),
    "zero byte": (f"0,{PIXELS}\0,Training", "fer2013.csv, line 4"),
}


@pytest.mark.parametrize(("row", "expected"), BAD_ROWS.values(), ids=BAD_ROWS.keys())
def test_corrupt_row(row: str, expected: str, tmp_path: Path) -> None:
    folder = write_csv(tmp_path, [*ROWS[:2], row, *ROWS[2:]])
    told = message(folder)
    assert told.startswith("fer2013.csv, line 4 (data row 2)")
    assert expected in told
    with pytest.warns(UserWarning, match="1 corrupt images skipped.*data row 2"):
        read = ids(folder, skip_corrupt=True)
    # The ids stay the data rows of the file, so that they still match label files by row.
    assert read == [str(i) for i in range(len(ROWS) + 1) if i != 2]


def test_bytes_that_are_no_text_are_a_corrupt_row(tmp_path: Path) -> None:
    write_folder(tmp_path, {"fer2013.csv": csv_text(ROWS).encode() + b"0,\xff\xfe\x00,Training\n"})
    assert "line 13 (data row 11)" in message(tmp_path)


PNG = cv2.imencode(".png", noise(0))[1].tobytes()
BAD_IMAGES = {
    "empty": b"",
    "text": b"no image",
    "cut-off jpeg": jpeg(noise(0))[:300],
    "jpeg without its end": jpeg(noise(0))[:-2],
    "cut-off png": PNG[:-20],
    "wrong size": jpeg(np.zeros((48, 47, 1), np.uint8)),
    "too many bytes": bytes(archives.MAX_IMAGE_BYTES + 1),
}


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("data", BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
def test_corrupt_image(data: bytes, packed: bool, tmp_path: Path) -> None:
    bad = "train/fear/Training_9.jpg"
    if packed:
        write_zip(tmp_path / "any.zip", {**IMAGES, bad: data})
    else:
        write_folder(tmp_path, {**IMAGES, bad: data})
    assert bad in message(tmp_path)
    with pytest.warns(UserWarning, match="1 corrupt images skipped"):
        assert sorted(ids(tmp_path, skip_corrupt=True)) == sorted(IMAGES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train/contempt/Training_1.jpg", "the folder should be one of"),
        ("train/fear/Test_1.jpg", "the name should begin with one of"),
        ("train/fear/1.jpg", "should be named <Usage>_<number>.jpg"),
        ("train/fear/Training_1.txt", "should be named <Usage>_<number>.jpg"),
    ],
)
def test_image_of_another_name(name: str, expected: str, tmp_path: Path) -> None:
    write_folder(tmp_path, {**IMAGES, name: jpeg(noise(50))})
    assert expected in message(tmp_path)
    with pytest.warns(UserWarning, match="1 corrupt images skipped"):
        assert len(ids(tmp_path, skip_corrupt=True)) == len(IMAGES)


def test_parse_name_and_decode_image() -> None:
    assert parse_name("test/sad/PublicTest_3.png", where="here") == ("test", "sad", "PublicTest")
    np.testing.assert_array_equal(decode_image(PNG, where="here"), noise(0))
    colour = cv2.imencode(".png", noise(0).repeat(3, axis=2))[1].tobytes()
    np.testing.assert_array_equal(decode_image(colour, where="here"), noise(0))


def test_member_that_repeats_is_read_once(tmp_path: Path) -> None:
    name = next(iter(IMAGES))
    write_zip(tmp_path / "any.zip", IMAGES)
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(tmp_path / "any.zip", "a") as archive,
    ):
        archive.writestr(name, jpeg(noise(60)))
    assert "every image once" in message(tmp_path)


def test_damaged_member_of_a_zip(tmp_path: Path) -> None:
    write_zip(tmp_path / "any.zip", IMAGES)
    data = bytearray((tmp_path / "any.zip").read_bytes())
    # Past the local header of the first member, so that its directory entry stays whole.
    data[100:110] = bytes(10)
    (tmp_path / "any.zip").write_bytes(bytes(data))
    assert "cannot be read" in message(tmp_path)
    with pytest.warns(UserWarning, match="1 corrupt images skipped"):
        assert len(ids(tmp_path, skip_corrupt=True)) == len(IMAGES) - 1


# Damage that no skipping mends


@pytest.mark.parametrize("skip_corrupt", [False, True])
@pytest.mark.parametrize(
    ("usage_name", "folder"),
    [("PublicTest_1.jpg", "train"), ("PrivateTest_1.jpg", "train"), ("Training_1.jpg", "test")],
)
def test_file_of_another_split(usage_name: str, folder: str, skip_corrupt: bool, tmp_path: Path) -> None:
    write_folder(tmp_path, {**IMAGES, f"{folder}/sad/{usage_name}": jpeg(noise(70))})
    with pytest.raises(InputError, match="the splits are mixed up"):
        read_examples(tmp_path, skip_corrupt=skip_corrupt)


@pytest.mark.parametrize("skip_corrupt", [False, True])
@pytest.mark.parametrize("name", ["fer2013.tar.gz", "images.zip", "csv.zip"])
def test_cut_off_archive(name: str, skip_corrupt: bool, tmp_path: Path) -> None:
    csv_bytes = csv_text(ROWS).encode()
    path = tmp_path / name
    if name == "fer2013.tar.gz":
        write_tar_gz(path, {"fer2013/fer2013.csv": csv_bytes})
    else:
        write_zip(path, IMAGES if name == "images.zip" else {"fer2013.csv": csv_bytes})
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"{name} cannot be read to its end"):
        read_examples(tmp_path, skip_corrupt=skip_corrupt)


def test_damaged_csv_inside_a_zip(tmp_path: Path) -> None:
    path = tmp_path / "csv.zip"
    write_zip(path, {"fer2013.csv": csv_text(ROWS).encode()})
    data = bytearray(path.read_bytes())
    data[200:210] = bytes(10)
    path.write_bytes(bytes(data))
    assert "csv.zip" in message(tmp_path)


def test_tar_without_the_csv(tmp_path: Path) -> None:
    write_tar_gz(tmp_path / "fer2013.tar.gz", {"fer2013/README": b"text"})
    assert "should hold fer2013.csv" in message(tmp_path)


@pytest.mark.parametrize("name", ["fer2013.tar.gz", "csv.zip"])
def test_csv_that_unpacks_to_too_much_is_refused_unread(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = write_zip if name == "csv.zip" else write_tar_gz
    write(tmp_path / name, {"fer2013.csv": csv_text(ROWS).encode()})
    monkeypatch.setattr(archives, "MAX_CSV_BYTES", 10_000)
    assert "at most 10000 bytes unpacked" in message(tmp_path)


def test_line_without_end(tmp_path: Path) -> None:
    write_folder(tmp_path, {"fer2013.csv": f"{FER2013_HEADER}\n".encode() + b"0" * MAX_LINE_BYTES})
    assert "has a line longer than" in message(tmp_path)


def test_too_many_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_EXAMPLES", 3)
    assert "more than 3 images" in message(write_csv(tmp_path, ROWS))


@pytest.mark.parametrize("header", ["", "emotion,pixels", "pixels", "a,b,c", "emotion,pixels,Usage,Usage"])
def test_other_header(header: str, tmp_path: Path) -> None:
    write_folder(tmp_path, {"fer2013.csv": header.encode()})
    assert "should begin with a header naming the columns emotion, pixels, Usage" in message(tmp_path)


def test_csv_without_rows(tmp_path: Path) -> None:
    assert "holds no readable image" in message(write_csv(tmp_path, []))


def test_members_that_point_out_of_the_archive_are_never_written(tmp_path: Path) -> None:
    manual_dir = tmp_path / "manual"
    write_zip(manual_dir / "any.zip", {**IMAGES, "../train/sad/Training_1.jpg": b"x", "/etc/evil": b"x"})
    write_tar_gz(manual_dir / "fer2013.tar.gz", {"../evil": b"x", "fer2013/fer2013.csv": csv_text(ROWS).encode()})
    before = sorted(tmp_path.rglob("*"))
    with pytest.warns(UserWarning, match="more than once"):
        assert len(ids(manual_dir)) == len(ROWS)
    assert sorted(tmp_path.rglob("*")) == before


def test_link_inside_a_tar_is_not_followed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "fer2013.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("fer2013/fer2013.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert "should hold fer2013.csv" in message(tmp_path)


# Harmless differences between copies


def test_litter_of_operating_systems_is_no_image(tmp_path: Path) -> None:
    litter = {
        "train/sad/.DS_Store": b"x",
        "train/sad/Thumbs.db": b"x",
        "__MACOSX/train/sad/._Training_1.jpg": b"x",
    }
    write_zip(tmp_path / "any.zip", {**IMAGES, **litter})
    assert sorted(ids(tmp_path)) == sorted(IMAGES)


@pytest.mark.parametrize("header", ["\ufeffemotion,pixels,Usage", '"emotion","pixels","Usage"', ICML_HEADER])
def test_harmless_variants_of_the_header(header: str, tmp_path: Path) -> None:
    columns = ICML_HEADER if header == ICML_HEADER else FER2013_HEADER
    rows = [csv_row(example, header=columns) for example in dummy_examples()]
    assert len(ids(write_csv(tmp_path, [*rows, "  "], header=header))) == len(ROWS)
