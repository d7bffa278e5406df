"""From a source to its clips: which frames, where the faces come from, how long ones are cut, in how much memory."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.faces.align import Alignment
from tfds_builders.base import aligned_clips
from tfds_builders.base.aligned_clips import PerFrame, clip_results
from tfds_builders.base.dummies import MARKS, encoded, encoded_video, landmarks68, marked, write_files
from tfds_builders.base.faces import FaceSettings
from tfds_builders.base.source import ClipSource, FrameFiles, Skip, VideoPart

WHOLE = FaceSettings(detector="none", size=16)
PER_FRAME = {"valence": PerFrame((), "int32", -99), "units": PerFrame((2,), "int8", -1)}
#: Grey levels of the quarters of a frame: upper left, upper right, lower left, lower right; frame t is t lighter.
QUARTERS = np.array([[20, 60], [100, 140]])


def results(frames: VideoPart | FrameFiles, settings: FaceSettings = WHOLE, **more: Any) -> list[Any]:
    source = ClipSource(split="train", id="a/1", recording="a", frames=frames, **more)
    return list(clip_results(source, settings=settings, per_frame=PER_FRAME, landmarks=5))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames of 64 x 32 pixels, 25 a second."""
    frames = [np.kron(QUARTERS + t, np.ones((16, 32)))[..., None].repeat(3, -1).astype(np.uint8) for t in range(10)]
    write_files(tmp_path, {"x.avi": encoded_video(frames)})
    return tmp_path / "x.avi"


def quarters(face: np.ndarray) -> np.ndarray:
    """(2, 2) grey levels of the quarters of (16, 16, 3); what lies above and below a wide frame is its border."""
    return face[[7, 8]][:, [4, 12], 0].astype(int)


def test_all_frames_of_a_video(video: Path) -> None:
    (clip,) = results(VideoPart(video))
    assert clip["frames"].shape == (10, 16, 16, 3)
    assert clip["frame_index"].tolist() == list(range(10))
    assert clip["face_found"].all()
    assert clip["fps"] == 25
    assert (clip["clip_id"], clip["recording"]) == ("a/1", "a")
    assert np.isnan(clip["landmarks"]).all()
    assert clip["landmarks"].shape == (10, 5, 2)
    for time, face in enumerate(clip["frames"]):
        assert np.abs(quarters(face) - QUARTERS - time).max() <= 6


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"start": 3, "stop": 5}, [3, 4]),
        ({"start": 8}, [8, 9]),
        ({"seconds": (0.08, 0.16)}, [2, 3]),
        ({"seconds": (0.0, 0.41)}, list(range(10))),
    ],
)
def test_parts_of_a_video(part: dict[str, Any], expected: list[int], video: Path) -> None:
    (clip,) = results(VideoPart(video, **part))
    assert clip["frame_index"].tolist() == expected
    assert np.abs(quarters(clip["frames"][0]) - QUARTERS - expected[0]).max() <= 6


def test_frames_are_turned_cropped_and_widened_in_this_order(video: Path) -> None:
    (turned,) = results(VideoPart(video, stop=1, turn=1))
    face = turned["frames"][0][[4, 12]][:, [7, 8], 0].astype(int)
    assert np.abs(face - np.rot90(QUARTERS, -1)).max() <= 6, "clockwise"
    (cropped,) = results(VideoPart(video, stop=1, turn=1, crop=(0.5, 0.0, 0.5, 0.5)))
    assert np.abs(cropped["frames"][0].astype(int) - QUARTERS[0, 0]).max() <= 6, "the upper right corner after turning"
    # The middle quarter of a frame of 64 x 32, 16 x 16, and widened to 32 x 16: rows repeat above and below.
    (widened,) = results(VideoPart(video, stop=1, crop=(0.375, 0.25, 0.25, 0.5), stretch=2.0))
    assert np.abs(quarters(widened["frames"][0]) - QUARTERS).max() <= 6
    assert (widened["frames"][0][0] == widened["frames"][0][3]).all()


def test_labels_of_a_frame_stand_at_its_number(video: Path) -> None:
    per_frame = {"valence": {4: 7, 6: -3}, "units": {5: np.array([1, 2])}}
    (clip,) = results(VideoPart(video, start=4, stop=7), per_frame=per_frame, subject="s", more={"group": "g"})
    assert clip["valence"].tolist() == [7, -99, -3]
    assert clip["valence"].dtype == np.int32
    assert clip["units"].tolist() == [[-1, -1], [1, 2], [-1, -1]]
    assert (clip["subject"], clip["group"]) == ("s", "g")
    assert "label" not in clip


