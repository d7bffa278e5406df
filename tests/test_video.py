"""Reading videos: every frame has its own number, time and pixels, whatever the format; damage is told and survived."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from ferkeras import video as video_module
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.video import Frame, open_video
from tests.make_video import UNEVEN_MS, number_of, numbered, spoil_packet, truncate, write_sound, write_video

FORMATS = [
    ("libx264", 2, "mp4"),
    ("libx264", 2, "mkv"),
    ("libx264", 2, "ts"),
    ("libx264", 2, "avi"),
    ("libx264", 0, "mov"),
    ("mpeg4", 2, "mp4"),
    ("mpeg4", 2, "avi"),
    ("mpeg4", 0, "avi"),
    ("libvpx", 0, "webm"),
    ("mpeg2video", 2, "mpg"),
]
#: Those of them that may have a variable frame rate.
VARIABLE = ("mp4", "mov", "mkv", "webm", "ts")


def read(path: Path, *arguments: int) -> list[Frame]:
    with open_video(path) as video:
        return list(video.frames(*arguments))


def numbers(frames: list[Frame]) -> list[int]:
    """What is written in the frames; checks on the way that it is what their index says."""
    assert [frame.index for frame in frames] == [number_of(frame.image) for frame in frames]
    return [frame.index for frame in frames]


# --- number, time and pixels ---


@pytest.mark.parametrize(
    ("codec", "b_frames", "suffix", "durations_ms"),
    [(*each, ()) for each in FORMATS] + [(*each, UNEVEN_MS) for each in FORMATS if each[2] in VARIABLE],
)
def test_number_time_and_pixels_also_after_seeking(
    tmp_path: Path, codec: str, b_frames: int, suffix: str, durations_ms: tuple[int, ...]
) -> None:
    path = tmp_path / f"video.{suffix}"
    times = write_video(path, codec=codec, b_frames=b_frames, durations_ms=durations_ms)
    with open_video(path) as video:
        frames = list(video.frames())
        assert numbers(frames) == list(range(60))
        assert [frame.time_s for frame in frames] == pytest.approx(times, abs=1e-4)
        for start in (1, 19, 20, 21, 22, 39, 40, 59):
            for again, frame in zip(video.frames(start), frames[start : start + 3], strict=False):
                assert (again.index, again.time_s) == (frame.index, frame.time_s)
                np.testing.assert_array_equal(again.image, frame.image)
        assert numbers(list(video.frames(17, 50, 8))) == [17, 25, 33, 41, 49]
        assert not video.problems
        assert video.info.frames == 60
        assert video.info.fps == pytest.approx(59 / times[-1])
        assert video.info.duration_s == pytest.approx(times[-1] * 60 / 59)


def test_seeking_does_not_decode_from_the_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the equality above would say nothing about it."""
    path = tmp_path / "video.mp4"
    write_video(path, frames=100)
    decoded = 0

    def counting(*arguments: object) -> Iterator[object]:
        nonlocal decoded
        for frame in original(*arguments):
            decoded += 1
            yield frame

    with open_video(path) as video:
        original = video_module._decode
        monkeypatch.setattr(video_module, "_decode", counting)
        assert numbers(list(video.frames(90))) == list(range(90, 100))
        assert decoded == 20  # from the key frame 80 on


def test_frames_are_the_pictures_that_were_written(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=5)
    for frame in read(path):
        assert frame.image.shape == (64, 96, 3)
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        assert np.abs(frame.image.astype(int) - numbered(frame.index)).mean() < 3


