"""The builder on a small list of segments, on broken ones, and on a real face."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from tfds_builders.annotated_segments.annotated_segments_dataset_builder import Builder, SegmentsConfig
from tfds_builders.annotated_segments.make_dummy_data import SECONDS, VIDEOS, files, level
from tfds_builders.base.dummies import encoded_video, portrait, write_files
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored

DUMMY_DATA = Path(__file__).parent / "dummy_data"
HEADER = SECONDS.splitlines(keepends=True)[0]
SPAIN, SPAIN_2, NORWAY = VIDEOS
#: Clip -> video, frames, label, subject, group and split, as the list means it.
TRUTH = {
    f"{SPAIN}@0.0s-0.4s": (SPAIN, range(10), "neutral", "es01", "spain", "train"),
    f"{SPAIN}@0.32s-0.72s": (SPAIN, range(8, 18), "happy", "es01", "spain", "train"),
    f"{SPAIN_2}@0.08s-0.4s": (SPAIN_2, range(2, 10), "pensive", "es02", "spain", "train"),
    f"{NORWAY}@0.2s-0.5s": (NORWAY, range(5, 13), "happy", "no07", "norway", "validation"),
}


def config(**options: Any) -> SegmentsConfig:
    return SegmentsConfig(name="own", description="", faces=FaceSettings(detector="none", size=16), **options)


class AnnotatedSegmentsTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["whole"]
    SPLITS: ClassVar = {"train": 3, "validation": 1}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(Builder, "whole", DUMMY_DATA, tmp_path_factory.mktemp("whole"))


def test_clips_hold_the_frames_and_labels_of_the_list(whole: Any) -> None:
    clips = stored(whole)
    assert set(clips) == set(TRUTH)
    for name, (video, frames, label, subject, group, split) in TRUTH.items():
        clip = clips[name]
        found = (clip["recording"], clip["label"], clip["subject"], clip["group"], clip["split"])
        assert found == (video, label, subject, group, split)
        assert clip["frame_index"].tolist() == list(frames)
        expected = [level(video, frame) for frame in frames]
        np.testing.assert_allclose(clip["frames"].mean((1, 2, 3)), expected, atol=3)
        assert clip["fps"] == 25
    assert whole.info.features["label"].names == ["neutral", "happy", "pensive"]
    assert read_skips(Path(whole.data_dir)) == []


def test_frames_and_seconds_mean_the_same(whole: Any, tmp_path: Path) -> None:
    in_frames = stored(build(Builder, config(file="frames.csv"), DUMMY_DATA, tmp_path))
    assert len(in_frames) == len(TRUTH)
    for video, frames, label, subject, group, split in TRUTH.values():
        clip = in_frames[f"{video}@{frames.start}-{frames.stop}"]
        assert clip["frame_index"].tolist() == list(frames)
        assert (clip["label"], clip["subject"], clip["group"], clip["split"]) == (label, subject, group, split)


def test_two_builds_are_equal(whole: Any, tmp_path: Path) -> None:
    write_files(tmp_path / "manual", files("\ufeff" + SECONDS.replace("\n", "\r\n")))
    assert record_bytes(build(Builder, "whole", tmp_path / "manual", tmp_path / "data")) == record_bytes(whole)


def test_segments_beyond_the_end_are_cut_or_left_out_and_listed(tmp_path: Path) -> None:
    rows = [
        f"{SPAIN},1.0,9,happy,es01,,train",
        f"{SPAIN},5,6,happy,es01,,train",
        f"{SPAIN},0,1.2,neutral,es01,,train",
        "broken.avi,0,1,happy,es03,,train",
        f"{SPAIN_2},0,0.2,other,es02,,train",
        f"{NORWAY},0,0.2,happy,no07,,train",
    ]
    write_files(tmp_path / "manual", {**files(HEADER + "\n".join(rows)), "broken.avi": b"no video"})
    builder = build(Builder, config(leave_out=("other",)), tmp_path / "manual", tmp_path / "data")
    clips = stored(builder)
    assert set(clips) == {f"{SPAIN}@1.0s-9.0s", f"{SPAIN}@0.0s-1.2s", f"{NORWAY}@0.0s-0.2s"}
    assert clips[f"{SPAIN}@1.0s-9.0s"]["frame_index"].tolist() == [25, 26, 27, 28, 29]
    assert clips[f"{SPAIN}@1.0s-9.0s"]["group"] == ""
    reasons = [(skip.id, skip.reason) for skip in read_skips(Path(builder.data_dir))]
    assert (f"{SPAIN_2}@0.0s-0.2s", "label is left out") in reasons
    assert (f"{SPAIN}@5.0s-6.0s", "no frame") in reasons
    cut = "damaged, the rest is kept: the video ends at 1.20 s, the part at 9.00 s"
    assert (f"{SPAIN}@1.0s-9.0s", cut) in reasons
    assert any(name == "broken.avi@0.0s-1.0s" and reason.startswith("cannot be read") for name, reason in reasons)
    assert not any(name == f"{SPAIN}@0.0s-1.2s" for name, _ in reasons)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"{SPAIN},0.8,1,happy,es09,spain,test", f"same recording stands in two splits. Received: {SPAIN} in"),
        (f"{SPAIN_2},0.4,0.44,happy,no07,norway,train", "same subject stands in two splits. Received: no07 in"),
    ],
)
def test_nobody_is_in_two_splits(row: str, message: str, tmp_path: Path) -> None:
    write_files(tmp_path / "manual", files(SECONDS + row))
    with pytest.raises(InputError, match=message):
        build(Builder, "whole", tmp_path / "manual", tmp_path / "data")


def test_without_splits_all_is_train(tmp_path: Path) -> None:
    columns = [line.rsplit(",", 2)[0] for line in SECONDS.splitlines()]
    write_files(tmp_path / "manual", files("\n".join(columns)))
    assert Builder(data_dir=tmp_path, config="whole").look(tmp_path / "manual") == {"train": 4}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ()}, "classes should be different names"),
        ({"classes": ("happy", "Happy")}, "classes should be different names"),
        ({"leave_out": ("happy",)}, "either in classes or in leave_out. Received: happy"),
        ({"classes": ("happy",)}, "should have one of the labels happy. Received: 'neutral'"),
        ({"file": "missing.csv"}, r"The list of segments missing\.csv is missing"),
    ],
)
def test_options_are_checked(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        Builder(data_dir=tmp_path, config=config(**options)).look(DUMMY_DATA)


def test_a_detector_finds_the_face(tmp_path: Path) -> None:
    scene = []
    for number in range(6):
        frame = np.full((200, 240, 3), 40, np.uint8)
        frame[20:180, 30 + 4 * number : 190 + 4 * number] = portrait(0)
        scene.append(frame)
    text = "video,start_frame,end_frame,label,subject\na.avi,1,5,pensive,s1\n"
    write_files(tmp_path / "manual", {"a.avi": encoded_video(scene), "segments.csv": text})
    (clip,) = stored(build(Builder, "aligned", tmp_path / "manual", tmp_path / "data")).values()
    assert clip["frame_index"].tolist() == [1, 2, 3, 4]
    assert clip["face_found"].all()
    # The same face, wherever it is in the frame.
    assert np.abs(clip["frames"][1:].astype(int) - clip["frames"][:1]).mean() < 12
