"""The builder on a tiny copy of AFEW, on other copies, and on broken ones."""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import AFEW_FOLDERS
from tfds_builders.afew.afew_dataset_builder import OFFICIAL_COUNTS, AfewConfig, Builder
from tfds_builders.afew.layout import Video, read_videos
from tfds_builders.afew.make_dummy_data import FRAMES, VIDEOS, avi, files
from tfds_builders.base.dummies import encoded_video, portrait, write_files
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.listing import list_files
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.fer2013.make_dummy_data import write_zip

DUMMY_DATA = Path(__file__).parent / "dummy_data"

pytestmark = pytest.mark.filterwarnings("ignore:.*has other numbers than the official ones")


class AfewTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["whole"]
    SPLITS: ClassVar = {"train": 4, "validation": 2}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(Builder, "whole", DUMMY_DATA, tmp_path_factory.mktemp("whole"))


def test_clips_hold_the_frames_and_labels_of_the_source(whole: Any) -> None:
    clips = stored(whole)
    assert set(clips) == {video.id for video in VIDEOS}
    for video in VIDEOS:
        clip = clips[video.id]
        assert clip["label"] == AFEW_FOLDERS[video.folder]
        assert clip["split"] == {"Train": "train", "Val": "validation"}[video.part]
        assert clip["recording"] == video.id
        assert clip["fps"] == 25
        assert clip["frame_index"].tolist() == list(range(FRAMES))
        assert clip["face_found"].all()
        assert clip["frames"].shape == (FRAMES, 112, 112, 3)
        levels = clip["frames"].mean((1, 2, 3))
        np.testing.assert_allclose(levels, [video.level + 4 * number for number in range(FRAMES)], atol=3)
        assert "subject" not in clip
    assert read_skips(Path(whole.data_dir)) == []


def test_the_same_stem_in_both_splits_is_two_recordings(whole: Any) -> None:
    both = [clip["recording"] for name, clip in stored(whole).items() if name.endswith("/000046280.avi")]
    assert sorted(both) == ["Train_AFEW/Angry/000046280.avi", "Val_AFEW/Sad/000046280.avi"]


def test_case_and_nesting_do_not_matter(whole: Any, tmp_path: Path) -> None:
    nested = {path.replace("Train_AFEW/", "EmotiW_2018/Train_AFEW/Train_AFEW/"): data for path, data in files().items()}
    nested = {path.replace("Val_AFEW/Sad", "val_afew/SAD").replace(".avi", ".AVI"): d for path, d in nested.items()}
    write_files(tmp_path / "manual", nested | {"Val_AFEW/.DS_Store": b""})
    assert record_bytes(build(Builder, "whole", tmp_path / "manual", tmp_path / "data")) == record_bytes(whole)


def test_videos_without_a_class_are_left_out(tmp_path: Path) -> None:
    others = {
        "Test/Test_vid_Distribute/000001.avi": b"",
        "Val_AFEW/Joy/000046281.avi": b"",
        "Train_AFEW/Angry/more/000046282.avi": b"",
    }
    write_files(tmp_path / "manual", files() | others)
    builder = Builder(data_dir=tmp_path / "data", config="whole")
    assert builder.look(tmp_path / "manual") == {"train": 4, "validation": 2, "left out": 3}
    results = list(read_videos(list_files(tmp_path / "manual")))
    assert [tuple(result) for result in results if not isinstance(result, Video)] == [
        ("test", "Test/Test_vid_Distribute/000001.avi", "no emotion label"),
        ("train", "Train_AFEW/Angry/more/000046282.avi", "in no class folder"),
        ("validation", "Val_AFEW/Joy/000046281.avi", "in no class folder"),
    ]


def test_broken_videos_are_counted_and_the_good_part_is_kept(tmp_path: Path) -> None:
    broken = {
        "Train_AFEW/Fear/1.avi": b"",
        "Train_AFEW/Fear/2.avi": b"no video",
        "Train_AFEW/Fear/3.avi": avi(40, frames=40)[:12000],
    }
    write_files(tmp_path / "manual", files() | broken)
    builder = build(Builder, "whole", tmp_path / "manual", tmp_path / "data")
    clips = stored(builder)
    assert set(clips) - {video.id for video in VIDEOS} == {"Train_AFEW/Fear/3.avi"}
    cut = clips["Train_AFEW/Fear/3.avi"]
    assert 0 < len(cut["frames"]) < 25
    assert cut["label"] == "fear"
    reasons = {skip.id: skip.reason for skip in read_skips(Path(builder.data_dir))}
    assert reasons["Train_AFEW/Fear/1.avi"].startswith("cannot be read")
    assert reasons["Train_AFEW/Fear/2.avi"].startswith("cannot be read")
    assert reasons["Train_AFEW/Fear/3.avi"].startswith("damaged, the rest is kept")