def test_colours_are_red_green_blue(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=2, picture=lambda index: np.full((64, 96, 3), (200, 100, 50), np.uint8))
    np.testing.assert_allclose(read(path)[0].image.mean((0, 1)), (200, 100, 50), atol=4)


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_turned_videos_are_upright(tmp_path: Path, turned: int) -> None:
    """OpenCV, with an FFmpeg of its own, turns them too."""
    path = tmp_path / "video.mp4"
    write_video(path, frames=3, turned=turned)
    with open_video(path) as video:
        frame = next(video.frames())
        assert video.info.rotation == turned
        assert frame.image.shape == (video.info.height, video.info.width, 3)
    success, expected = cv2.VideoCapture(str(path)).read()
    assert success
    np.testing.assert_allclose(frame.image, expected[..., ::-1], atol=3)
    np.testing.assert_allclose(frame.image, np.rot90(numbered(0), turned // 90), atol=40)


def test_frames_before_the_start_that_the_file_names_do_not_count(tmp_path: Path) -> None:
    """Phones and cutting tools leave such frames in, for the sake of those that build on them."""
    path = tmp_path / "video.mp4"
    write_video(path, first_ms=-200)
    with open_video(path) as video:
        frames = list(video.frames())
        assert [number_of(frame.image) for frame in frames] == list(range(5, 60))
        assert [frame.index for frame in frames] == list(range(55))
        assert frames[0].time_s == 0
        assert number_of(next(video.frames(30)).image) == 35


def test_time_counts_from_the_first_frame(tmp_path: Path) -> None:
    path = tmp_path / "video.ts"
    times = write_video(path, first_ms=4000)
    assert [frame.time_s for frame in read(path)] == pytest.approx(times, abs=1e-4)


def test_between_is_half_open(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=30, durations_ms=UNEVEN_MS)  # shown at 0, 0.040, 0.047, 0.140, 0.173 s, ...
    with open_video(path) as video:
        assert video.between(0.04, 0.14) == (1, 3)
        assert video.between(0.041, 0.141) == (2, 4)
        assert video.between(0.0, 1e9) == (0, 30)
        assert video.between(50.0, 60.0) == (30, 30)


def test_ranges(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=12)
    assert numbers(read(path, 5, 100)) == list(range(5, 12))
    assert read(path, 5, 5) == read(path, 12) == read(path, 400, 500) == []
    with open_video(path) as video:
        for wrong in ((-1, 5, 1), (0, 5, 0)):
            with pytest.raises(InputError, match="at least"):
                video.frames(*wrong)
        unfinished = video.frames()
        assert next(unfinished).index == 0
        assert next(video.frames(7)).index == 7  # readers do not disturb each other
        assert next(unfinished).index == 1
    assert list(unfinished) == []  # closed with the video


def test_memory_does_not_grow(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    large = [np.kron(numbered(index), np.ones((8, 10, 1), np.uint8)) for index in range(2)]
    write_video(path, frames=300, picture=lambda index: large[index % 2])
    process, resident = psutil.Process(), {}
    with open_video(path) as video:
        for frame in video.frames():
            if frame.index in (50, 299):
                resident[frame.index] = process.memory_info().rss
    assert resident[299] - resident[50] < 10 * frame.image.nbytes  # of 250


# --- damage ---


@pytest.mark.parametrize(("codec", "b_frames", "suffix"), [f for f in FORMATS if f[2] in ("mp4", "mkv", "webm")])
@pytest.mark.parametrize("packet", [0, 20, 25])
def test_what_builds_on_a_damaged_packet_is_left_out_and_told(
    tmp_path: Path, codec: str, b_frames: int, suffix: str, packet: int
) -> None:
    path, spoilt = tmp_path / f"video.{suffix}", tmp_path / f"spoilt.{suffix}"
    write_video(path, codec=codec, b_frames=b_frames)
    spoil_packet(path, spoilt, packet)
    whole = read(path)
    with open_video(spoilt) as video:
        kept = list(video.frames())
        list(video.frames())  # tells nothing twice
        assert len(video.problems) == 1
    missing = sorted(set(range(60)) - set(numbers(kept)))
    assert missing == list(range(missing[0], missing[-1] + 1))
    assert f"frames {missing[0]} to {missing[-1]} " in video.problems[0]
    assert packet - b_frames <= missing[-1]
    assert missing[0] <= packet + b_frames
    assert len(missing) <= 20 + b_frames  # one group of pictures
    for frame in kept:
        assert np.abs(frame.image.astype(int) - whole[frame.index].image).max() == 0


def test_damage_in_avi_with_b_frames_is_told_to_change_numbers(tmp_path: Path) -> None:
    path, spoilt = tmp_path / "video.avi", tmp_path / "spoilt.avi"
    write_video(path, codec="mpeg4", b_frames=2)
    spoil_packet(path, spoilt, 25)
    with open_video(spoilt) as video:
        assert len(list(video.frames())) >= 40
        assert any("numbers may be wrong" in problem for problem in video.problems)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", "mp4"), ("libx264", "mkv"), ("libvpx", "webm"), ("mpeg4", "avi")]
)
def test_of_a_truncated_file_the_beginning_is_kept(tmp_path: Path, codec: str, suffix: str) -> None:
    path, short = tmp_path / f"video.{suffix}", tmp_path / f"short.{suffix}"
    write_video(path, codec=codec, b_frames=0, faststart=suffix == "mp4")
    truncate(path, short, 0.6)
    with open_video(short) as video:
        kept = numbers(list(video.frames()))
        assert kept == list(range(len(kept)))
        assert 20 <= len(kept) <= 40
        assert video.problems


def test_a_pause_in_the_time_stamps_is_told(tmp_path: Path) -> None:
    path = tmp_path / "video.mkv"
    write_video(path, durations_ms=(40,) * 30 + (2000,), frames=60)
    with open_video(path) as video:
        assert video.problems == ["there is no frame between 1.20 s and 3.20 s"]
        assert len(list(video.frames())) == 60


# --- what is no video ---


def test_files_that_are_no_video(tmp_path: Path) -> None:
    text, empty, sound, picture = (tmp_path / name for name in ("text.mp4", "empty.mp4", "sound.mp4", "picture.png"))
    text.write_text("not a video\n" * 100)
    empty.touch()
    write_sound(sound)
    cv2.imwrite(str(picture), numbered(0))
    for path, words in (
        (text, "cannot be read"),
        (empty, "cannot be read"),
        (sound, "no pictures"),
        (picture, "still"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            open_video(path)
        assert str(path) in str(caught.value)
    for path in (tmp_path / "missing.mp4", tmp_path):
        with pytest.raises(InputError, match="no such video file"):
            open_video(path)


def test_a_file_without_its_index_or_first_picture(tmp_path: Path) -> None:
    path, short = tmp_path / "video.mp4", tmp_path / "short.mp4"
    write_video(path)
    truncate(path, short, 0.6)  # the index of an MP4 stands at its end
    with pytest.raises(InputError, match="cannot be read"):
        open_video(short)


def test_frames_larger_than_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, frames=2)
    monkeypatch.setattr(video_module, "MAX_PIXELS", 96 * 64 - 1)
    with pytest.raises(InputError, match="96x64"):
        open_video(path)


def test_without_pyav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "video.mp4"
    path.touch()
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"ferkeras\[video\]"):
        open_video(path)
