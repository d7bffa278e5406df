"""The builder on a tiny copy of each published layout. Damaged copies: tests/test_fer2013_errors.py."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.fer2013.fer2013_dataset_builder import Builder
from tfds_builders.fer2013.make_dummy_data import csv_row, csv_text, dummy_examples, write_folder

DUMMY_DATA = Path(__file__).parent / "dummy_data"

pytestmark = pytest.mark.filterwarnings("ignore:.*is not the complete FER2013")


class LayoutTestCase(tfds.testing.DatasetBuilderTestCase):
    """What the layouts have in common: the same eleven images."""

    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 7, "validation": 2, "test": 2}
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["default"]


class CsvTest(LayoutTestCase):
    EXAMPLE_DIR = DUMMY_DATA / "csv"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["default", "skip_corrupt"]


class IcmlCsvTest(LayoutTestCase):
    EXAMPLE_DIR = DUMMY_DATA / "icml_csv"


class TarGzTest(LayoutTestCase):
    EXAMPLE_DIR = DUMMY_DATA / "tar_gz"


class ImageFoldersTest(LayoutTestCase):
    EXAMPLE_DIR = DUMMY_DATA / "image_folders"


class NestedImageFoldersTest(LayoutTestCase):
    EXAMPLE_DIR = DUMMY_DATA / "nested_image_folders"


class ImageZipTest(LayoutTestCase):
    EXAMPLE_DIR = DUMMY_DATA / "image_zip"


class CsvZipTest(LayoutTestCase):
    EXAMPLE_DIR = DUMMY_DATA / "csv_zip"


# A base class with a dataset class would itself be collected as a test.
del LayoutTestCase


def build(manual_dir: Path, data_dir: Path) -> Builder:
    builder = Builder(data_dir=data_dir, config="default")
    config = tfds.download.DownloadConfig(manual_dir=manual_dir)
    builder.download_and_prepare(download_config=config)
    return builder


def test_records_hold_the_images_labels_and_ids_of_the_source(tmp_path: Path) -> None:
    builder = build(DUMMY_DATA / "csv", tmp_path)
    read = {
        (split, record["id"].decode()): record
        for split in builder.info.splits
        for record in tfds.as_numpy(builder.as_dataset(split=split))
    }
    expected = dummy_examples()
    assert set(read) == {(example.split, example.id) for example in expected}
    for example in expected:
        record = read[example.split, example.id]
        np.testing.assert_array_equal(record["image"], example.image)
        assert record["label"] == EMOTIONS.index(example.emotion)


def test_two_builds_store_the_same_bytes(tmp_path: Path) -> None:
    stored = []
    for name in ("first", "second"):
        build(DUMMY_DATA / "image_zip", tmp_path / name)
        records = sorted((tmp_path / name).rglob("*.tfrecord*"))
        stored.append({path.name: path.read_bytes() for path in records})
    assert len(stored[0]) == 3
    assert stored[0] == stored[1]


def test_split_without_images_is_left_out(tmp_path: Path) -> None:
    training = [example for example in dummy_examples() if example.split == "train"]
    write_folder(tmp_path / "manual", {"fer2013.csv": csv_text(map(csv_row, training)).encode()})
    builder = build(tmp_path / "manual", tmp_path / "data")
    assert list(builder.info.splits) == ["train"]


def test_bad_input_ends_as_input_error_before_a_record_is_written(tmp_path: Path) -> None:
    rows = [*map(csv_row, dummy_examples()), "9,0 0,Training"]
    write_folder(tmp_path / "manual", {"fer2013.csv": csv_text(rows).encode()})
    with pytest.raises(InputError, match="line 13"):
        build(tmp_path / "manual", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))
    assert not list((tmp_path / "data").rglob("*incomplete*"))


@pytest.mark.parametrize("kind", ["absent", "empty", "file"])
def test_no_manual_directory_is_one_line(kind: str, tmp_path: Path) -> None:
    manual_dir = tmp_path / "manual"
    if kind == "empty":
        manual_dir.mkdir()
    elif kind == "file":
        manual_dir.touch()
    with pytest.raises(InputError) as caught:
        build(manual_dir, tmp_path / "data")
    assert str(manual_dir) in str(caught.value)
    assert "\n" not in str(caught.value)