def test_long_videos_are_cut_into_parts(tmp_path: Path) -> None:
    settings = FaceSettings(detector="none", size=16, max_frames=2)
    config = AfewConfig(name="short", description="", faces=settings, stretch=1.5)
    clips = stored(build(Builder, config, DUMMY_DATA, tmp_path))
    name = VIDEOS[0].id
    assert clips[name]["frame_index"].tolist() == [0, 1]
    assert clips[f"{name}#1"]["frame_index"].tolist() == [2]
    assert clips[f"{name}#1"]["recording"] == clips[name]["recording"]


def test_a_detector_finds_the_face_and_leaves_out_videos_without_one(tmp_path: Path) -> None:
    scene = []
    for number in range(4):
        frame = np.full((240, 320, 3), 40, np.uint8)
        frame[20:180, 60 + 3 * number : 220 + 3 * number] = portrait(0)
        scene.append(frame)
    write_files(
        tmp_path / "manual",
        {
            "Train_AFEW/Happy/000000001.avi": encoded_video(scene),
            "Train_AFEW/Happy/000000002.avi": avi(40),
            "Train_AFEW/Sad/000000003.avi": encoded_video(scene[::-1]),
        },
    )
    builder = build(Builder, "aligned", tmp_path / "manual", tmp_path / "data")
    clips = stored(builder)
    assert set(clips) == {"Train_AFEW/Happy/000000001.avi", "Train_AFEW/Sad/000000003.avi"}
    for clip in clips.values():
        assert clip["face_found"].all()
        # The same face, wherever it is in the frame.
        assert np.abs(clip["frames"][1:].astype(int) - clip["frames"][:1]).mean() < 12
        assert not np.isnan(clip["landmarks"]).any()
    (skip,) = read_skips(Path(builder.data_dir))
    assert (skip.id, skip.reason) == ("Train_AFEW/Happy/000000002.avi", "no face in any frame")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"01/001/001.json": b"", "01/001/00000.png": b""}, "use the data set afew_va"),
        ({"notes.txt": b""}, r"there should be Train_AFEW/Angry/.*Received: notes\.txt"),
        ({"Train_AFEW/Train_AFEW/Angry/000046280.avi": b"", **files()}, "should lie there once"),
        ({"Test/1.avi": b""}, "there should be Train_AFEW"),
    ],
)
def test_other_folders_are_an_error(content: dict[str, bytes], message: str, tmp_path: Path) -> None:
    write_files(tmp_path / "manual", content)
    with pytest.raises(InputError, match=message):
        Builder(data_dir=tmp_path / "data", config="whole").look(tmp_path / "manual")


def test_videos_inside_archives_are_an_error(tmp_path: Path) -> None:
    write_zip(tmp_path / "Train_AFEW.zip", {"Angry/1.avi": b""})
    with pytest.raises(InputError, match=r"Received: Train_AFEW\.zip/Angry/1\.avi\. Extract the archive"):
        Builder(data_dir=tmp_path / "data", config="whole").look(tmp_path)
    # Beside its extracted content an archive does not matter.
    write_files(tmp_path / "Train_AFEW", {"Angry/1.avi": b""})
    assert Builder(data_dir=tmp_path / "data", config="whole").look(tmp_path) == {"train": 1}


def test_numbers_are_compared_with_the_official_ones(tmp_path: Path) -> None:
    assert {split: sum(counts.values()) for split, counts in OFFICIAL_COUNTS.items()} == {
        "train": 773,
        "validation": 383,
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Builder(data_dir=tmp_path, config="whole").look(DUMMY_DATA)
    (warning,) = caught
    assert "train 4 of 773 (angry 1 of 133, " in str(warning.message)
    assert "validation 2 of 383" in str(warning.message)
    with pytest.raises(InputError, match="stretch must be in"):
        Builder(data_dir=tmp_path, config=AfewConfig(name="x", description="", stretch=0.1)).look(DUMMY_DATA)
