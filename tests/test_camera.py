"""The camera, with one that is made up."""

import threading
import time

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.prediction.camera import camera_frames


class FakeCapture:
    """Gives `frames` pictures, blue with their number in red, one each time it is told to, or all at once."""

    def __init__(self, frames: int, *, opened: bool = True, at_once: bool = True) -> None:
        self.frames, self.opened, self.released = frames, opened, False
        self.given = 0
        self.ready = threading.Semaphore(frames + 1 if at_once else 0)

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def read(self) -> tuple[bool, np.ndarray]:
        if not self.ready.acquire(timeout=5) or self.given == self.frames:
            return False, np.zeros(0)
        image = np.zeros((4, 6, 3), np.uint8)
        image[...] = (255, 0, self.given % 256)  # blue, green, red
        self.given += 1
        return True, image

    def release(self) -> None:
        self.released = True


def test_frames_come_one_by_one_in_rgb_with_their_time() -> None:
    capture = FakeCapture(3, at_once=False)
    frames = camera_frames(0, open_capture=lambda number: capture)
    seen = []
    for _ in range(3):
        capture.ready.release()
        seen.append(next(frames))
        time.sleep(0.01)
    capture.ready.release()
    assert next(frames, None) is None
    assert [frame.index for frame in seen] == [0, 1, 2]
    assert [frame.image[0, 0].tolist() for frame in seen] == [[0, 0, 255], [1, 0, 255], [2, 0, 255]]
    assert seen[0].time_s == 0
    assert 0.01 <= seen[1].time_s < seen[2].time_s
    assert capture.released


def test_a_slow_user_gets_the_newest_frame() -> None:
    capture = FakeCapture(50, at_once=False)
    frames = camera_frames(0, open_capture=lambda number: capture)
    capture.ready.release()
    assert next(frames).index == 0
    capture.ready.release(30)
    until = time.monotonic() + 5
    while capture.given < 31 and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.05)  # the last picture is given; now it is kept
    assert next(frames).index == 30
    capture.ready.release(20)
    frames.close()


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_the_camera_is_released_whatever_happens(error: type[BaseException]) -> None:
    capture = FakeCapture(10**6)
    frames = camera_frames(0, open_capture=lambda number: capture)
    next(frames)
    with pytest.raises(error):
        frames.throw(error())
    assert capture.released
    assert not [thread for thread in threading.enumerate() if thread.name == "camera"]


def test_no_camera() -> None:
    closed = FakeCapture(0, opened=False)
    with pytest.raises(InputError, match=r"cannot be opened\. Received: 7\."):
        next(camera_frames(7, open_capture=lambda number: closed))
    assert closed.released
    with pytest.raises(InputError, match="cannot be opened"):
        next(camera_frames(-1, open_capture=lambda number: FakeCapture(1)))
    blind = FakeCapture(0)
    with pytest.raises(InputError, match="gives no picture"):
        next(camera_frames(0, open_capture=lambda number: blind))
    assert blind.released


def test_a_missing_camera_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        next(camera_frames(98))
    assert capfd.readouterr().err == ""
