"""The builder on a tiny copy of DISFA, on other copies, and on broken ones."""

import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS, NO_CLASS
from tfds_builders.base.dummies import encoded_video, portrait, write_files
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.disfa.disfa_dataset_builder import Builder, DisfaConfig
from tfds_builders.disfa.make_dummy_data import PEOPLE, SHORTER, avi, files, frames_of, label_files, level
from tfds_builders.disfa.rules import ACTION_UNITS
from tfds_builders.fer2013.make_dummy_data import write_zip

DUMMY_DATA = Path(__file__).parent / "dummy_data"

pytestmark = pytest.mark.filterwarnings("ignore:.*has other numbers than the official ones")


def config(**options: Any) -> DisfaConfig:
    return DisfaConfig(name="own", description="", faces=FaceSettings(detector="none", size=16), **options)


class DisfaTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["whole"]
    SPLITS: ClassVar = {"train": 3}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(Builder, "whole", DUMMY_DATA, tmp_path_factory.mktemp("whole"))


def test_clips_hold_the_frames_and_labels_of_the_source(whole: Any) -> None:
    clips = stored(whole)
    assert set(clips) == set(PEOPLE)
    for subject, clip in clips.items():
        length = SHORTER.get(subject, len(frames_of(subject)))
        runs = frames_of(subject)[:length]
        assert (clip["subject"], clip["recording"], clip["split"]) == (subject, subject, "train")
        assert clip["fps"] == 20
        assert clip["frame_index"].tolist() == list(range(length))
        expected = [level(subject, frame) for frame in range(length)]
        np.testing.assert_allclose(clip["frames"].mean((1, 2, 3)), expected, atol=3)
        assert clip["action_units"].tolist() == [[run.units.get(unit, 0) for unit in ACTION_UNITS] for run in runs]
        assert [None if e == NO_CLASS else EMOTIONS[e] for e in clip["emotion"]] == [run.exact for run in runs]
        assert "label" not in clip
    (skip,) = read_skips(Path(whole.data_dir))
    assert skip.id == "SN010"
    assert skip.reason == "damaged, the rest is kept: the video ends after 8 frames, the part after 10"


def test_case_nesting_and_zipped_labels_do_not_matter(whole: Any, tmp_path: Path) -> None:
    content = {f"DISFA/{path.replace('_comp', '_Comp')}": data for path, data in files().items()}
    labels = {path: data.encode() for path, data in content.items() if isinstance(data, str)}
    videos = {path: data for path, data in content.items() if path not in labels}
    write_files(tmp_path / "manual", videos)
    write_zip(tmp_path / "manual/ActionUnit_Labels.zip", labels)
    assert record_bytes(build(Builder, "whole", tmp_path / "manual", tmp_path / "data")) == record_bytes(whole)


def test_stills_are_frames_of_their_emotion_apart_from_each_other(tmp_path: Path) -> None:
    builder = build(Builder, config(form="stills"), DUMMY_DATA, tmp_path)
    stills = stored(builder)
    assert {name: still["label"] for name, still in stills.items()} == {
        "SN001/00002": "neutral",
        "SN001/00006": "happy",
        "SN001/00016": "happy",
        "SN001/00023": "surprise",
        "SN002/00001": "angry",
        "SN010/00000": "disgust",
    }
    for name, still in stills.items():
        subject, frame = name[:5], int(name[6:])
        run = frames_of(subject)[frame]
        assert still["label"] == run.exact
        assert still["subject"] == subject
        assert still["action_units"].tolist() == [run.units.get(unit, 0) for unit in ACTION_UNITS]
        assert abs(still["image"].mean() - level(subject, frame)) < 3
    assert builder.info.features["label"].names == list(EMOTIONS)


def test_options_choose_frames_and_camera(tmp_path: Path) -> None:
    subset = config(form="stills", matching="subset", step=3)
    read = Builder(data_dir=tmp_path, config=subset).read(DUMMY_DATA)
    sources = {source.id: source.label for source in read}  # type: ignore[union-attr]
    assert {name: label for name, label in sources.items() if name.startswith("SN002")} == {
        "SN002/00000": "angry",
        "SN002/00003": "happy",
        "SN002/00006": "happy",
    }
    assert sum(label == "neutral" for label in sources.values()) == 2
    right = stored(build(Builder, config(camera="right"), DUMMY_DATA, tmp_path / "right"))
    assert list(right) == ["SN002"]
    assert abs(right["SN002"]["frames"][0].mean() - level("SN002", 0) - 5) < 3
    without = Builder(data_dir=tmp_path, config=config(form="stills", angry=False)).look(DUMMY_DATA)
    assert without == {"train": 5}
    for options in ({"threshold": 0}, {"threshold": 6}, {"step": 0}):
        with pytest.raises(InputError, match="threshold must be in"):
            Builder(data_dir=tmp_path, config=config(**options)).look(DUMMY_DATA)