def test_long_clips_are_cut_into_consecutive_ones(video: Path) -> None:
    settings = FaceSettings(detector="none", size=16, max_frames=4)
    clips = results(VideoPart(video), settings, per_frame={"valence": {t: t for t in range(10)}})
    assert [clip["clip_id"] for clip in clips] == ["a/1", "a/1#1", "a/1#2"]
    assert [clip["frame_index"].tolist() for clip in clips] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [clip["valence"].tolist() for clip in clips] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert {clip["recording"] for clip in clips} == {"a"}


def test_memory_does_not_grow_with_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(picture: Any) -> np.ndarray:
        return np.full((300, 400, 3), 60, np.uint8)

    monkeypatch.setattr(aligned_clips, "load_picture", load)

    def peak(length: int) -> int:
        frames = FrameFiles((Path("x.png"),) * length, tuple(range(length)), 25.0)
        source = ClipSource(split="train", id="a", recording="a", frames=frames)
        settings = FaceSettings(detector="none", size=64, max_frames=50)
        tracemalloc.start()
        count = sum(len(clip["frames"]) for clip in clip_results(source, settings=settings, per_frame={}, landmarks=5))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert count == length
        return used

    peak(100)  # what is imported and cached on the way counts in neither
    assert peak(400) < 1.15 * peak(100) < 10e6


def test_frames_that_are_missing_or_damaged_are_black(tmp_path: Path) -> None:
    picture = encoded(np.full((20, 20, 3), 90, np.uint8), ".png")
    write_files(tmp_path, {"0.png": picture, "1.png": picture[:50], "3.png": picture})
    files = FrameFiles((tmp_path / "0.png", tmp_path / "1.png", None, tmp_path / "3.png"), (0, 1, 2, 5), 10.0)
    clip, skip = results(files)
    assert clip["frame_index"].tolist() == [0, 1, 2, 5]
    assert clip["face_found"].tolist() == [True, False, False, True]
    assert clip["frames"].max((1, 2, 3)).tolist() == [90, 0, 0, 90]
    assert skip.reason.startswith("damaged, the rest is kept: The picture cannot be read")


def test_what_has_no_face_or_no_frame_is_left_out(video: Path, tmp_path: Path) -> None:
    write_files(tmp_path, {"broken.avi": b"no video"})
    reasons = {
        "no face in any frame": FrameFiles((None, None), (0, 1), 25.0),
        "no frame": VideoPart(video, start=5, stop=5),
        "cannot be read: ": VideoPart(tmp_path / "broken.avi"),
        "cannot be read: There is no such": VideoPart(tmp_path / "absent.avi"),
    }
    for reason, frames in reasons.items():
        (skip,) = results(frames)
        assert isinstance(skip, Skip)
        assert (skip.split, skip.id) == ("train", "a/1")
        assert skip.reason.startswith(reason)


def test_landmarks_of_the_data_set_align_without_a_detector(tmp_path: Path) -> None:
    five = Alignment(size=40).template.astype(np.float64) + 10
    write_files(tmp_path, {"x.png": encoded(marked(five, level=30, shape=(64, 64, 3)), ".png")})
    source = ClipSource(
        split="train",
        id="a",
        recording="a",
        frames=FrameFiles((tmp_path / "x.png",) * 3, (0, 1, 2), 25.0),
        # Frame 1 has none, and those of frame 2 are all in one place: both are without a face.
        landmarks={0: landmarks68(five), 2: np.zeros((68, 2))},
    )
    settings = FaceSettings(size=112, channels=1)
    (clip,) = clip_results(source, settings=settings, per_frame={}, landmarks=68)
    assert clip["frames"].shape == (3, 112, 112, 1)
    assert clip["face_found"].tolist() == [True, False, False]
    assert np.isnan(clip["landmarks"][1:]).all()
    np.testing.assert_allclose(clip["landmarks"][0, [36, 42, 30, 48, 54]], Alignment().template, atol=0.1)
    for (x, y), grey in zip(Alignment().template.round().astype(int), MARKS, strict=True):
        assert abs(int(clip["frames"][0, y, x, 0]) - grey) <= 14


def test_faces_of_a_file(video: Path, tmp_path: Path) -> None:
    # The upper right quarter in frames 2 to 4, where another face is farther from the middle; nothing elsewhere.
    rows = [f"elsewhere/a,32,0,16,16,{frame}" for frame in (2, 3, 4)] + ["elsewhere/a,0,0,4,4,3"]
    (tmp_path / "boxes.csv").write_text("\n".join(["source,x,y,width,height,frame", *rows]) + "\n")
    settings = FaceSettings(detector="boxes", model_file=str(tmp_path / "boxes.csv"), size=16)
    (clip,) = results(VideoPart(video), settings)
    assert clip["face_found"].tolist() == [False, False, True, True, True, *[False] * 5]
    for time in (2, 3, 4):
        assert np.abs(clip["frames"][time].astype(int) - QUARTERS[0, 1] - time).max() <= 6
    assert not clip["frames"][5].any()
