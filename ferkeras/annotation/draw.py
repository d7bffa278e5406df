"""Results drawn on the picture: boxes with captions, bars for the classes, the valence-arousal plane."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from ferkeras.annotation.lettering import WHITE, Colour, Lettering, shade
from ferkeras.annotation.place import Area, beside, corners, within
from ferkeras.annotation.plane import Trails, draw_plane, draw_point
from ferkeras.errors import InputError
from ferkeras.prediction.result import UNCERTAIN, FaceResult, FrameResult, Scores

#: Okabe and Ito, 2008, without black: told apart by colour-blind readers. The number of the track stands at each box.
PALETTE: tuple[Colour, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (213, 94, 0), (204, 121, 167), (0, 114, 178),
)  # fmt: skip
#: The picture's shorter side over the height of the letters, and the least height that can be read, in pixels.
LETTERS, SMALLEST = 40, 11
#: Largest part of its own face that the bars may hide, where the face leaves no other place.
HIDDEN = 0.3


def draw(image: np.ndarray, result: FrameResult, *, labels: Sequence[str]) -> np.ndarray:
    """One picture with its faces annotated, on its own; for frames of a video use one `Annotator`.

    Args:
        image: (H, W, 1 or 3) uint8, grey or RGB, in which the faces are.
        result: Its faces.
        labels: K names of the emotions; none for a network without classes.

    Returns:
        (H, W, 3) uint8 RGB, a copy.
    """
    return Annotator(labels).draw(image, result.faces, time_s=result.time_s)


class Annotator:
    """Draws one frame after the other; panels stay on their side while it is free, and trails grow.

    Each face has a box and a caption `#track emotion probability`, the scores of its classes as bars beside it where
    there is room, and a point in the valence-arousal plane in a corner. Letters and lines grow with the picture.

    Args:
        labels: K names of the emotions; none for a network without classes.
        trail_s: Seconds of valence and arousal that are shown.
    """

    def __init__(self, labels: Sequence[str], *, trail_s: float = 3.0) -> None:
        self.labels = tuple(labels)
        self._trails = Trails(trail_s)
        self._sides: dict[int, str] = {}
        self._corner = ""
        self._letters: tuple[int, Lettering, Lettering] | None = None

    def __call__(self, result: FrameResult) -> np.ndarray:
        """The frame's own image, annotated: (H, W, 3) uint8 RGB, a copy.

        Raises:
            InputError: for a result without an image.
        """
        if result.image is None:
            raise InputError("There is no image to annotate", received=f"{result.source}, frame {result.frame}")
        return self.draw(result.image, result.faces, time_s=result.time_s)

    def draw(self, image: np.ndarray, faces: Sequence[FaceResult], *, time_s: float | None = None) -> np.ndarray:
        """See `draw`, the function; `time_s` is that of the frame, None for a picture."""
        canvas = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image.copy()
        size = max(SMALLEST, round(min(canvas.shape[:2]) / LETTERS))
        if self._letters is None or self._letters[0] != size:
            self._letters = size, Lettering(size), Lettering(max(SMALLEST - 1, round(0.8 * size)))
        _, large, small = self._letters
        boxes = {face.face.track_id: _box(face, *canvas.shape[:2]) for face in faces}
        taken = [area for face in faces for area in self._outline(canvas, face, boxes, large)]
        points = {face.face.track_id: face.scores for face in faces if face.scores and face.scores.valence is not None}
        if points:
            taken.append(self._plane(canvas, points, taken, time_s, small))
        for face in sorted(faces, key=lambda face: -float(face.face.box[2])):
            if face.scores is not None and face.scores.probabilities is not None:
                self._bars(canvas, face, face.scores.probabilities, boxes[face.face.track_id], taken, small)
        self._sides = {track: side for track, side in self._sides.items() if track in boxes}
        return canvas

    def _outline(
        self, canvas: np.ndarray, face: FaceResult, boxes: Mapping[int, Area], text: Lettering
    ) -> tuple[Area, Area]:
        """Box and caption, and where they are."""
        box, colour, thick = boxes[face.face.track_id], colour_of(face.face.track_id), max(1, text.height // 10)
        corner = (box.x, box.y), (box.x + box.width, box.y + box.height)
        cv2.rectangle(canvas, *corner, (0, 0, 0), thick + 2)
        cv2.rectangle(canvas, *corner, colour, thick)
        words = caption(face, self.labels)
        height, width = canvas.shape[:2]
        above = Area(box.x, box.y - text.height - thick, text.width(words), text.height)
        below = above._replace(y=box.y + box.height + thick)
        place = above if above.y >= 0 else below if below.y + below.height <= height else above._replace(y=box.y)
        place = within(place, width, height)
        shade(canvas, *place)
        text.write(canvas, words, place.x, place.y)
        return box, place

    def _bars(
        self, canvas: np.ndarray, face: FaceResult, values: np.ndarray, box: Area, taken: list[Area], text: Lettering
    ) -> None:
        """A bar from 0 to 1 for each class, the caption's in the colour of the track."""
        gap = max(2, text.height // 4)
        names = max(text.width(name) for name in self.labels)
        length = 4 * text.height
        size = names + length + 3 * gap, text.height * len(self.labels) + 2 * gap
        area = self._side(canvas, face.face.track_id, beside(box, *size, gap=gap, head=2 * text.height), box, taken)
        if area is None:
            return
        taken.append(area)
        shade(canvas, *area)
        colour = colour_of(face.face.track_id)
        left = area.x + names + 2 * gap
        for row, (name, value) in enumerate(zip(self.labels, values, strict=True)):
            top = area.y + gap + row * text.height
            chosen = name == face.emotion
            text.write(canvas, name, area.x + gap, top, colour if chosen else WHITE)
            canvas[top + gap : top + text.height - gap, left : left + length] //= 2
            filled = left + round(length * float(np.clip(value, 0, 1)))
            canvas[top + gap : top + text.height - gap, left:filled] = colour if chosen else WHITE

    def _side(
        self, canvas: np.ndarray, track_id: int, areas: dict[str, Area], box: Area, taken: list[Area]
    ) -> Area | None:
        """The side where the bars were, else the first free one; None if there is none."""
        height, width = canvas.shape[:2]
        others = [area for area in taken if area != box]
        for side in (self._sides.get(track_id, "right"), *areas):
            area = within(areas[side], width, height)
            fits = area.width <= width and area.height <= height
            hidden = HIDDEN * box.width * box.height if side.startswith("inside") else 0
            if fits and not area.overlap(others) and area.overlap([box]) <= hidden:
                self._sides[track_id] = side
                return area
        return None

    def _plane(
        self, canvas: np.ndarray, points: Mapping[int, Scores], taken: list[Area], time_s: float | None, text: Lettering
    ) -> Area:
        height, width = canvas.shape[:2]
        side = min(max(11 * text.height // 2, min(height, width) // 4), height, width)
        areas = corners((height, width), side, gap=min(text.height // 3, (min(height, width) - side) // 2))
        order = sorted(areas, key=lambda name: (areas[name].overlap(taken), name != self._corner))
        self._corner = order[0]
        area = areas[self._corner]
        draw_plane(canvas, area, text)
        if time_s is not None:
            self._trails.forget(time_s)
        for track_id, scores in points.items():
            valence, arousal = float(scores.valence or 0), float(scores.arousal or 0)
            trail: list[tuple[float, float, float]] = []
            if time_s is not None:
                self._trails.add(track_id, time_s, valence, arousal)
                trail = self._trails.of(track_id, time_s)
            x, y = draw_point(canvas, area, valence, arousal, trail, colour_of(track_id))
            if len(points) > 1:
                text.write(canvas, f"#{track_id}", x + text.height // 3, y - text.height, colour_of(track_id))
        return area


def colour_of(track_id: int) -> Colour:
    """RGB; the same for every seventh track."""
    return PALETTE[track_id % len(PALETTE)]


def caption(face: FaceResult, labels: Sequence[str]) -> str:
    """`#0 happy 0.87`; valence and arousal for a network without classes; what is missing where there are no scores."""
    name, scores = f"#{face.face.track_id}", face.scores
    if scores is None:
        return f"{name} too few frames yet"
    if scores.probabilities is not None and face.emotion is not None:
        chosen = face.emotion != UNCERTAIN and face.emotion in labels
        value = scores.probabilities[labels.index(face.emotion)] if chosen else scores.probabilities.max()
        return f"{name} {face.emotion} {value:.2f}"
    if scores.valence is not None and scores.arousal is not None:
        return f"{name} V {scores.valence:+.2f} A {scores.arousal:+.2f}"
    return name


def _box(face: FaceResult, height: int, width: int) -> Area:
    """The part of the box that is in the picture."""
    x, y, right, bottom = np.round(np.concatenate([face.face.box[:2], face.face.box[:2] + face.face.box[2:]])).astype(
        int
    )
    left, top = int(np.clip(x, 0, width - 1)), int(np.clip(y, 0, height - 1))
    return Area(left, top, int(np.clip(right, left, width - 1)) - left, int(np.clip(bottom, top, height - 1)) - top)
