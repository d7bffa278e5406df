"""Speed of the face detectors against how many faces they find, as a Markdown page.

    python benchmarks/detectors.py [--video FILE | --images FOLDER] [--pictures 30] [--output docs/detectors.md]

Without a video or pictures of yours, pictures of 1280 x 720 pixels are made of noise, and of the public-domain portrait
of scikit-image in many sizes, places, angles and brightnesses, so that the truth is known. With yours, the truth is
what the package mtcnn finds as it is shipped, so its own recall is 1 and a face that it misses counts as false.
A face counts as found if a box overlaps its true box by at least 0.4 (intersection over union: the detectors draw their
boxes differently), and every other box is a false one.
"""

import argparse
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from ferkeras.faces.detection import Detector, Faces, create_detector
from ferkeras.files import write_atomically
from ferkeras.pictures import find_pictures, read_picture
from ferkeras.video import open_video

HEIGHT, WIDTH = 720, 1280
#: The head of the portrait: what is cut out, and the face in it (x, y, width, height), in pixels.
HEAD, FACE = (slice(20, 220), slice(130, 320)), (53.0, 46.0, 80.0, 104.0)
#: Widths, in pixels, of the faces in each picture that is made; and of all those that are told apart in the table.
SIDES = ((30, 40), (40, 60), (60, 100), (100, 200))
RANGES = ((0, 30), *SIDES, (200, 10_000))
OVERLAP = 0.4
ROUNDS = 3


@dataclass(frozen=True)
class Candidate:
    """A detector with its settings; `package` is the package mtcnn as it is shipped."""

    name: str
    min_face: int = 40
    batch: int = 1

    @property
    def label(self) -> str:
        if self.name == "package":
            return "package `mtcnn`, as shipped"
        return f"{self.name}, min_face {self.min_face}" + (f", {self.batch} at a time" if self.batch > 1 else "")


