"""The builder of any folder of pictures. Layouts, classes, exclusions: layout_test.py."""

import dataclasses
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.pictures import read_picture
from tfds_builders.base.dummies import encoded, pattern, write_files
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.face_folder.face_folder_dataset_builder import Builder, FolderConfig
from tfds_builders.face_folder.make_dummy_data import PLAIN, SPLIT

DUMMY_DATA = Path(__file__).parent / "dummy_data"


def config(name: str, **changes: object) -> FolderConfig:
    """A configuration of the user's own, made of `whole`."""
    whole = next(c for c in Builder.BUILDER_CONFIGS if c.name == "whole")
    return dataclasses.replace(whole, name=name, **changes)


class WholeTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": len(PLAIN)}
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["whole"]
    EXAMPLE_DIR = DUMMY_DATA / "plain"


class SubjectsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    SPLITS: ClassVar = {"train": 2, "validation": 1, "test": 1}
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = [config("subjects", subject_pattern="^[a-z]+")]
    EXAMPLE_DIR = DUMMY_DATA / "split"


def test_every_example_is_the_picture_of_its_path(tmp_path: Path) -> None:
    first, second = (build(Builder, "whole", DUMMY_DATA / "plain", tmp_path / name) for name in "ab")
    examples = stored(first)
    assert {key: example["label"] for key, example in examples.items()} == PLAIN
    for key, example in examples.items():
        np.testing.assert_array_equal(example["image"], read_picture(DUMMY_DATA / "plain" / key))
        assert "subject" not in example
    assert record_bytes(first) == record_bytes(second) != {}


def test_faces_are_found_and_aligned(tmp_path: Path) -> None:
    """With the default detector, MTCNN; a picture without a face is left out."""
    write_files(
        tmp_path / "manual",
        {
            path.relative_to(DUMMY_DATA / "split").as_posix(): path.read_bytes()
            for path in (DUMMY_DATA / "split").rglob("*.jpg")
        },
    )
    write_files(tmp_path / "manual", {"train/sad/pattern.jpg": encoded(pattern(0))})
    builder = build(Builder, "aligned", tmp_path / "manual", tmp_path)
    examples = stored(builder)
    assert {key: (example["label"], example["split"]) for key, example in examples.items()} == {
        key: (label, {"training": "train", "val": "validation", "test": "test"}[key.partition("/")[0]])
        for key, label in SPLIT.items()
    }
    assert {example["image"].shape for example in examples.values()} == {(112, 112, 3)}
    assert [(skip.id, skip.reason) for skip in read_skips(Path(builder.data_dir))] == [
        ("train/sad/pattern.jpg", "no face")
    ]


def test_options(tmp_path: Path) -> None:
    pictures = {
        f"{name}/{subject}.png": encoded(pattern(n, 20), ".png")
        for n, (name, subject) in enumerate(
            [("happy", "s1_1"), ("happy", "s2_1"), ("pensive", "s1_2"), ("pensive", "s3_1")]
        )
    }
    write_files(tmp_path / "manual", pictures)
    write_files(tmp_path, {"rejected.csv": "path,class,reason\nhappy/s2_1.png,happy,blurred\n"})
    mine = config(
        "mine", classes=("pensive", "happy"), exclude=str(tmp_path / "rejected.csv"), subject_pattern=r"(s\d+)_"
    )
    builder = build(Builder, mine, tmp_path / "manual", tmp_path)
    assert builder.info.features["label"].names == ["pensive", "happy"]
    assert {key: (e["label"], e["subject"]) for key, e in stored(builder).items()} == {
        "happy/s1_1.png": ("happy", "s1"),
        "pensive/s1_2.png": ("pensive", "s1"),
        "pensive/s3_1.png": ("pensive", "s3"),
    }
    (skip,) = read_skips(Path(builder.data_dir))
    assert skip == ("train", "happy/s2_1.png", "excluded: blurred")


def test_a_subject_in_two_splits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"The same subject stands in two splits\. Received: a in "):
        build(Builder, config("subjects", subject_pattern="[ae]"), DUMMY_DATA / "split", tmp_path)
    assert not list(tmp_path.rglob("*.tfrecord*"))


def test_an_unknown_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="The option classes names others"):
        build(Builder, config("two", classes=("happy", "sad")), DUMMY_DATA / "plain", tmp_path)
