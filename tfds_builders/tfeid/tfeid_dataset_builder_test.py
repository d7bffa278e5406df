"""The builder of TFEID on tiny copies of its layouts. Names and refused data sets: layout_test.py."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.pictures import read_picture
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.tfeid.make_dummy_data import COLOUR, GRAY
from tfds_builders.tfeid.tfeid_dataset_builder import OFFICIAL_CONTEMPT, OFFICIAL_COUNTS, Builder

DUMMY_DATA = Path(__file__).parent / "dummy_data"

pytestmark = pytest.mark.filterwarnings("ignore:.*other numbers than the official ones")


class OfficialTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": len(GRAY)}
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["official"]
    EXAMPLE_DIR = DUMMY_DATA / "gray"


def test_every_example_has_the_class_and_actor_of_its_path(tmp_path: Path) -> None:
    first, second = (build(Builder, "official", DUMMY_DATA / "gray", tmp_path / name) for name in "ab")
    examples = stored(first)
    assert {key: example["label"] for key, example in examples.items()} == GRAY
    for key, example in examples.items():
        assert example["subject"] == Path(key).name[:3]
        grey = read_picture(DUMMY_DATA / "gray" / key)
        np.testing.assert_array_equal(example["image"], np.repeat(grey, 3, axis=-1))
    assert record_bytes(first) == record_bytes(second) != {}
    assert read_skips(Path(first.data_dir)) == []


def test_faces_are_found_and_aligned(tmp_path: Path) -> None:
    """With the default detector, MTCNN."""
    examples = stored(build(Builder, "aligned", DUMMY_DATA / "colour", tmp_path))
    assert {key: example["label"] for key, example in examples.items()} == COLOUR
    first, second = (example["image"].astype(float) for example in examples.values())
    assert first.shape == (112, 112, 3)
    # The pictures are the same face, moved and darkened by 1 %: aligned, they are nearly equal.
    assert np.abs(first - second).mean() < 8


@pytest.mark.parametrize(("layout", "told"), [("gray", "7 of 268"), ("colour", "2 of 336")])
def test_other_numbers_are_one_warning(layout: str, told: str, tmp_path: Path) -> None:
    """Contempt counts only in copies that have it."""
    with pytest.warns(UserWarning, match=told) as caught:
        Builder(data_dir=str(tmp_path)).look(DUMMY_DATA / layout)
    assert len(caught) == 1


def test_official_counts_add_up() -> None:
    assert sum(OFFICIAL_COUNTS.values()) == 268
    assert sum(OFFICIAL_COUNTS.values()) + OFFICIAL_CONTEMPT == 336
