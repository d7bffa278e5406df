"""What faces do between detections: cuts, the overlap of boxes, steady motion."""

import cv2
import numpy as np

#: Intersection over union from which a face is taken for one that was followed: half, as for detections in general,
#: where faces are to be interpolated, less where the next position is only looked for.
SAME_PLACE, NEARBY = 0.5, 0.2
#: Side of the grey thumbnails by which frames are compared, and the mean difference of their pixels, in [0, 255], that
#: is a cut.
THUMBNAIL, CUT = 32, 30.0
#: Standard deviations, in sides of the face and frames, at about 25 frames per second: of the centre of a detected box,
#: of the speed of a person not seen before (walking), of what the speed changes by in a frame.
JITTER, SPEED, ACCELERATION = 0.05, 0.3, 0.01


class Cuts:
    """Tells of each frame, shown in the order of time, whether it is unlike the one before it."""

    def __init__(self) -> None:
        self._before: tuple[tuple[int, ...], np.ndarray] | None = None

    def __call__(self, image: np.ndarray) -> bool:
        """Whether there is a cut right before `image` (H, W, C); another size is one. The first frame has none."""
        before, now = self._before, (image.shape, _thumbnail(image))
        self._before = now
        if before is None:
            return False
        return before[0] != now[0] or bool(np.abs(before[1] - now[1]).mean() > CUT)


class Motion:
    """Where a face is to be expected: a Kalman filter of its centre, with constant velocity and random acceleration.

    Source: Kalman, "A new approach to linear filtering and prediction problems", 1960, with the discretised white-noise
    acceleration of Bar-Shalom, Li & Kirubarajan, "Estimation with applications to tracking and navigation", 2001,
    section 6.2. Both coordinates share one covariance, in units of the face's side. The size is that of the last box.
    """

    def __init__(self, box: np.ndarray, time: int) -> None:
        """Starts with a face seen at `box` (4,) x, y, width, height in frame `time`."""
        self.time = time
        self._size = box[2:].astype(np.float64)
        self._state = np.stack([box[:2] + self._size / 2, np.zeros(2)])  # centre; velocity
        self._covariance = np.diag([JITTER**2, SPEED**2])

    def expected(self, time: int) -> np.ndarray:
        """(4,) the box in a later frame."""
        centre = self._state[0] + (time - self.time) * self._state[1]
        return np.concatenate([centre - self._size / 2, self._size])

    def uncertainty(self, time: int) -> float:
        """Standard deviation of the expected centre, in sides of the face."""
        return float(np.sqrt(self._forward(time - self.time)[0, 0]))

    def see(self, box: np.ndarray, time: int) -> None:
        """Takes in that the face was found at `box` in the later frame `time`."""
        covariance, elapsed = self._forward(time - self.time), time - self.time
        gain = covariance[:, :1] / (covariance[0, 0] + JITTER**2)
        state = np.stack([self._state[0] + elapsed * self._state[1], self._state[1]])
        self._state = state + gain * (box[:2] + box[2:] / 2 - state[0])
        self._covariance = covariance - gain * covariance[:1]
        self._size, self.time = box[2:].astype(np.float64), time

    def _forward(self, elapsed: int) -> np.ndarray:
        """(2, 2) the covariance `elapsed` frames later."""
        step = np.array([[1.0, elapsed], [0.0, 1.0]])
        drift = np.array([[elapsed**3 / 3, elapsed**2 / 2], [elapsed**2 / 2, elapsed]])
        return step @ self._covariance @ step.T + ACCELERATION**2 * drift


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(M, N) intersection over union of boxes (M, 4) and (N, 4) x, y, width, height; 0 for empty boxes."""
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    sides = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.maximum(sides, 0).prod(-1)
    union = a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - shared
    return shared / np.maximum(union, 1e-9)


def between(a: np.ndarray, b: np.ndarray, fraction: float) -> np.ndarray:
    """float32, `fraction` of the way from `a` to `b`; NaN stays NaN."""
    return (a + fraction * (b - a)).astype(np.float32)


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """(32, 32) grey; of large images every n-th pixel is averaged, which is several times faster and as good here."""
    step = max(min(image.shape[:2]) // (4 * THUMBNAIL), 1)
    return cv2.resize(image[::step, ::step], (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA).mean(-1)
