"""Cleaning: each reason is found in a picture made for it and not in its sound neighbour.

Wrong labels are in `test_mislabelled.py`.
"""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from ferkeras.cleaning.collection import Picture, open_collection
from ferkeras.cleaning.examine import Examined, examine
from ferkeras.cleaning.judge import judge
from ferkeras.cleaning.limits import Limits
from ferkeras.cleaning.quality import measure
from ferkeras.cleaning.rejected import Rejected
from ferkeras.cleaning.sheet import rejected_rows
from ferkeras.data.phash import DISTANCE
from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment
from ferkeras.faces.detection import Faces
from ferkeras.labels import EMOTIONS
from tfds_builders.synthetic_faces.sampling import sample_still

FACE = np.array([180, 70, 90, 110], np.float32)  # of the astronaut


@functools.cache
def drawn(index: int, size: int = 96) -> np.ndarray:
    """(size, size, 3) uint8: a drawn face, a different one for each index."""
    return sample_still(1, "train", index, size=size, channels=3).image


class PlannedDetector:
    """Finds faces by the shape of a picture; where nothing is planned, the whole picture is one."""

    name = "planned"

    def __init__(self, boxes: dict[tuple[int, int], Sequence[Sequence[float]]] | None = None) -> None:
        self.boxes = boxes or {}
        self.batches: list[int] = []

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        self.batches.append(len(images))
        assert all(image.dtype == np.uint8 and image.shape[2:] == (3,) for image in images)
        found = []
        for image in images:
            height, width = image.shape[:2]
            boxes = np.array(self.boxes.get((height, width), [[0, 0, width, height]]), np.float32).reshape(-1, 4)
            found.append(Faces(boxes, np.ones(len(boxes), np.float32), np.full((len(boxes), 5, 2), np.nan, np.float32)))
        return found


