"""The builder: the TensorFlow Datasets test case per kind of config, and what is read back."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.labels import EMOTIONS
from tfds_builders.synthetic_faces.sampling import sample_clip, sample_still
from tfds_builders.synthetic_faces.synthetic_faces_dataset_builder import Builder, SyntheticFacesConfig

HERE = Path(__file__).parent
COUNTS = {"train": 8, "validation": 2, "test": 3}
STILL = SyntheticFacesConfig(name="tiny_still", description="For the test.", **COUNTS)
COLOUR = SyntheticFacesConfig(name="tiny_112", description="For the test.", size=112, channels=3, **COUNTS)
CLIPS = SyntheticFacesConfig(name="tiny_clips", description="For the test.", size=64, frames=4, **COUNTS)


class StillTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = HERE  # nothing is read; the test case wants an existing folder
    SPLITS: ClassVar = COUNTS
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = [STILL]


class ColourTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = HERE
    SPLITS: ClassVar = COUNTS
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = [COLOUR]


class ClipsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = HERE
    SPLITS: ClassVar = COUNTS
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = [CLIPS]


def build(config: SyntheticFacesConfig, data_dir: Path) -> Builder:
    builder = Builder(data_dir=data_dir, config=config)
    builder.download_and_prepare()
    return builder


def test_configs() -> None:
    configs = Builder.builder_configs
    assert list(configs) == ["still", "still_112", "clips"]
    assert Builder.DEFAULT_BUILDER_CONFIG_NAME == "still"
    assert all(config.description for config in configs.values())


def test_stills_are_read_back_as_drawn(tmp_path: Path) -> None:
    records = {
        record["id"].decode(): record
        for split in COUNTS
        for record in tfds.as_numpy(build(STILL, tmp_path).as_dataset(split=split))
    }
    assert len(records) == sum(COUNTS.values())
    for split, count in COUNTS.items():
        for index in range(count):
            drawn = sample_still(0, split, index, size=48, channels=1)
            record = records[f"{split}_{index:06d}"]
            np.testing.assert_array_equal(record["image"], drawn.image)
            np.testing.assert_array_equal(record["action_units"], drawn.action_units)
            assert EMOTIONS[record["label"]] == drawn.emotion
            assert record["subject"].decode() == drawn.subject
            assert (record["valence"], record["arousal"]) == (drawn.valence, drawn.arousal)


def test_clips_are_read_back_as_drawn(tmp_path: Path) -> None:
    for record in tfds.as_numpy(build(CLIPS, tmp_path).as_dataset(split="train")):
        split, number = record["clip_id"].decode().split("_")
        drawn = sample_clip(0, split, int(number), size=64, channels=1, frames=4, fps=8.0)
        np.testing.assert_array_equal(record["frames"], drawn.frames)
        np.testing.assert_array_equal(record["landmarks"], drawn.landmarks)
        np.testing.assert_array_equal(record["face_found"], drawn.face_found)
        np.testing.assert_array_equal(record["valence"], drawn.valence)
        np.testing.assert_array_equal(record["frame_index"], np.arange(4))
        assert record["fps"] == pytest.approx(8.0)
        assert EMOTIONS[record["label"]] == drawn.emotion


def test_two_builds_store_the_same_bytes(tmp_path: Path) -> None:
    stored = []
    for name in ("first", "second"):
        build(STILL, tmp_path / name)
        stored.append({path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.tfrecord*")})
    assert len(stored[0]) == 3
    assert stored[0] == stored[1]


def test_split_of_zero_is_left_out(tmp_path: Path) -> None:
    config = SyntheticFacesConfig(name="train_only", description="For the test.", train=7, validation=0, test=0)
    assert list(build(config, tmp_path).info.splits) == ["train"]
