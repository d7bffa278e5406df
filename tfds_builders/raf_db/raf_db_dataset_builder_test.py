"""The builder of RAF-DB on tiny copies of its layouts. Variants and broken lists: layout_test.py."""

import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import RAF_DB_CODES
from ferkeras.pictures import read_picture
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.raf_db.make_dummy_data import LABELS, ORIGINALS
from tfds_builders.raf_db.raf_db_dataset_builder import Builder

DUMMY_DATA = Path(__file__).parent / "dummy_data"

pytestmark = pytest.mark.filterwarnings("ignore:.*other numbers than the official ones")


class OfficialTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 7, "test": 2}
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["official"]
    EXAMPLE_DIR = DUMMY_DATA / "official"


class KaggleTest(OfficialTest):
    EXAMPLE_DIR = DUMMY_DATA / "kaggle"


@pytest.mark.parametrize("layout", ["official", "kaggle"])
def test_every_example_is_the_picture_and_label_of_its_id(layout: str, tmp_path: Path) -> None:
    examples = stored(build(Builder, "official", DUMMY_DATA / layout, tmp_path))
    names = {Path(key).name.removesuffix("_aligned.jpg"): example for key, example in examples.items()}
    assert {name: example["label"] for name, example in names.items()} == {
        name: RAF_DB_CODES[code] for name, code in LABELS.items()
    }
    for name, example in names.items():
        assert example["split"] == name.partition("_")[0]
        np.testing.assert_array_equal(example["image"], read_picture(DUMMY_DATA / layout / example["id"]))
    assert len({example["image"].tobytes() for example in examples.values()}) == len(LABELS)


def test_faces_of_the_original_pictures_are_found_and_aligned(tmp_path: Path) -> None:
    """With the default detector, MTCNN."""
    examples = stored(build(Builder, "aligned", DUMMY_DATA / "original", tmp_path))
    assert {Path(key).stem: example["label"] for key, example in examples.items()} == {
        name: RAF_DB_CODES[code] for name, code in ORIGINALS.items()
    }
    first, second = (example["image"].astype(float) for example in examples.values())
    assert first.shape == (112, 112, 3)
    # The pictures are the same face, moved and darkened by 1 %: aligned, they are nearly equal.
    assert np.abs(first - second).mean() < 8


def test_two_builds_store_the_same_bytes_and_an_unreadable_picture_is_a_skip(tmp_path: Path) -> None:
    shutil.copytree(DUMMY_DATA / "official", tmp_path / "manual")
    broken = tmp_path / "manual/Image/aligned/train_00003_aligned.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    first, second = (build(Builder, "official", tmp_path / "manual", tmp_path / name) for name in "ab")
    assert record_bytes(first) == record_bytes(second) != {}
    assert len(stored(first)) == len(LABELS) - 1
    (skip,) = read_skips(Path(first.data_dir))
    assert skip.id == "Image/aligned/train_00003_aligned.jpg"
    assert skip.reason.startswith("cannot be read")


def test_a_copy_without_most_of_its_pictures_is_refused(tmp_path: Path) -> None:
    shutil.copytree(DUMMY_DATA / "official", tmp_path / "manual")
    for path in (tmp_path / "manual/Image/aligned").glob("train_0000[1-5]*"):
        path.unlink()
    with pytest.raises(InputError, match="Of 7 examples of train only 2 can be used"):
        build(Builder, "official", tmp_path / "manual", tmp_path / "data")


def test_other_numbers_are_one_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"train 7 of 12271 \(surprise 1 of 1290.*test 2 of 3068") as caught:
        assert Builder(data_dir=str(tmp_path)).look(DUMMY_DATA / "kaggle") == {"train": 7, "test": 2}
    assert len(caught) == 1
