"""The builder on tiny copies of AFEW-VA in folders and zip archives, and what happens to broken frames."""

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment
from ferkeras.labels import UNLABELLED
from tfds_builders.afew_va.afew_va_dataset_builder import AfewVaConfig, Builder
from tfds_builders.afew_va.make_dummy_data import CLIPS, HEIGHT, WIDTH, annotation, files, five_landmarks, level
from tfds_builders.base.dummies import MARKS, encoded, landmarks68, marked, write_files
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored

DUMMY_DATA = Path(__file__).parent / "dummy_data"

pytestmark = pytest.mark.filterwarnings("ignore:.*has other numbers than the official ones")


class NestedTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY_DATA / "nested"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["aligned"]
    SPLITS: ClassVar = {"train": 4}


class ZipsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    EXAMPLE_DIR = DUMMY_DATA / "zips"
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["aligned_224"]
    SPLITS: ClassVar = {"train": 4}


def assert_aligned(face: np.ndarray, *, background: int, tolerance: int = 14) -> None:
    """The marks of the drawn face lie where the template wants them, on the grey level of the right frame."""
    for (x, y), grey in zip(Alignment(size=face.shape[0]).template.round().astype(int), MARKS, strict=True):
        assert abs(int(face[y, x, 0]) - grey) <= tolerance
    assert abs(int(face[-1, 0, 0]) - background) <= 1


@pytest.fixture(scope="module")
def nested(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(Builder, "aligned", DUMMY_DATA / "nested", tmp_path_factory.mktemp("nested"))


def test_clips_hold_the_frames_and_labels_of_the_source(nested: Any) -> None:
    clips = stored(nested)
    assert set(clips) == {clip.id for clip in CLIPS}
    for clip in CLIPS:
        record, length = clips[clip.id], len(clip.valence)
        assert record["split"] == "train"
        assert record["recording"] == clip.id
        assert record["fps"] == 25
        assert record["frame_index"].tolist() == list(range(length))
        assert record["valence"].tolist() == list(clip.valence)
        assert record["arousal"].tolist() == list(clip.arousal)
        assert record["face_found"].tolist() == [True] * length
        np.testing.assert_allclose(record["landmarks"][:, 30], [Alignment().template[2]] * length, atol=0.1)
        for number, face in enumerate(record["frames"]):
            assert_aligned(face, background=level(clip, number))
    assert read_skips(Path(nested.data_dir)) == []


def test_one_actor_in_two_spellings_is_one_subject(nested: Any) -> None:
    subjects = {name: clip["subject"] for name, clip in stored(nested).items()}
    assert subjects == {"001": "anna roe", "002": "anna roe", "051": "ben loe", "600": "cy poe"}


def test_zips_and_flattened_folders_give_the_same_bytes(nested: Any, tmp_path: Path) -> None:
    expected = record_bytes(nested)
    assert len(expected) == 1
    assert record_bytes(build(Builder, "aligned", DUMMY_DATA / "zips", tmp_path / "zips")) == expected
    cropped = {"001_cropped/00000.png": b"", "01_cropped/001/00000.png": b""}
    write_files(tmp_path / "flat", files(nested=False) | cropped)
    assert record_bytes(build(Builder, "aligned", tmp_path / "flat", tmp_path / "data")) == expected


def test_missing_and_broken_frames_are_black_and_counted(tmp_path: Path) -> None:
    content = files(CLIPS[:2])
    del content["01/001/00001.png"]
    content["01/001/00002.png"] = content["01/001/00002.png"][:80]
    content["01/001/00005.png"] = content["01/001/00000.png"]
    write_files(tmp_path / "manual", content)
    with pytest.warns(UserWarning, match=r"1 clips have .* 001 \(4 pictures, 4 annotated frames\)"):
        builder = build(Builder, "aligned", tmp_path / "manual", tmp_path / "data")
    clip = stored(builder)["001"]
    assert clip["frame_index"].tolist() == [0, 1, 2, 3, 5]
    assert clip["face_found"].tolist() == [True, False, False, True, False]
    assert clip["valence"].tolist() == [*CLIPS[0].valence, UNLABELLED]
    assert clip["arousal"].tolist() == [*CLIPS[0].arousal, UNLABELLED]
    assert not clip["frames"][[1, 2, 4]].any()
    assert np.isnan(clip["landmarks"][[1, 2, 4]]).all()
    assert_aligned(clip["frames"][3], background=level(CLIPS[0], 3))
    (skip,) = read_skips(Path(builder.data_dir))
    assert skip.id == "001"
    assert skip.reason.startswith("damaged, the rest is kept: The picture cannot be read")


def test_frames_of_narrow_pixels_are_widened(tmp_path: Path) -> None:
    stretch = 64 / 45
    clip = CLIPS[2]
    said = annotation(clip)
    squeezed = five_landmarks(0) / (stretch, 1)
    for values in said["frames"].values():
        values["landmarks"] = landmarks68(squeezed).tolist()
    frame = encoded(marked(squeezed, level=level(clip, 0), shape=(HEIGHT, WIDTH, 3)), ".png")
    write_files(
        tmp_path / "manual",
        {"051/051.json": json.dumps(said), "051/00000.png": frame, "051/00001.png": frame},
    )
    faces = {}
    for name, value in (("wide", stretch), ("narrow", 1.0)):
        config = AfewVaConfig(name=name, description="", faces=FaceSettings(), stretch=value)
        faces[name] = stored(build(Builder, config, tmp_path / "manual", tmp_path / "data"))["051"]["frames"][0]
    assert_aligned(faces["wide"], background=level(clip, 0), tolerance=25)
    with pytest.raises(AssertionError):
        assert_aligned(faces["narrow"], background=level(clip, 0), tolerance=25)
    config = AfewVaConfig(name="bad", description="", stretch=3.0)
    with pytest.raises(InputError, match=r"stretch must be in \[0\.5, 2\]\. Received: 3\.0"):
        Builder(data_dir=tmp_path, config=config).look(tmp_path / "manual")


def test_without_landmarks_of_the_data_set_there_are_none(tmp_path: Path) -> None:
    config = AfewVaConfig(name="none", description="", faces=FaceSettings(detector="none", size=32), landmarks=False)
    clip = stored(build(Builder, config, DUMMY_DATA / "nested", tmp_path))["600"]
    assert clip["frames"].shape == (2, 32, 32, 3)
    assert clip["valence"].tolist() == [2, 2]
    assert np.isnan(clip["landmarks"]).all()


def test_a_wrong_label_ends_before_a_record_is_written(tmp_path: Path) -> None:
    content = files()
    content["12/600/600.json"] = content["12/600/600.json"].replace(b'"valence": 2', b'"valence": 11')
    write_files(tmp_path / "manual", content)
    with pytest.raises(InputError, match=r"12/600/600\.json, frame 00000 should have valence"):
        build(Builder, "aligned", tmp_path / "manual", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))