def save(image: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def clean(root: Path, *, detector: PlannedDetector | None = None, limits: Limits | None = None) -> list[Rejected]:
    with open_collection(root) as collection:
        return judge(list(examine(collection, detector or PlannedDetector())), limits=limits or Limits()).rejected


def found(rows: Sequence[Rejected]) -> set[tuple[str, str]]:
    return {(row.path, row.reason) for row in rows}


def blurred(image: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(image, (0, 0), 4)


def tinted(image: np.ndarray, low: int, high: int) -> np.ndarray:
    return (low + image / 255 * (high - low)).astype(np.uint8)


def posterised(image: np.ndarray, level: int) -> np.ndarray:
    """Four fifths of the pixels at one level."""
    grey = image.mean(axis=-1)
    order = grey if level == 0 else -grey
    return np.where((order < np.quantile(order, 0.8))[..., None], level, image).astype(np.uint8)


FAULTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "small": lambda image: cv2.resize(image, (40, 40), interpolation=cv2.INTER_AREA),
    "blurred": blurred,
    "dark": lambda image: tinted(image, 0, 30),
    "bright": lambda image: tinted(image, 225, 255),
    "clipped_dark": lambda image: posterised(image, 0),
    "clipped_bright": lambda image: posterised(image, 255),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_a_fault_of_the_picture(tmp_path: Path, reason: str) -> None:
    save(drawn(0), tmp_path / "happy" / "sound.png")
    save(FAULTS[reason](drawn(7)), tmp_path / "happy" / "faulty.png")
    rows = clean(tmp_path)
    assert {row.path for row in rows} == {"happy/faulty.png"}
    assert reason in {row.reason for row in rows}


def test_sound_faces_pass(tmp_path: Path) -> None:
    for index in range(21):
        save(drawn(index), tmp_path / EMOTIONS[index % 7] / f"{index}.png")
    save(astronaut(), tmp_path / "happy" / "astronaut.jpg")
    assert clean(tmp_path, detector=PlannedDetector({(512, 512): [FACE]})) == []


def test_limits_decide(tmp_path: Path) -> None:
    save(drawn(0), tmp_path / "happy" / "a.png")
    (quality,) = [measure(drawn(0), np.array([0, 0, 96, 96]))]
    for limits, reason in (
        (Limits(min_size=97), "small"),
        (Limits(min_sharpness=quality.sharpness * 1.01), "blurred"),
        (Limits(min_mean=quality.mean + 0.1), "dark"),
        (Limits(max_mean=quality.mean - 0.1), "bright"),
    ):
        assert [row.reason for row in clean(tmp_path, limits=limits)] == [reason]
    assert clean(tmp_path, limits=Limits(min_size=96, min_sharpness=quality.sharpness * 0.99)) == []


@pytest.mark.parametrize(("name", "value"), [("max_dark", 1.1), ("min_mean", -1), ("distance", 17), ("min_size", -1)])
def test_limits_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        Limits(**{name: value})


def test_sharpness_means_the_same_at_any_resolution() -> None:
    sharp, soft = [], []
    for side in (64, 128, 256, 512):
        image = cv2.resize(astronaut()[60:190, 160:290], (side, side), interpolation=cv2.INTER_AREA)
        box = np.array([0, 0, side, side])
        sharp.append(measure(image, box).sharpness)
        soft.append(measure(cv2.GaussianBlur(image, (0, 0), side / 40), box).sharpness)
    assert max(soft) < 200 < 800 < min(sharp)
    assert max(soft) / min(soft) < 1.5


def test_measures_of_a_plain_picture() -> None:
    image = np.full((100, 200, 1), 100, np.uint8)
    image[:, :50], image[:, 50:70] = 5, 250
    quality = measure(image, np.array([0.0, 0, 200, 100]))
    assert quality.size == 200
    assert (quality.dark, quality.bright) == pytest.approx((0.25, 0.1), abs=0.01)
    assert quality.mean == pytest.approx(0.25 * 5 + 0.1 * 250 + 0.65 * 100, abs=0.5)
    only_dark = measure(image, np.array([-30.0, -10, 80, 400]))  # reaches beyond three sides
    assert only_dark == (400, 0, 1, 0, 5)


def test_number_of_faces(tmp_path: Path) -> None:
    shapes = {"none": (90, 90), "two": (91, 91), "background": (92, 92), "one": (93, 93)}
    detector = PlannedDetector(
        {
            (90, 90): [],
            (91, 91): [[0, 0, 50, 60], [40, 40, 50, 50]],
            (92, 92): [[60, 0, 20, 25], [0, 0, 60, 60]],
            (93, 93): [[0, 0, 93, 93]],
        }
    )
    for number, (name, shape) in enumerate(shapes.items()):
        save(cv2.resize(drawn(number), shape), tmp_path / "sad" / f"{name}.png")
    assert clean(tmp_path, detector=detector) == [
        Rejected("sad/none.png", "sad", "no_face", 0, 1),
        Rejected("sad/two.png", "sad", "several_faces", 2, 1),
    ]
    assert ("sad/background.png", "several_faces") in found(
        clean(tmp_path, detector=detector, limits=Limits(second_face=0.4))
    )


def test_the_largest_face_is_measured(tmp_path: Path) -> None:
    image = np.full((200, 200, 3), 10, np.uint8)
    image[100:196, 100:196] = drawn(0)
    save(image, tmp_path / "sad" / "a.png")
    small, large = [0, 0, 40, 40], [100, 100, 96, 96]
    assert clean(tmp_path, detector=PlannedDetector({(200, 200): [small, large]})) == []
    assert ("sad/a.png", "dark") in found(clean(tmp_path, detector=PlannedDetector({(200, 200): [small]})))


def test_unreadable_pictures(tmp_path: Path) -> None:
    save(drawn(0), tmp_path / "happy" / "sound.jpg")
    data = (tmp_path / "happy" / "sound.jpg").read_bytes()
    (tmp_path / "happy" / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "happy" / "empty.png").write_bytes(b"")
    (tmp_path / "happy" / "text.webp").write_text("no picture")
    assert clean(tmp_path) == [
        Rejected(f"happy/{name}", "happy", "unreadable") for name in ("cut.jpg", "empty.png", "text.webp")
    ]


def test_copies_in_one_class(tmp_path: Path) -> None:
    image = drawn(3, 200)
    half = cv2.resize(image, (100, 100), interpolation=cv2.INTER_AREA)
    save(half, tmp_path / "fear" / "a_half.png")
    save(image, tmp_path / "fear" / "b.png")
    save(image, tmp_path / "fear" / "c.bmp")
    save(drawn(0), tmp_path / "fear" / "other.png")
    rows = clean(tmp_path)
    assert [row[:3] for row in rows] == [
        ("fear/a_half.png", "fear", "near_duplicate"),
        ("fear/c.bmp", "fear", "duplicate"),
    ]
    assert {row.partner for row in rows} == {"fear/b.png"}  # most pixels, then first by path
    assert rows[1][3:5] == (0, 0)
    assert rows[0].value is not None
    assert rows[0].value <= rows[0].threshold == DISTANCE


def test_a_copy_without_faults_is_kept(tmp_path: Path) -> None:
    image = drawn(3, 200)
    save(image, tmp_path / "fear" / "a.png")
    save(image[:90, :].repeat(2, 0)[:180], tmp_path / "fear" / "z.png")  # another picture
    save(cv2.resize(image, (150, 150), interpolation=cv2.INTER_AREA), tmp_path / "fear" / "b.png")
    rows = clean(tmp_path, detector=PlannedDetector({(200, 200): []}))
    assert found(rows) >= {("fear/a.png", "no_face"), ("fear/a.png", "near_duplicate")}
    assert not {row.path for row in rows} & {"fear/b.png"}
    assert {row.partner for row in rows if row.partner} == {"fear/b.png"}


def test_copies_in_two_classes_contradict_each_other(tmp_path: Path) -> None:
    for path in ("fear/a.png", "fear/b.png", "sad/c.png"):
        save(drawn(3), tmp_path / path)
    save(drawn(5), tmp_path / "sad" / "other.png")
    assert clean(tmp_path) == [
        Rejected("fear/a.png", "fear", "contradictory", 0, DISTANCE, partner="sad/c.png"),
        Rejected("fear/b.png", "fear", "contradictory", 0, DISTANCE, partner="sad/c.png"),
        Rejected("sad/c.png", "sad", "contradictory", 0, DISTANCE, partner="fear/a.png"),
    ]


def test_flat_pictures_are_copies_only_if_equal(tmp_path: Path) -> None:
    for name, value in (("a", 100), ("b", 100), ("c", 101)):
        save(np.full((64, 64), value, np.uint8), tmp_path / "sad" / f"{name}.png")
    rows = [row for row in clean(tmp_path) if row.partner]
    assert rows == [Rejected("sad/b.png", "sad", "duplicate", 0, 0, partner="sad/a.png")]


def test_no_chain_of_copies(tmp_path: Path) -> None:
    """Each rejected copy is near the one that is kept, not only near another rejected one."""
    hashes = (0b0, 0b1111, 0b11111111)
    items = [
        Examined(Picture(f"sad/{index}", "sad"), pixels=9, digest=bytes([index]), hash=value, faces=(99.0,),
                 quality=measure(drawn(0), np.array([0, 0, 96, 96])))
        for index, value in enumerate(hashes)
    ]  # fmt: skip
    assert [(row.path, row.partner, row.value) for row in judge(items, limits=Limits()).rejected] == [
        ("sad/1", "sad/0", 4)
    ]


def test_batches_end_at_a_number_and_at_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(20):
        save(drawn(index), tmp_path / "sad" / f"{index:02d}.png")
    detector = PlannedDetector()
    with open_collection(tmp_path) as collection:
        list(examine(collection, detector))
        monkeypatch.setattr("ferkeras.cleaning.examine._MOST_PIXELS", 96 * 96 * 3 * 2)
        list(examine(collection, detector))
    assert detector.batches == [16, 4] + [2] * 10


def test_faces_for_the_encoder_are_cut_out(tmp_path: Path) -> None:
    save(astronaut(), tmp_path / "happy" / "a.png")
    save(drawn(0), tmp_path / "happy" / "b.png")
    shapes: list[list[tuple[int, ...]]] = []

    def encode(faces: Sequence[np.ndarray]) -> np.ndarray:
        shapes.append([face.shape for face in faces])
        return np.array([[face.mean()] for face in faces])

    detector = PlannedDetector({(512, 512): [FACE], (96, 96): []})
    with open_collection(tmp_path) as collection:
        items = list(examine(collection, detector, encode=encode, alignment=Alignment(size=80)))
        assert [item.features is None for item in items] == [False, True]
        list(examine(collection, detector, encode=encode))
    assert shapes == [[(80, 80, 3)], [(512, 512, 3)]]


def test_the_sheet_has_a_line_for_each_reason(tmp_path: Path) -> None:
    save(blurred(drawn(1)), tmp_path / "sad" / "blurred.png")
    save(drawn(3), tmp_path / "sad" / "b.png")
    save(drawn(3), tmp_path / "sad" / "c.png")
    (tmp_path / "sad" / "broken.png").write_bytes(b"")
    with open_collection(tmp_path) as collection:
        rejected, accuracy = judge(list(examine(collection, PlannedDetector())), limits=Limits())
        assert accuracy is None
        rows = rejected_rows(collection, rejected)
    assert [row.title for row in rows] == ["blurred (1)", "duplicate (1)"]
    assert [tile.caption for tile in rows[1].tiles] == ["sad/c.png 0", "sad/b.png"]
