"""The builder of FER+ on a tiny copy. Rules and joining: votes_test.py, joining_test.py."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS_WITH_CONTEMPT
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.fer_plus.fer_plus_dataset_builder import Builder
from tfds_builders.fer_plus.make_dummy_data import ROWS, DummyRow, fer2013_examples

DUMMY_DATA = Path(__file__).parent / "dummy_data"

pytestmark = pytest.mark.filterwarnings("ignore:.*other numbers than the official ones")


class MajorityTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 2, "validation": 2, "test": 2}
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["majority"]


def shares(row: DummyRow, config: str) -> dict[str, float]:
    """What the rule of the configuration makes of the row; empty if it is left out."""
    return {"majority": row.majority, "multi_target": row.multi_target}.get(config, row.most_voted)


@pytest.mark.parametrize("config", ["majority", "probability", "cross_entropy", "multi_target"])
def test_every_example_has_the_votes_and_target_of_its_row(config: str, tmp_path: Path) -> None:
    builder = build(Builder, config, DUMMY_DATA, tmp_path)
    examples = stored(builder)
    expected = {str(number): row for number, row in enumerate(ROWS) if row.name and shares(row, config)}
    assert set(examples) == set(expected)
    for key, row in expected.items():
        example, face = examples[key], fer2013_examples()[int(key)]
        assert example["split"] == row.split
        np.testing.assert_array_equal(example["image"], face.image)
        np.testing.assert_array_equal(example["votes"], row.votes)
        target = [shares(row, config).get(name, 0) for name in EMOTIONS_WITH_CONTEMPT]
        np.testing.assert_allclose(example["target"], target, atol=1e-6)
        assert shares(row, config)[example["label"]] == max(shares(row, config).values())
    skips = read_skips(Path(builder.data_dir))
    assert len(skips) + len(expected) == len(ROWS)


def test_other_numbers_are_one_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="other numbers") as caught:
        assert Builder(data_dir=str(tmp_path)).look(DUMMY_DATA) == {
            "train": 2,
            "validation": 2,
            "test": 2,
            "left out": len(ROWS) - 6,
        }
    assert len(caught) == 1
    told = "train 2 of 25060; validation 2 of 3199; test 2 of 3153."
    assert str(caught[0].message).endswith(f"(found of official): {told}")


def test_two_builds_store_the_same_bytes(tmp_path: Path) -> None:
    first, second = (build(Builder, "cross_entropy", DUMMY_DATA, tmp_path / name) for name in "ab")
    assert len(record_bytes(first)) == 3
    assert record_bytes(first) == record_bytes(second)


def test_bad_input_ends_before_a_record_is_written(tmp_path: Path) -> None:
    (tmp_path / "manual").mkdir()
    (tmp_path / "manual" / "fer2013new.csv").write_bytes((DUMMY_DATA / "fer2013new.csv").read_bytes())
    with pytest.raises(InputError, match="FER2013"):
        build(Builder, "majority", tmp_path / "manual", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))
