"""Drawing on pictures, and the files of annotated pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.annotation.draw import Annotator, caption, colour_of, draw
from ferkeras.annotation.photo import AnnotatedPhotos, write_photo
from ferkeras.annotation.place import Area, within
from ferkeras.annotation.plane import Trails
from ferkeras.errors import InputError
from ferkeras.faces.track import TrackedFace
from ferkeras.labels import EMOTIONS
from ferkeras.prediction.result import UNCERTAIN, FaceResult, FrameResult, Scores

HAPPY = np.array([0.02, 0.01, 0.03, 0.87, 0.02, 0.03, 0.02])


def face(
    track_id: int = 0,
    box: tuple[float, ...] = (100, 60, 80, 80),
    *,
    scores: Scores | None = None,
    emotion: str | None = None,
) -> FaceResult:
    return FaceResult(
        TrackedFace(track_id, np.array(box, np.float32), np.zeros((5, 2), np.float32), 0.9, True), scores, emotion
    )


def result(
    image: np.ndarray | None, *faces: FaceResult, source: str = "a.jpg", time_s: float | None = None
) -> FrameResult:
    return FrameResult(source, 0, time_s, image, faces)


def grey(height: int = 240, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), 128, np.uint8)


def coloured(image: np.ndarray, track_id: int) -> np.ndarray:
    """(H, W) where the picture has the colour of a track."""
    return (np.abs(image.astype(int) - colour_of(track_id)) < 12).all(axis=2)


def test_captions() -> None:
    assert caption(face(scores=Scores(HAPPY), emotion="happy"), EMOTIONS) == "#0 happy 0.87"
    assert caption(face(3, scores=Scores(HAPPY), emotion=UNCERTAIN), EMOTIONS) == "#3 uncertain 0.87"
    assert caption(face(scores=None), EMOTIONS) == "#0 too few frames yet"
    assert caption(face(scores=Scores(None, 0.4, -0.25)), ()) == "#0 V +0.40 A -0.25"


def test_box_caption_and_bars_are_drawn_and_the_rest_stays() -> None:
    image = grey()
    drawn = draw(image, result(image, face(scores=Scores(HAPPY), emotion="happy")), labels=EMOTIONS)
    assert (image == 128).all(), "the picture itself must not change"
    assert coloured(drawn, 0)[60, 105:175].all()
    assert coloured(drawn, 0)[65:135, 100].all()
    assert (drawn[80:130, 110:170] == 128).all(), "the face itself stays free"
    assert (drawn[:30] == 128).all()
    bars = coloured(drawn, 0)[:, 190:]
    assert bars.sum(axis=1).max() > 0.8 * 4 * 12, "the bar of 0.87"
    changed = np.argwhere((drawn[:, 190:] != 128).any(axis=2))
    assert np.ptp(changed[:, 0]) > 7 * 10, "seven lines of text"


def test_bars_go_to_the_free_side() -> None:
    scored = {"scores": Scores(HAPPY), "emotion": "happy"}
    for box, columns in (((200, 60, 110, 110), slice(0, 190)), ((5, 60, 110, 110), slice(125, 320))):
        drawn = draw(grey(), result(grey(), face(box=box, **scored)), labels=EMOTIONS)
        assert (drawn[75:150, columns] != 128).any(axis=2).sum() > 2000
    filling = draw(grey(), result(grey(), face(box=(0, 0, 320, 240), **scored)), labels=EMOTIONS)
    assert (filling[140:, 120:] != 128).any(axis=2).sum() > 2000, "a face that fills the picture has them in a corner"


def test_bars_do_not_jump_between_frames() -> None:
    annotator = Annotator(EMOTIONS)
    sides = []
    for x in (205, 150, 90):  # at first there is only room on the left; later on the right too, which is first choice
        drawn = annotator(
            result(grey(), face(box=(x, 80, 60, 60), scores=Scores(HAPPY), emotion="happy"), time_s=x / 1000)
        )
        left = (drawn[85:130, : x - 3] != 128).any(axis=2).sum()
        sides.append(left > (drawn[85:130, x + 66 :] != 128).any(axis=2).sum())
    assert sides == [True, True, False]


@pytest.mark.parametrize(
    "box", [(-50, -50, 100, 100), (300, 220, 100, 100), (400, 400, 50, 50), (10.4, 10.4, 0.2, 0.2)]
)
@pytest.mark.parametrize(("height", "width"), [(240, 320), (31, 17), (1, 1)])
def test_anything_can_be_drawn(height: int, width: int, box: tuple[float, ...]) -> None:
    image = grey(height, width)
    faces = face(0, box, scores=Scores(HAPPY, 5.0, -5.0), emotion="happy"), face(1, box), face(8, box)
    assert draw(image, result(image, *faces, time_s=1.0), labels=EMOTIONS).shape == image.shape


def test_grey_pictures_become_colour() -> None:
    drawn = draw(np.full((120, 160, 1), 9, np.uint8), result(None, face(box=(20, 40, 30, 30))), labels=EMOTIONS)
    assert drawn.shape == (120, 160, 3)
    assert coloured(drawn, 0).any()


def test_letters_grow_with_the_picture() -> None:
    heights = []
    for scale in (1, 9):
        image = grey(240 * scale, 320 * scale)
        box = tuple(value * scale for value in (100, 100, 80, 80))
        drawn = draw(image, result(image, face(box=box)), labels=EMOTIONS)
        heights.append(np.ptp(np.argwhere((drawn[: 97 * scale] < 100).all(axis=2))[:, 0]))
    assert heights[0] >= 10
    assert heights[1] > 3.5 * heights[0]


def test_plane_shows_where_the_face_is_and_its_trail() -> None:
    annotator = Annotator(())
    for step in range(26):
        drawn = annotator(result(grey(), face(scores=Scores(None, step / 25, step / 25)), time_s=step / 25))
    inset = coloured(drawn, 0)[150:, 230:]
    assert inset.any(), "the point in the upper right of the plane"
    still = draw(grey(), result(grey(), face(scores=Scores(None, 1.0, 1.0))), labels=())
    trail = (drawn != still).any(axis=2)
    assert trail[150:, 230:].sum() > 40
    assert not trail[:150].any(), "the trail alone is what a picture does not have"


def test_trails_forget() -> None:
    trails = Trails(2.0)
    for step in range(100):
        trails.add(0, step * 0.1, 0.1, 0.2)
        trails.forget(step * 0.1)
    ages = [age for age, *_ in trails.of(0, 9.9)]
    assert len(ages) == 21 or len(ages) == 20
    assert 0.9 < ages[0] <= 1.0001
    assert ages[-1] == 0
    trails.forget(50.0)
    assert trails.of(0, 50.0) == []


def test_area() -> None:
    assert Area(0, 0, 10, 10).overlap([Area(5, 5, 10, 10), Area(20, 0, 5, 5), Area(9, 0, 1, 10)]) == 35
    assert within(Area(-5, 95, 10, 10), 100, 100) == Area(0, 90, 10, 10)


def test_no_image() -> None:
    with pytest.raises(InputError, match="no image"):
        Annotator(EMOTIONS)(result(None))
    with pytest.raises(InputError, match="no image"):
        write_photo(result(None), Path("x.jpg"), labels=EMOTIONS)


def test_photos_do_not_overwrite_each_other(tmp_path: Path) -> None:
    folder, image = tmp_path / "out", grey()
    photos = AnnotatedPhotos(folder, EMOTIONS)
    sources = ["a/x.jpg", "b/x.JPG", "c/x.png", "b/X.jpeg", "d/x-2.jpg"]
    written = [photos.write(result(image, face(), source=source)) for source in sources]
    assert [path.name for path in written] == [
        "x.annotated.jpg", "x-2.annotated.jpg", "x.annotated.png", "X-3.annotated.jpg", "x-2-2.annotated.jpg",
    ]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in written)
    again = AnnotatedPhotos(folder, EMOTIONS).write(result(image, face(), source="a/x.jpg"))
    assert again == written[0], "a second run replaces what the first has written"


def test_photo_never_replaces_its_source(tmp_path: Path) -> None:
    source = tmp_path / "x.png"
    Image.fromarray(grey()).save(source)
    before = source.read_bytes()
    with pytest.raises(InputError, match="may not replace"):
        write_photo(result(grey(), source=str(source)), source, labels=EMOTIONS)
    annotated = source.rename(tmp_path / "x.annotated.png")
    (tmp_path / "x.png").symlink_to(annotated)  # so that the copy's first name is the source itself
    target = AnnotatedPhotos(tmp_path, EMOTIONS).write(result(grey(), source=str(tmp_path / "x.png")))
    assert target.name == "x-2.annotated.png"
    assert annotated.read_bytes() == before


def test_small_pictures_are_enlarged(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (48, 48, 3), dtype=np.uint8)
    path = write_photo(result(image, face(box=(8, 16, 30, 30))), tmp_path / "small.png", labels=EMOTIONS)
    with Image.open(path) as copy:
        pixels = np.asarray(copy)
    assert pixels.shape == (240, 240, 3)
    assert coloured(pixels, 0)[80, 50:180].mean() > 0.9
    assert (pixels[120:220, 60:180] == np.repeat(np.repeat(image, 5, 0), 5, 1)[120:220, 60:180]).all()
