"""The builder on tiny copies of CK+ as zips, as folders, and of CK+48."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment
from tfds_builders.base.dummies import MARKS
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.ck_plus.ck_plus_dataset_builder import Builder, CkPlusConfig
from tfds_builders.ck_plus.make_dummy_data import SEQUENCES, level

DUMMY_DATA = Path(__file__).parent / "dummy_data"
LABELLED = [sequence for sequence in SEQUENCES if sequence.emotion is not None]

pytestmark = pytest.mark.filterwarnings("ignore:.*has other numbers than the official ones")


class SequencesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY_DATA / "zips"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["sequences"]
    SPLITS: ClassVar = {"train": 5}


class StillsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY_DATA / "extracted"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["stills"]
    SPLITS: ClassVar = {"train": 17}


class Ck48Test(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY_DATA / "ck48"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["ck48"]
    SPLITS: ClassVar = {"train": 14}


def assert_aligned(face: np.ndarray, *, background: int) -> None:
    """The marks of the drawn face lie where the template wants them, on the grey level of the right frame."""
    for (x, y), grey in zip(Alignment(size=face.shape[0]).template.round().astype(int), MARKS, strict=True):
        assert abs(int(face[y, x, 0]) - grey) <= 14
    assert abs(int(face[-1, 0, 0]) - background) <= 1


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(Builder, "sequences", DUMMY_DATA / "extracted", tmp_path_factory.mktemp("sequences"))


def test_clips_hold_the_frames_labels_and_subjects_of_the_source(sequences: Any) -> None:
    records = stored(sequences)
    assert set(records) == {sequence.id for sequence in LABELLED}
    for sequence in LABELLED:
        record = records[sequence.id]
        assert record["label"] == sequence.emotion
        assert record["subject"] == sequence.subject
        assert record["recording"] == sequence.id
        assert record["fps"] == 30
        assert record["frame_index"].tolist() == list(range(len(sequence.numbers)))
        assert record["face_found"].all()
        assert record["frames"].shape == (len(sequence.numbers), 112, 112, 3)
        assert record["landmarks"].shape == (len(sequence.numbers), 68, 2)
        np.testing.assert_allclose(
            record["landmarks"][:, 30], [Alignment().template[2]] * len(sequence.numbers), atol=0.1
        )
        for face, number in zip(record["frames"], sequence.numbers, strict=True):
            assert_aligned(face, background=level(sequence, number))


def test_sequences_without_a_label_are_left_out_and_not_neutral(sequences: Any) -> None:
    assert [(skip.id, skip.reason) for skip in read_skips(Path(sequences.data_dir))] == [
        ("S010/004", "no emotion label"),
        ("S020/001", "no emotion label"),
    ]
    records = stored(sequences).values()
    assert all(record["label"] != "neutral" for record in records)
    # Folds by subject count the people with a label alone.
    assert {record["subject"] for record in records} == {"S005", "S010", "S037", "S130", "S999"}


def test_zips_and_folders_give_the_same_bytes(sequences: Any, tmp_path: Path) -> None:
    expected = record_bytes(sequences)
    assert len(expected) == 1
    assert record_bytes(build(Builder, "sequences", DUMMY_DATA / "zips", tmp_path)) == expected


def test_stills_are_the_first_frame_as_neutral_and_the_last_as_emotion(tmp_path: Path) -> None:
    records = stored(build(Builder, "stills", DUMMY_DATA / "zips", tmp_path))
    expected = {}
    for sequence in LABELLED:
        first, *rest = sequence.numbers
        expected[f"{sequence.path(first)}.png"] = ("neutral", sequence, first)
        # Of two frames one is neutral and one the peak.
        expected |= {f"{sequence.path(n)}.png": (sequence.emotion, sequence, n) for n in rest[-3:]}
    assert set(records) == set(expected)
    for name, (emotion, sequence, number) in expected.items():
        assert records[name]["label"] == emotion
        assert records[name]["subject"] == sequence.subject
        assert_aligned(records[name]["image"], background=level(sequence, number))


def test_numbers_of_stills_are_options(tmp_path: Path) -> None:
    config = CkPlusConfig(
        name="peaks",
        description="",
        form="stills",
        peak_frames=1,
        neutral_frames=0,
        faces=Builder.BUILDER_CONFIGS[1].faces,
    )
    records = stored(build(Builder, config, DUMMY_DATA / "extracted", tmp_path))
    assert set(records) == {f"{sequence.path(sequence.numbers[-1])}.png" for sequence in LABELLED}
    bad = CkPlusConfig(name="bad", description="", form="stills", peak_frames=0)
    with pytest.raises(InputError, match="peak_frames must be at least 1"):
        Builder(data_dir=tmp_path, config=bad).look(DUMMY_DATA / "extracted")


def test_ck48_keeps_its_pixels_classes_and_subjects(tmp_path: Path) -> None:
    records = stored(build(Builder, "ck48", DUMMY_DATA / "ck48", tmp_path))
    assert len(records) == sum(min(3, len(sequence.numbers)) for sequence in LABELLED)
    for sequence in LABELLED:
        for number in sequence.numbers[-3:]:
            name = Path(sequence.path(number)).name
            (record,) = (record for path, record in records.items() if path.endswith(f"/{name}.png"))
            assert record["image"].shape == (48, 48, 1)
            assert record["image"][-1, 0, 0] == level(sequence, number)
            assert record["label"] == sequence.emotion
            assert record["subject"] == sequence.subject
