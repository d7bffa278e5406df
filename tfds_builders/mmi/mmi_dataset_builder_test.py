"""The builder on a tiny copy of MMI, on other copies, and on broken ones."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS
from tfds_builders.base.dummies import encoded_video, portrait, write_files
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored
from tfds_builders.fer2013.make_dummy_data import write_zip
from tfds_builders.mmi.make_dummy_data import (
    APEX,
    CORNER,
    PHASES,
    SESSIONS,
    DummySession,
    emotion_xml,
    files,
    level,
    markers_xml,
    session_xml,
)
from tfds_builders.mmi.mmi_dataset_builder import Builder, MmiConfig

DUMMY_DATA = Path(__file__).parent / "dummy_data"
KEPT = [session for session in SESSIONS if session.emotion]


def config(**options: Any) -> MmiConfig:
    return MmiConfig(name="own", description="", faces=FaceSettings(detector="none", size=32), **options)


def is_upright(face: np.ndarray, session: DummySession, frame: int) -> bool:
    """Whether the upper left quarter, as far as the picture goes, is the lighter one, at the level of this frame."""
    middle = face.shape[0] // 2
    around = face[middle - 4 : middle + 4, middle - 4 : middle + 4].mean(-1)
    expected = np.full((2, 2), level(session, frame))
    expected[0, 0] += CORNER
    corners = np.array([[around[1, 1], around[1, 6]], [around[6, 1], around[6, 6]]])
    return bool(np.abs(corners - expected).max() < 14)


class MmiTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["whole"]
    SPLITS: ClassVar = {"train": 4}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(Builder, "whole", DUMMY_DATA, tmp_path_factory.mktemp("whole"))


def test_clips_hold_the_upright_frames_and_labels_of_the_source(whole: Any) -> None:
    clips = stored(whole)
    assert set(clips) == {session.id for session in KEPT}
    for session in KEPT:
        clip = clips[session.id]
        assert (clip["label"], clip["subject"], clip["recording"]) == (session.emotion, session.subject, session.name)
        assert clip["frame_index"].tolist() == list(range(session.frames))
        assert all(is_upright(face, session, number) for number, face in enumerate(clip["frames"]))
        assert clip["phase"].tolist() == (list(PHASES) if session.marked else [-1] * session.frames)
        assert clip["apex"] == (APEX if session.marked else session.frames // 2)
    assert whole.info.features["label"].names == ["angry", "disgust", "fear", "happy", "sad", "surprise"]
    assert {skip.id: skip.reason for skip in read_skips(Path(whole.data_dir))} == {
        "Sessions/300/S010-300.avi": "not a frontal view",
        "Sessions/301/S010-301.avi": "two views in one frame",
        "Sessions/400/S011-400.avi": "not a basic emotion",
        "Sessions/401/S011-401.avi": "no emotion label",
        "Sessions/500": "a still picture",
        "Sessions/600/S006-600.avi": "not known which way is up",
    }


def test_case_and_strays_do_not_matter(whole: Any, tmp_path: Path) -> None:
    content = files()
    other = {path.replace("session.xml", "Session.XML"): data for path, data in content.items()}
    write_files(tmp_path / "manual", other | {"Sessions/106/.DS_Store": b"", "Sessions/106/Thumbs.db": b""})
    assert record_bytes(build(Builder, "whole", tmp_path / "manual", tmp_path / "data")) == record_bytes(whole)


def test_overlapping_downloads_give_each_video_once(tmp_path: Path) -> None:
    content = files()
    again = {f"page2/{path}": data for path, data in content.items() if "/106/" in path or "/107/" in path}
    write_files(tmp_path, {f"page1/{path}": data for path, data in content.items()} | again)
    sources = list(Builder(data_dir=tmp_path, config="whole").read(tmp_path))
    twice = [source.id for source in sources if getattr(source, "reason", "") == "the same video is there already"]
    assert twice == ["page2/Sessions/106/S002-106.avi", "page2/Sessions/107/S002-107.avi"]
    assert sum(not hasattr(source, "reason") for source in sources) == len(KEPT)


def test_turning_can_be_switched_off_and_halves_chosen(tmp_path: Path) -> None:
    clips = stored(build(Builder, config(rotate=False, dual="left"), DUMMY_DATA, tmp_path / "left"))
    by_name = {session.name: session for session in SESSIONS}
    for name in ("S002-106", "S053-201"):
        assert is_upright(clips[by_name[name].id]["frames"][0], by_name[name], 0)
    for name in ("S002-107", "S021-200", "S006-600"):
        assert not is_upright(clips[by_name[name].id]["frames"][0], by_name[name], 0)
    dual = by_name["S010-301"]
    assert clips[dual.id]["label"] == "disgust"
    assert abs(clips[dual.id]["frames"][0][8, 16].mean() - level(dual, 0) - CORNER) < 6
    right = stored(build(Builder, config(dual="right"), DUMMY_DATA, tmp_path / "right"))
    assert abs(right[dual.id]["frames"][0][8, 16].mean() - level(dual, 0)) < 6


def test_stills_are_the_apex_and_the_first_frame(tmp_path: Path) -> None:
    write_files(tmp_path / "manual", files() | {"Sessions/700/session.xml": session_xml(0)})
    write_files(tmp_path / "manual/Sessions/700", {"S013-700.avi": b"no video", "S013-700.xml": emotion_xml(4)})
    builder = build(Builder, config(form="stills"), tmp_path / "manual", tmp_path / "data")
    stills = stored(builder)
    expected = {}
    for session in KEPT:
        apex = APEX if session.marked else session.frames // 2
        frames = [frame for frame in (apex - 1, apex, apex + 1) if 0 < frame < session.frames]
        expected |= {f"{session.id}/{frame:05d}": session.emotion for frame in frames}
        expected[f"{session.id}/00000"] = "neutral"
        for frame in (0, *frames):
            still = stills[f"{session.id}/{frame:05d}"]
            assert is_upright(still["image"], session, frame)
            assert still["subject"] == session.subject
    assert {name: still["label"] for name, still in stills.items()} == expected
    assert builder.info.features["label"].names == list(EMOTIONS)
    reasons = {skip.id: skip.reason for skip in read_skips(Path(builder.data_dir))}
    assert reasons["Sessions/700/S013-700.avi"].startswith("cannot be read")


def test_broken_and_incomplete_sessions_are_counted(tmp_path: Path) -> None:
    extra: dict[str, bytes | str] = {
        "Sessions/700/session.xml": session_xml(0),
        "Sessions/700/S013-700.avi": b"no video",
        "Sessions/700/S013-700.xml": emotion_xml(4),
        "Sessions/701/session.xml": session_xml(0),
        "Sessions/701/S013-701.avi": b"",
        "Sessions/702/session.xml": session_xml(0),
        "Sessions/703/session.xml": session_xml(0),
        "Sessions/703/703.avi": b"",
        "Sessions/704/session.xml": session_xml(0, 1),
        "Sessions/704/S013-704.avi": b"",
        "Sessions/704/S013-704.xml": emotion_xml(4),
    }
    write_files(tmp_path / "manual", files() | extra)
    builder = build(Builder, config(), tmp_path / "manual", tmp_path / "data")
    assert set(stored(builder)) == {session.id for session in KEPT}
    reasons = {skip.id: skip.reason for skip in read_skips(Path(builder.data_dir))}
    assert reasons["Sessions/700/S013-700.avi"].startswith("cannot be read")
    assert reasons["Sessions/701/S013-701.avi"] == "no emotion label"
    assert reasons["Sessions/702"] == "no video"
    assert reasons["Sessions/703/703.avi"] == "no subject in the file name"
    assert reasons["Sessions/704/S013-704.avi"] == "not a frontal view"


def test_an_apex_beyond_the_video_is_replaced_by_the_middle(tmp_path: Path) -> None:
    content = files() | {"Sessions/106/S002-106-oao_aucs.xml": markers_xml({"12": [(1, 0), (40, 2), (50, 3)]})}
    write_files(tmp_path / "manual", content)
    clip = stored(build(Builder, config(), tmp_path / "manual", tmp_path / "data"))["Sessions/106/S002-106.avi"]
    assert clip["apex"] == 6
    assert clip["phase"].tolist() == [0] * 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"S002-106.avi": b""}, r"there should be Sessions/106/session\.xml .*Received: S002-106\.avi"),
        ({**files(), "Sessions/106/S002-106.xml": emotion_xml("x")}, r"106/S002-106\.xml should have one code"),
        ({**files(), "Sessions/106/session.xml": "<session/>"}, r"106/session\.xml should have tracks"),
        ({**files(), "Sessions/106/S002-106-oao_aucs.xml": b"\0"}, r"106/S002-106-oao_aucs\.xml cannot be read"),
    ],
)
def test_other_folders_and_bad_labels_are_an_error(
    content: dict[str, bytes | str], message: str, tmp_path: Path
) -> None:
    write_files(tmp_path / "manual", content)
    with pytest.raises(InputError, match=message):
        Builder(data_dir=tmp_path / "data", config="whole").look(tmp_path / "manual")


def test_videos_inside_archives_are_an_error(tmp_path: Path) -> None:
    content = {path: data.encode() if isinstance(data, str) else data for path, data in files().items()}
    write_zip(tmp_path / "mmi.zip", content)
    with pytest.raises(InputError, match=r"Received: mmi\.zip/Sessions/106/S002-106\.avi\. Extract the archive"):
        Builder(data_dir=tmp_path / "data", config="whole").look(tmp_path)


def test_a_detector_finds_the_face_of_a_turned_video(tmp_path: Path) -> None:
    scene = []
    for number in range(3):
        frame = np.full((200, 240, 3), 40, np.uint8)
        frame[20:180, 30 + 4 * number : 190 + 4 * number] = portrait(0)
        scene.append(np.ascontiguousarray(np.rot90(frame)))
    content = {
        "Sessions/1/session.xml": session_xml(0),
        "Sessions/1/S001-1.avi": encoded_video(scene),
        "Sessions/1/S001-1.xml": emotion_xml(4),
    }
    write_files(tmp_path / "manual", content)
    (clip,) = stored(build(Builder, "aligned", tmp_path / "manual", tmp_path / "data")).values()
    assert clip["face_found"].all()
    eyes, mouth = clip["landmarks"][:, :2, 1], clip["landmarks"][:, 3:, 1]
    assert (eyes.max(1) < mouth.min(1)).all(), "upright"
