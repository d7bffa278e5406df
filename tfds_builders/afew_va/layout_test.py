"""Which clips of AFEW-VA are found, how annotations are read, and what becomes of broken ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.errors import InputError
from tfds_builders.afew_va.annotation import parse_annotation
from tfds_builders.afew_va.layout import Clip, read_clips
from tfds_builders.afew_va.make_dummy_data import CLIPS, annotation, files, level
from tfds_builders.base.dummies import write_files
from tfds_builders.base.listing import list_files
from tfds_builders.base.source import Skip


def read(root: Path, content: dict[str, bytes]) -> tuple[dict[str, Clip], dict[str, str]]:
    """Clips by number, and reasons of skips by number."""
    write_files(root, content)
    results = list(read_clips(list_files(root)))
    skips = {result.id: result.reason for result in results if isinstance(result, Skip)}
    return {result.id: result for result in results if isinstance(result, Clip)}, skips


def changed(change: dict[str, Any], *, frame: dict[str, Any] | None = None) -> bytes:
    """The annotation of the first clip with other values, and another frame 2."""
    said = annotation(CLIPS[0]) | change
    if frame is not None:
        said["frames"]["00002"] = {k: v for k, v in (said["frames"]["00002"] | frame).items() if v != "gone"}
    return json.dumps(said).encode()


def test_case_and_strays_do_not_matter(tmp_path: Path) -> None:
    content = {f"AFEW-VA/{path.replace('.png', '.PNG')}": data for path, data in files().items()}
    clips, skips = read(tmp_path, content | {"AFEW-VA/01/.DS_Store": b"", "AFEW-VA/01/001/Thumbs.db": b""})
    assert [(name, list(clip.pictures)) for name, clip in clips.items()] == [
        (clip.id, list(range(len(clip.valence)))) for clip in CLIPS
    ]
    assert skips == {}


def test_clips_without_annotation_picture_or_actor_are_left_out(tmp_path: Path) -> None:
    content = files()
    del content["01/002/002.json"]
    content = {path: data for path, data in content.items() if not path.startswith("02/051/0000")}
    content["12/600/600.json"] = content["12/600/600.json"].replace(b"Cy Poe", b" ")
    clips, skips = read(tmp_path, content)
    assert list(clips) == ["001"]
    assert skips == {
        "002": "cannot be read: the annotation is missing",
        "051": "cannot be read: there is no picture",
        "600": "no actor is named",
    }


def test_a_clip_twice_or_in_a_wrong_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"clip 001 should lie there once\. Received: 001 and 01/001\. Remove one"):
        read(tmp_path / "twice", files() | files(CLIPS[:1], nested=False))
    content = files()
    content["01/001/002.json"] = content.pop("01/002/002.json")
    with pytest.raises(InputError, match=r"annotation in 001 should be 001\.json"):
        read(tmp_path / "folder", content)
    content = files()
    content["01/001/001.json"] = content["01/002/002.json"]
    with pytest.raises(InputError, match=r"01/001/001\.json should be of clip 001\. Received: 002"):
        read(tmp_path / "id", content)


def test_other_data_sets_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use the data set afew"):
        read(tmp_path / "afew", {"Train_AFEW/Angry/013736360.avi": b""})
    with pytest.raises(InputError, match="Cut-out faces alone"):
        read(tmp_path / "cropped", {"001_cropped/00000.png": b""})
    with pytest.raises(InputError, match=r"there should be 01/001/001\.json.*Received: notes\.txt"):
        read(tmp_path / "other", {"notes.txt": b""})


def test_number_and_whole_floats_are_read() -> None:
    said = parse_annotation(changed({"video_id": 1}, frame={"valence": 3.0, "arousal": -10.0}), where="x")
    assert said.video_id == "1"
    assert list(said.valence) == [0, 1, 2, 3]
    assert (said.valence[2], said.arousal[2]) == (3, -10)
    assert type(said.valence[2]) is int


@pytest.mark.parametrize("points", [[], None, "gone"])
def test_a_frame_may_be_without_landmarks(points: Any) -> None:
    said = parse_annotation(changed({}, frame={"landmarks": points}), where="x")
    assert list(said.landmarks) == [0, 1, 3]


@pytest.mark.parametrize("name", ["valence", "arousal"])
@pytest.mark.parametrize("value", [11, -11, 2.5, "3", None, True, [1], float("nan"), float("inf"), 10**400, "gone"])
def test_a_wrong_label_is_an_error_that_names_its_frame(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"x\.json, frame 00002 should have {name}, an integer from -10 to 10"):
        parse_annotation(changed({}, frame={name: value}), where="x.json")


@pytest.mark.parametrize(
    "points",
    [[[1, 2]] * 67, [[1, 2]] * 69, [[1, 2, 3]] * 68, [[1, None]] * 68, [[1, float("nan")]] * 68, [1] * 136, {"a": 1}],
)
def test_wrong_landmarks_are_an_error_that_names_its_frame(points: Any) -> None:
    with pytest.raises(InputError, match=r"x\.json, frame 00002 should have 68 landmarks"):
        parse_annotation(changed({}, frame={"landmarks": points}), where="x.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x.json cannot be read"),
        (b'{"actor": "A", "frames"', "x.json cannot be read"),
        (b"\xff\xff", "x.json cannot be read"),
        (b"[" * 100_000, "x.json cannot be read"),
        (b'{"actor": "A", "actor": "B", "frames": {}}', "a key is there twice"),
        (b"[]", "should have actor, video_id and frames"),
        (b'{"frames": []}', "should have actor, video_id and frames"),
        (b'{"frames": {"a": {}}}', "one number for each frame"),
        (b'{"frames": {"00001": {"valence": 1}, "1": {}}}', "one number for each frame"),
        (b'{"frames": {"00001": 3}}', "frame 00001 should have"),
    ],
)
def test_a_broken_annotation_is_an_error(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_annotation(data, where="x.json")


def test_every_frame_of_the_dummies_is_told_by_its_grey_level() -> None:
    levels = [level(clip, number) for clip in CLIPS for number in range(len(clip.valence))]
    assert len(set(levels)) == len(levels)


values = st.integers(-10, 10)
points = st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 2), min_size=68, max_size=68)


@given(st.dictionaries(st.integers(0, 99_999), st.tuples(values, values, points), max_size=4), st.randoms())
def test_annotations_are_read_back_in_the_order_of_time(frames: dict[int, Any], random: Any) -> None:
    keys = list(frames)
    random.shuffle(keys)
    said = {f"{key:05d}": dict(zip(("valence", "arousal", "landmarks"), frames[key], strict=True)) for key in keys}
    data = json.dumps({"actor": "A", "video_id": "001", "frames": said}).encode()
    read_back = parse_annotation(data, where="x")
    assert list(read_back.valence) == sorted(frames)
    for number, (valence, arousal, landmarks) in frames.items():
        assert (read_back.valence[number], read_back.arousal[number]) == (valence, arousal)
        np.testing.assert_array_equal(read_back.landmarks[number], landmarks)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(["root", "frames", "frame", "landmarks"]))
def test_any_other_json_is_an_error_or_has_legal_labels(value: Any, place: str) -> None:
    frame = {"valence": 1, "arousal": 2, "landmarks": value}
    said = {
        "root": value,
        "frames": {"frames": value},
        "frame": {"frames": {"00000": value}},
        "landmarks": {"frames": {"00000": frame}},
    }[place]
    try:
        read_back = parse_annotation(json.dumps(said).encode(), where="x")
    except InputError:
        return
    assert all(-10 <= label <= 10 for label in [*read_back.valence.values(), *read_back.arousal.values()])
    assert all(landmarks.shape == (68, 2) for landmarks in read_back.landmarks.values())
