"""The valence-arousal plane as an inset: where each face is, and the way it came in the last seconds."""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from ferkeras.annotation.lettering import Colour, Lettering, shade
from ferkeras.annotation.place import Area

#: Light of the axes, and of a trail's oldest end, in [0, 255].
AXES, FADED = 150, 60
FRACTION_BITS = 4  # OpenCV draws at fractions of a pixel if told how many bits they have


class Trails:
    """Valence and arousal of each track over the last seconds.

    Args:
        seconds: Length of a trail.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._points: dict[int, deque[tuple[float, float, float]]] = {}

    def add(self, track_id: int, time_s: float, valence: float, arousal: float) -> None:
        self._points.setdefault(track_id, deque()).append((time_s, valence, arousal))

    def forget(self, now_s: float) -> None:
        """Drops what is older than a trail is long, and tracks of which nothing is left."""
        for points in self._points.values():
            while points and not now_s - self._seconds <= points[0][0] <= now_s:
                points.popleft()
        self._points = {track: points for track, points in self._points.items() if points}

    def of(self, track_id: int, now_s: float) -> list[tuple[float, float, float]]:
        """Oldest first: age as a share of the trail's length, valence, arousal."""
        points = self._points.get(track_id, ())
        return [((now_s - time) / self._seconds, valence, arousal) for time, valence, arousal in points]


def draw_plane(canvas: np.ndarray, area: Area, text: Lettering) -> None:
    """The empty plane, -1 to 1 both ways, on (H, W, 3) uint8."""
    shade(canvas, *area)
    grey = (AXES,) * 3
    (left, top), (right, bottom) = _pixel(area, -1, 1), _pixel(area, 1, -1)
    (middle_x, middle_y) = _pixel(area, 0, 0)
    cv2.rectangle(canvas, (left, top), (right, bottom), grey, 1, cv2.LINE_AA, FRACTION_BITS)
    cv2.line(canvas, (left, middle_y), (right, middle_y), grey, 1, cv2.LINE_AA, FRACTION_BITS)
    cv2.line(canvas, (middle_x, top), (middle_x, bottom), grey, 1, cv2.LINE_AA, FRACTION_BITS)
    words, edge = "valence", area.width // 10
    foot = min(area.y + area.height - edge, area.y + area.height - text.height)
    text.write(canvas, words, area.x + area.width - edge - text.width(words), foot)
    text.write(canvas, "arousal", area.x + edge, max(area.y, area.y + edge - text.height))


def draw_point(
    canvas: np.ndarray,
    area: Area,
    valence: float,
    arousal: float,
    trail: Sequence[tuple[float, float, float]],
    colour: Colour,
) -> tuple[int, int]:
    """One face in the plane, and its trail from `Trails.of`; where the point is, in pixels."""
    thick = max(1, area.width // 60)
    for (age, *start), (_, *end) in pairwise(trail):
        faded = tuple(round(FADED + (value - FADED) * (1 - age)) for value in colour)
        cv2.line(canvas, _pixel(area, *start), _pixel(area, *end), faded, thick, cv2.LINE_AA, FRACTION_BITS)
    place, radius = _pixel(area, valence, arousal), max(3, area.width // 28) << FRACTION_BITS
    cv2.circle(canvas, place, radius + (1 << FRACTION_BITS), (0, 0, 0), -1, cv2.LINE_AA, FRACTION_BITS)
    cv2.circle(canvas, place, radius, colour, -1, cv2.LINE_AA, FRACTION_BITS)
    return place[0] >> FRACTION_BITS, place[1] >> FRACTION_BITS


def _pixel(area: Area, valence: float, arousal: float) -> tuple[int, int]:
    """Fixed-point x and y of a point in the plane, arousal upward."""
    margin = area.width / 10
    half = area.width / 2 - margin
    x = area.x + margin + half * (1 + min(max(valence, -1.0), 1.0))
    y = area.y + margin + half * (1 - min(max(arousal, -1.0), 1.0))
    return round(x * (1 << FRACTION_BITS)), round(y * (1 << FRACTION_BITS))
