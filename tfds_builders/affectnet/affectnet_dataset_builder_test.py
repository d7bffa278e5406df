"""The builder of AffectNet on tiny copies of both releases. Labels and broken copies: reading_test.py."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment
from ferkeras.labels import EMOTIONS
from ferkeras.pictures import read_picture
from tfds_builders.affectnet.affectnet_dataset_builder import Builder
from tfds_builders.affectnet.make_dummy_data import ROWS, SIDE, full, path_of
from tfds_builders.base.dummies import PORTRAIT_LANDMARKS, write_files
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored

DUMMY_DATA = Path(__file__).parent / "dummy_data"
TRUTH = {0: "neutral", 1: "happy", 2: "contempt", 6: "angry", 7: "surprise"}
NUMBERS = {Path(path_of(number)).stem: number for number in range(len(ROWS))}

pytestmark = pytest.mark.filterwarnings("ignore:.*other numbers than the official ones")


class ReducedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 3, "validation": 2}
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["official"]
    EXAMPLE_DIR = DUMMY_DATA / "reduced"


class FullTest(ReducedTest):
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["expression"]
    EXAMPLE_DIR = DUMMY_DATA / "full"


def test_full_release(tmp_path: Path) -> None:
    """By the official landmarks, and by MTCNN for the one picture without them."""
    builder = build(Builder, "expression", DUMMY_DATA / "full", tmp_path)
    examples = {NUMBERS[Path(key).stem]: example for key, example in stored(builder).items()}
    assert {number: example["label"] for number, example in examples.items()} == TRUTH
    for number, example in examples.items():
        row = ROWS[number]
        assert example["split"] == row.split
        assert (example["valence"], example["arousal"]) == pytest.approx((float(row.valence), float(row.arousal)))
        assert example["image"].shape == (112, 112, 3)
    alignment = Alignment()
    for number in (0, 6):
        landmarks = PORTRAIT_LANDMARKS * SIDE + (round(number * SIDE / 100), 0)
        picture = read_picture(DUMMY_DATA / "full" / examples[number]["id"])
        crop = alignment.crop(picture, alignment.matrix(landmarks)).astype(float)
        assert np.abs(crop - examples[number]["image"]).mean() < 1
    assert np.abs(examples[0]["image"].astype(float) - examples[1]["image"]).mean() < 15
    assert len(read_skips(Path(builder.data_dir))) == len(ROWS) - len(TRUTH)


def test_valence_arousal_and_seven_classes(tmp_path: Path) -> None:
    files = {path: data for path, data in full().items() if path_of(1) not in path}
    write_files(tmp_path / "manual", files)
    builder = build(Builder, "valence_arousal", tmp_path / "manual", tmp_path)
    labels = {NUMBERS[Path(key).stem]: example["label"] for key, example in stored(builder).items()}
    assert labels == {number: name for number, name in TRUTH.items() if number != 1} | {3: "none"}
    assert all(example["valence"] >= -1 for example in stored(builder).values())
    skips = {skip.id.rpartition("/")[2]: skip.reason for skip in read_skips(Path(builder.data_dir))}
    assert skips[Path(path_of(1)).name].startswith("cannot be read")
    assert Builder(data_dir=str(tmp_path), config="expression_7").info.features["label"].names == list(EMOTIONS)


def test_reduced_release(tmp_path: Path) -> None:
    first, second = (build(Builder, "official", DUMMY_DATA / "reduced", tmp_path / name) for name in "ab")
    examples = {int(Path(key).stem) // 3: example for key, example in stored(first).items()}
    assert {number: example["label"] for number, example in examples.items()} == TRUTH
    for number, example in examples.items():
        assert example["split"] == ROWS[number].split
        assert example["valence"] == pytest.approx(float(ROWS[number].valence))
        np.testing.assert_array_equal(example["image"], read_picture(DUMMY_DATA / "reduced" / example["id"]))
    assert record_bytes(first) == record_bytes(second) != {}


def test_a_release_without_cropped_pictures_is_not_stored_whole(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there should be train_set and val_set"):
        Builder(data_dir=str(tmp_path), config="official").look(DUMMY_DATA / "full")


def test_another_layout(tmp_path: Path) -> None:
    write_files(tmp_path / "manual", {"train/0/1.jpg": b"x"})
    with pytest.raises(InputError, match=r"training\.csv, validation\.csv and .* copies on Kaggle differ"):
        Builder(data_dir=str(tmp_path)).look(tmp_path / "manual")


@pytest.mark.parametrize(("layout", "told"), [("full", "validation 2 of 4000"), ("reduced", "validation 2 of 3999")])
def test_other_numbers_are_one_warning(layout: str, told: str, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=told) as caught:
        Builder(data_dir=str(tmp_path)).look(DUMMY_DATA / layout)
    assert len(caught) == 1