CANDIDATES = (
    Candidate("package"),
    Candidate("mtcnn", 20),
    Candidate("mtcnn", 40),
    Candidate("mtcnn", 40, 8),
    Candidate("mtcnn", 60, 8),
    Candidate("mtcnn", 100, 8),
    Candidate("haar", 40),
    Candidate("haar", 60),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--video", type=Path, help="take frames of this video, evenly spread")
    source.add_argument("--images", type=Path, help="take the first pictures of this folder")
    parser.add_argument("--pictures", type=int, default=30, help="how many; default: 30")
    parser.add_argument("--output", type=Path, help="Markdown file; default: standard output")
    args = parser.parse_args()
    if args.video or args.images:
        pictures = from_video(args.video, args.pictures) if args.video else from_folder(args.images, args.pictures)
        truth = [faces.boxes for faces in package()(pictures)]
        about = f"{len(pictures)} pictures of `{(args.video or args.images).name}`, against what the package finds"
    else:
        scenes = [scene(np.random.default_rng(seed)) for seed in range(args.pictures)]
        pictures, truth = [picture for picture, _ in scenes], [boxes for _, boxes in scenes]
        about = f"{len(pictures)} generated pictures of {WIDTH} x {HEIGHT} pixels with {len(SIDES)} faces each"
    text = table([measure(candidate, pictures, truth) for candidate in CANDIDATES], truth, about)
    if args.output is None:
        print(text)
    else:
        write_atomically(args.output, text)


def from_video(path: Path, count: int) -> list[np.ndarray]:
    with open_video(path) as video:
        step = max(1, video.info.frames // count)
        return [frame.image for frame in video.frames(stop=count * step, step=step)]


def from_folder(path: Path, count: int) -> list[np.ndarray]:
    pictures = [read_picture(file) for file in find_pictures([str(path)])[:count]]
    return [np.repeat(picture, 3, axis=2) if picture.shape[2] == 1 else picture for picture in pictures]


def scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A picture (H, W, 3) uint8 and the true boxes (4, 4) of its faces, one of each range of sides."""
    coarse = rng.integers(40, 200, (9, 16, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    head = skimage.data.astronaut()[HEAD]
    boxes = []
    for column, (least, most) in enumerate(SIDES):
        scale = rng.uniform(least, most) / FACE[2]
        angle, light = rng.uniform(-20, 20), rng.uniform(0.6, 1.2)
        centre = np.array([(column + 0.5) * WIDTH / len(SIDES), rng.uniform(0.35, 0.65) * HEIGHT])
        middle = np.array([FACE[0] + FACE[2] / 2, FACE[1] + FACE[3] / 2])
        turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), angle, scale)
        turn[:, 2] += centre - middle
        shape = {"dsize": (WIDTH, HEIGHT)}
        lit = np.clip(head * light, 0, 255).astype(np.uint8)
        blurred = cv2.GaussianBlur(lit, (0, 0), 0.5 / scale) if scale < 1 else lit
        warped = cv2.warpAffine(blurred, turn, flags=cv2.INTER_LINEAR, **shape)
        inside = cv2.warpAffine(np.ones(head.shape[:2], np.uint8), turn, flags=cv2.INTER_NEAREST, **shape)
        picture[inside > 0] = warped[inside > 0]
        size = np.array(FACE[2:]) * scale
        boxes.append([*(centre - size / 2), *size])
    noise = rng.normal(0, 4, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8), np.array(boxes)


def measure(candidate: Candidate, pictures: list[np.ndarray], truth: list[np.ndarray]) -> list[str]:
    """One row: seconds a picture in the fastest round, recall by width, false boxes a picture."""
    detector = (
        package() if candidate.name == "package" else create_detector(candidate.name, min_face=candidate.min_face)
    )
    detector(pictures[: candidate.batch])  # compiles
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        found = [faces for batch in batches(pictures, candidate.batch) for faces in detector(batch)]
        seconds.append((time.perf_counter() - begin) / len(pictures))
    hits, false = [], 0
    for faces, true_boxes in zip(found, truth, strict=True):
        overlaps = np.array([[overlap(box, true) for box in faces.boxes] for true in true_boxes])
        overlaps = overlaps.reshape(len(true_boxes), len(faces))
        hits.append(overlaps.max(axis=1, initial=0) >= OVERLAP)
        false += int((overlaps.max(axis=0, initial=0) < OVERLAP).sum())
    ranges, hit = range_of(truth), np.concatenate(hits)
    recall = [f"{hit[ranges == index].mean():.2f}" for index in np.unique(ranges)]
    return [candidate.label, f"{min(seconds):.3f}", *recall, f"{false / len(pictures):.2f}"]


def range_of(truth: list[np.ndarray]) -> np.ndarray:
    """Of each true box of all pictures, which of `RANGES` its width falls into."""
    return np.searchsorted([most for _, most in RANGES], np.concatenate(truth)[:, 2], side="right")


def package() -> Detector:
    """The package mtcnn behind the interface of our detectors."""
    from mtcnn import MTCNN

    shipped = MTCNN()

    class Shipped:
        name = "package"

        def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
            boxes = [np.array([f["box"] for f in shipped.detect_faces(image)], np.float32) for image in images]
            return [Faces(b.reshape(-1, 4), np.ones(len(b)), np.zeros((len(b), 5, 2))) for b in boxes]

    return Shipped()


def batches(pictures: list[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    yield from (pictures[start : start + size] for start in range(0, len(pictures), size))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / float(a[2] * a[3] + b[2] * b[3] - shared)


def table(rows: list[list[str]], truth: list[np.ndarray], about: str) -> str:
    ranges, counts = np.unique(range_of(truth), return_counts=True)
    widths = [f"{RANGES[r][0]}-{RANGES[r][1]} px ({count})" for r, count in zip(ranges, counts, strict=True)]
    head = ["detector", "seconds a picture", *(f"found, {w}" for w in widths), "false boxes a picture"]
    lines = [
        "# Face detectors: speed against recall",
        "",
        f"Printed by `python benchmarks/detectors.py` on {os.cpu_count()} CPU cores: {about}.",
        f"In brackets: how many faces of that width. Seconds: in the fastest of {ROUNDS} rounds.",
        "",
    ]
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


if __name__ == "__main__":
    main()
