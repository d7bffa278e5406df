"""Parts and single frames of videos, and values of many frames."""

from pathlib import Path

import numpy as np
import pytest

from ferkeras.errors import InputError
from tfds_builders.base.dummies import encoded_video
from tfds_builders.base.pictures import load_picture
from tfds_builders.base.source import FrameValues, VideoFrame, VideoPart
from tfds_builders.base.videos import read_part


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames of growing brightness, the left half darker by 10 and the top half by 4."""
    frames = [np.full((32, 64, 3), 40 + 20 * number, np.uint8) for number in range(10)]
    for frame in frames:
        frame[:, :32] -= 10
        frame[:16] -= 4
    path = tmp_path / "x.avi"
    path.write_bytes(encoded_video(frames))
    return path


def test_single_frames_in_any_order(video: Path) -> None:
    part = VideoPart(video, crop=(0.5, 0.5, 0.5, 0.5))
    for number in (0, 1, 5, 9, 2, 2, 8):
        image = load_picture(VideoFrame(part, number))
        assert image.shape == (16, 32, 3)
        assert abs(image.mean() - (40 + 20 * number)) < 2
    with pytest.raises(InputError, match=r"no such frame, or it is damaged\. Received: frame 10 of x\.avi"):
        load_picture(VideoFrame(part, 10))
    assert abs(load_picture(VideoFrame(part, 3)).mean() - 100) < 2


def test_single_frames_are_turned_and_cropped_like_parts(video: Path) -> None:
    part = VideoPart(video, start=4, stop=5, turn=1, crop=(0.0, 0.0, 0.5, 0.5), stretch=2.0)
    (expected,) = read_part(part, [])
    assert expected.image.shape == (32, 32, 3)
    np.testing.assert_array_equal(load_picture(VideoFrame(part, 4)), expected.image)
    # Clockwise, the lower left quarter comes to the upper left.
    assert abs(expected.image.mean() - 110) < 2


def test_a_part_beyond_the_end_is_told(video: Path) -> None:
    told = []
    for part in (
        VideoPart(video, stop=11),
        VideoPart(video, stop=12),
        VideoPart(video, seconds=(0.2, 0.43)),
        VideoPart(video, seconds=(0.2, 0.5)),
    ):
        problems: list[str] = []
        assert list(read_part(part, problems))[-1].index == 9
        told.append(problems)
    assert told == [
        [],
        ["the video ends after 10 frames, the part after 12"],
        [],
        ["the video ends at 0.40 s, the part at 0.50 s"],
    ]


def test_values_of_frames() -> None:
    values = FrameValues(np.array([3, 1, 2]))
    assert dict(values) == {0: 3, 1: 1, 2: 2}
    assert [values.get(frame, -1) for frame in (-1, 0, 2, 3)] == [-1, 3, 2, -1]
    held = FrameValues(np.array([3, 1, 2]), hold=True)
    assert [held.get(frame, -1) for frame in (-1, 0, 2, 3, 1000)] == [-1, 3, 2, 2, 2]
    assert FrameValues(np.array([]), hold=True).get(0) is None