def test_missing_and_broken_files_are_counted(tmp_path: Path) -> None:
    content = files() | label_files("SN003", [{}] * 3) | label_files("SN004", [{6: 3, 12: 3}] * 30)
    content["Videos_LeftCamera/LeftVideoSN005_comp.avi"] = avi("SN002")
    content["Videos_LeftCamera/LeftVideoSN004_comp.avi"] = b"no video"
    write_files(tmp_path / "manual", content)
    builder = build(Builder, config(), tmp_path / "manual", tmp_path / "data")
    assert set(stored(builder)) == set(PEOPLE)
    reasons = {skip.id: skip.reason for skip in read_skips(Path(builder.data_dir))}
    assert reasons["SN003"] == "no video of the left camera"
    assert reasons["SN005"] == "no action unit labels"
    assert reasons["SN004"].startswith("cannot be read")


def test_stills_beyond_the_end_of_a_video_are_left_out(tmp_path: Path) -> None:
    builder = build(Builder, config(form="stills", step=1), DUMMY_DATA, tmp_path)
    stills = stored(builder)
    assert sum(name.startswith("SN010") for name in stills) == 8
    assert [skip.id for skip in read_skips(Path(builder.data_dir))] == ["SN010/00008", "SN010/00009"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Labels/SN001/A1_AU1_TrailNo_1/AU1.txt": "", "Images/SN001/1.jpg": b""}, "This seems to be DISFA"),
        ({"notes.txt": ""}, r"there should be LeftVideoSN001_comp\.avi .*Received: notes\.txt"),
        ({"LeftVideoSN001_comp.avi": b""}, "there should be ActionUnit_Labels/SN001"),
        ({"RightVideoSN001_comp.avi": b"", **label_files("SN001", [{}])}, "the option camera names it"),
        ({"more/LeftVideoSN001_comp.avi": b"", **files()}, "the same file lies there twice"),
        ({"ActionUnit_Labels/SN001/SN002_au1.txt": "1,0", **files()}, "a file in SN001 should begin with its name"),
    ],
)
def test_other_folders_are_an_error(content: dict[str, bytes | str], message: str, tmp_path: Path) -> None:
    write_files(tmp_path / "manual", content)
    with pytest.raises(InputError, match=message):
        Builder(data_dir=tmp_path / "data", config="whole").look(tmp_path / "manual")


def test_videos_inside_archives_are_an_error(tmp_path: Path) -> None:
    write_zip(tmp_path / "Videos_LeftCamera.zip", {"LeftVideoSN001_comp.avi": b""})
    write_files(tmp_path, label_files("SN001", [{}]))
    with pytest.raises(InputError, match=r"Received: Videos_LeftCamera\.zip/LeftVideoSN001_comp\.avi\. Extract"):
        Builder(data_dir=tmp_path / "data", config="whole").look(tmp_path)


def test_another_number_of_videos_is_told(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Builder(data_dir=tmp_path, config="whole").look(DUMMY_DATA)
    (warning,) = caught
    assert "train 3 of 27" in str(warning.message)


def test_a_detector_finds_the_faces_of_stills(tmp_path: Path) -> None:
    scene = []
    for number in range(5):
        frame = np.full((200, 240, 3), 40, np.uint8)
        frame[20:180, 30 + 8 * number : 190 + 8 * number] = portrait(0)
        scene.append(frame)
    video = {"LeftVideoSN003_comp.avi": encoded_video(scene)}
    write_files(tmp_path / "manual", {**video, **label_files("SN003", [{6: 2, 12: 2}] * 2 + [{}] * 3)})
    stills = stored(build(Builder, "stills", tmp_path / "manual", tmp_path / "data"))
    assert {name: still["label"] for name, still in stills.items()} == {
        "SN003/00001": "happy",
        "SN003/00003": "neutral",
    }
    first, second = (still["image"].astype(int) for still in stills.values())
    # The same face, wherever it is in the frame.
    assert np.abs(first - second).mean() < 12


def test_kept_work_gives_the_same_bytes(tmp_path: Path) -> None:
    records = []
    for name, workers in (("direct", None), ("kept", 1)):
        builder = Builder(data_dir=str(tmp_path / name), config=config(form="stills"))
        builder.workers = workers
        manual = tfds.download.DownloadConfig(manual_dir=str(DUMMY_DATA))
        builder.download_and_prepare(download_dir=str(tmp_path / "downloads"), download_config=manual)
        records.append(record_bytes(builder))
    assert records[0] == records[1]
    assert records[0]
