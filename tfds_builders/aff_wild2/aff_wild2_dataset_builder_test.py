"""The builder on a tiny copy of Aff-Wild2, on other copies, and on broken ones."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tensorflow_datasets as tfds

from ferkeras.errors import InputError
from ferkeras.labels import EMOTIONS, UNLABELLED
from tfds_builders.aff_wild2.aff_wild2_dataset_builder import AffWild2Config, Builder, NumberedFaces
from tfds_builders.aff_wild2.make_dummy_data import PEOPLE, ROOT, annotations, faces, files, level
from tfds_builders.base.dummies import encoded_video, portrait, write_files
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.skips import read_skips
from tfds_builders.base.testing import build, record_bytes, stored

DUMMY_DATA = Path(__file__).parent / "dummy_data"
CODES = ("neutral", "angry", "disgust", "fear", "happy", "sad", "surprise")
#: Valence and arousal in the files -> tenths.
TENTHS = {
    "0.25,-0.3": (2, -3), "-5,-5": (UNLABELLED,) * 2, "1,-1": (10, -10), "0.04,0.06": (0, 1),
    "-5,0.5": (UNLABELLED,) * 2, "-0.96,0.96": (-10, 10), "0,0": (0, 0), "0.1,0.1": (1, 1), "0.5,0.5": (5, 5),
    "0.6,0.5": (6, 5), "0.7,0.5": (7, 5),
}  # fmt: skip


def config(**options: Any) -> AffWild2Config:
    return AffWild2Config(name="own", description="", **{"faces": FaceSettings(detector="none", size=16), **options})


class AffWild2Test(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = Builder
    BUILDER_CONFIG_NAMES_TO_TEST: ClassVar = ["cropped"]
    SPLITS: ClassVar = {"train": 3, "validation": 2}


@pytest.fixture(scope="module")
def cropped(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build(Builder, "cropped", DUMMY_DATA, tmp_path_factory.mktemp("cropped"))


def test_clips_hold_the_frames_and_labels_of_the_source(cropped: Any) -> None:
    clips = stored(cropped)
    assert set(clips) == set(PEOPLE)
    for name, person in PEOPLE.items():
        clip = clips[name]
        said = {kind: list(lines) for (kind, _), lines in person.files.items() if kind in person.used}
        length = max(map(len, said.values()))
        assert (clip["split"], clip["recording"]) == (person.split, name.removesuffix("_left").removesuffix("_right"))
        assert clip["frame_index"].tolist() == list(range(length))
        assert clip["face_found"].tolist() == [number + 1 in person.faces for number in range(length)]
        for number, face in enumerate(clip["frames"], start=1):
            assert abs(face.mean() - (level(name, number) if number in person.faces else 0)) < 2
        va = said.get("VA", []) + ["-5,-5"] * (length - len(said.get("VA", [])))
        assert list(zip(clip["valence"], clip["arousal"], strict=True)) == [TENTHS[line] for line in va]
        given = [[np.nan] * 2 if "-5" in line.split(",") else [float(w) for w in line.split(",")] for line in va]
        np.testing.assert_array_equal(clip["valence_arousal"], np.array(given, np.float32))
        expressions = [int(code) for code in said.get("EXPR", ["-1"] * length)]
        assert clip["emotion"].tolist() == [EMOTIONS.index(CODES[c]) if 0 <= c < 7 else -1 for c in expressions]
        units = said.get("AU", []) + [",".join(["-1"] * 12)] * (length - len(said.get("AU", [])))
        assert clip["action_units"].tolist() == [[int(word) for word in line.split(",")] for line in units]
        assert "label" not in clip
    (skip,) = read_skips(Path(cropped.data_dir))
    assert (skip.id, skip.reason) == (
        f"{ROOT}/VA_Estimation_Challenge/Train_Set/video12.txt",
        "its video is in a validation set",
    )


def test_folders_of_another_year_give_the_same_bytes(cropped: Any, tmp_path: Path) -> None:
    names = {
        f"{ROOT}/VA_Estimation_Challenge": "annotations/VA_Set",
        f"{ROOT}/EXPR_Recognition_Challenge": "annotations/EXPR_Set",
        f"{ROOT}/AU_Detection_Challenge": "annotations/AU_Set",
        "Train_Set": "Training_Set",
        "cropped_aligned/": "cropped_aligned/cropped_aligned/",
    }
    content = {}
    for path, data in files().items():
        for old, new in names.items():
            path = path.replace(old, new)
        content[path] = data
    write_files(tmp_path / "manual", content)
    assert record_bytes(build(Builder, "cropped", tmp_path / "manual", tmp_path / "data")) == record_bytes(cropped)


def test_long_clips_are_cut_and_keep_their_labels(tmp_path: Path) -> None:
    settings = FaceSettings(detector="none", size=16, max_frames=4)
    clips = stored(build(Builder, config(faces=settings), DUMMY_DATA, tmp_path))
    second = clips["1-30-1280x720#1"]
    assert second["frame_index"].tolist() == [4, 5]
    assert second["valence"].tolist() == [UNLABELLED, -10]
    assert second["emotion"].tolist() == [EMOTIONS.index("happy"), EMOTIONS.index("surprise")]
    assert second["split"] == clips["1-30-1280x720"]["split"]


def test_missing_and_broken_faces_are_counted(tmp_path: Path) -> None:
    content = files()
    content["cropped_aligned/video9/00002.jpg"] = b"\xff\xd8\xff broken"
    content[f"{ROOT}/VA_Estimation_Challenge/Train_Set/video77.txt"] = "valence,arousal\n0.1,0.1\n"
    write_files(tmp_path / "manual", content)
    builder = build(Builder, config(), tmp_path / "manual", tmp_path / "data")
    clips = stored(builder)
    assert clips["video9"]["face_found"].tolist() == [True, False, True]
    assert clips["video9"]["valence"].tolist() == [5, 6, 7]
    reasons = {skip.id: skip.reason for skip in read_skips(Path(builder.data_dir))}
    assert reasons["video77"] == "no folder in cropped_aligned"
    assert reasons["video9"].startswith("damaged, the rest is kept")


def test_a_wrong_label_ends_before_a_record_is_written(tmp_path: Path) -> None:
    content = files()
    name = f"{ROOT}/EXPR_Recognition_Challenge/Train_Set/1-30-1280x720.txt"
    content[name] = str(content[name]).replace("\n7\n", "\n9\n")
    write_files(tmp_path / "manual", content)
    with pytest.raises(InputError, match=r"1-30-1280x720\.txt, line 5 should have a code from -1 to 7"):
        build(Builder, "cropped", tmp_path / "manual", tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.tfrecord*"))


def test_videos_and_their_halves(tmp_path: Path) -> None:
    frames = [np.full((32, 64, 3), 60 + 5 * number, np.uint8) for number in range(5)]
    for frame in frames:
        frame[:, 32:] += 100
    video = encoded_video(frames)
    videos = {"batch1/4-30-1920x1080.avi": video, "new_vids/1-30-1280x720.avi": video, "batch2/video9.avi": video}
    write_files(tmp_path / "manual", {**annotations(), **videos})
    builder = build(Builder, config(frames="videos"), tmp_path / "manual", tmp_path / "data")
    clips = stored(builder)
    assert {name: len(clip["frames"]) for name, clip in clips.items()} == {
        "1-30-1280x720": 5,
        "4-30-1920x1080_left": 2,
        "4-30-1920x1080_right": 3,
        "video9": 3,
    }
    assert abs(clips["4-30-1920x1080_left"]["frames"][1].mean() - 65) < 4
    assert abs(clips["4-30-1920x1080_right"]["frames"][1].mean() - 165) < 4
    assert clips["1-30-1280x720"]["valence"].tolist() == [2, UNLABELLED, 10, 0, UNLABELLED]
    assert {skip.id: skip.reason for skip in read_skips(Path(builder.data_dir))}["video12"] == "no video file"
    without = Builder(data_dir=tmp_path, config=config(frames="videos", two_people="leave_out"))
    assert without.look(tmp_path / "manual") == {"train": 1, "validation": 1, "left out": 4}


def test_a_detector_finds_the_faces_in_videos(tmp_path: Path) -> None:
    scene = []
    for number in range(4):
        frame = np.full((200, 240, 3), 40, np.uint8)
        frame[20:180, 30 + 4 * number : 190 + 4 * number] = portrait(0)
        scene.append(frame)
    text = "valence,arousal\n0.1,0.2\n0.3,0.4\n0.5,0.6\n"
    write_files(tmp_path / "manual", {"VA_Set/Training_Set/a.txt": text, "a.avi": encoded_video(scene)})
    (clip,) = stored(build(Builder, "aligned", tmp_path / "manual", tmp_path / "data")).values()
    assert clip["face_found"].tolist() == [True] * 3
    assert clip["arousal"].tolist() == [2, 4, 6]
    # The same face, wherever it is in the frame.
    assert np.abs(clip["frames"][1:].astype(int) - clip["frames"][:1]).mean() < 12


def test_faces_are_looked_for_one_by_one(tmp_path: Path) -> None:
    write_files(tmp_path, faces())
    folder = tmp_path / "cropped_aligned/1-30-1280x720"
    found = NumberedFaces(folder, 5)
    assert list(found) == [folder / "00001.jpg", folder / "00002.jpg", folder / "00003.jpg", None, folder / "00005.jpg"]
    assert len(found) == 5
    assert folder / "00002.jpg" in found
    assert folder / "00004.jpg" not in found


def test_kinds_are_checked(tmp_path: Path) -> None:
    for kinds in ((), ("VA", "MTL")):
        with pytest.raises(InputError, match="kinds should be some of VA, EXPR, AU"):
            Builder(data_dir=tmp_path, config=config(kinds=kinds)).look(DUMMY_DATA)
    only = Builder(data_dir=tmp_path, config=config(kinds=("EXPR",))).look(DUMMY_DATA)
    assert only == {"train": 2, "validation": 1}
