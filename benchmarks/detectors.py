"""Speed of the face detectors against how many faces they find: `python benchmarks/detectors.py [--output FILE.md]`.

Pictures of 1280 x 720 pixels are made of noise, and of the public-domain portrait of scikit-image in many sizes,
places, angles and brightnesses, so that the truth is known. A face counts as found if a box overlaps its true box by at
least 0.4 (intersection over union: the detectors draw their boxes differently), and every other box is a false one.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from ferkeras.faces.detection import Detector, Faces, create_detector
from ferkeras.files import write_atomically

HEIGHT, WIDTH = 720, 1280
#: The head of the portrait: what is cut out, and the face in it (x, y, width, height), in pixels.
HEAD, FACE = (slice(20, 220), slice(130, 320)), (53.0, 46.0, 80.0, 104.0)
#: Sides of the faces in the pictures, in pixels.
SIDES = ((30, 40), (40, 60), (60, 100), (100, 200))
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=40)
    parser.add_argument("--output", type=Path, help="Markdown file; default: standard output")
    args = parser.parse_args()
    scenes = [scene(np.random.default_rng(seed)) for seed in range(args.pictures)]
    rows = [measure(candidate, scenes) for candidate in CANDIDATES]
    text = table(rows, len(scenes))
    if args.output is None:
        print(text)
    else:
        write_atomically(args.output, text)


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


def measure(candidate: Candidate, scenes: list[tuple[np.ndarray, np.ndarray]]) -> list[str]:
    """One row: seconds a picture (median over rounds), recall by size, false boxes a picture."""
    detector = (
        package() if candidate.name == "package" else create_detector(candidate.name, min_face=candidate.min_face)
    )
    pictures = [picture for picture, _ in scenes]
    detector(pictures[: candidate.batch])  # compiles
    seconds = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        found = [faces for batch in batches(pictures, candidate.batch) for faces in detector(batch)]
        seconds.append((time.perf_counter() - begin) / len(pictures))
    hits, false = np.zeros(len(SIDES)), 0
    for faces, (_, truth) in zip(found, scenes, strict=True):
        overlaps = np.array([[overlap(box, true) for box in faces.boxes] for true in truth]).reshape(len(truth), -1)
        hits += overlaps.max(axis=1, initial=0) >= OVERLAP
        false += int((overlaps.max(axis=0, initial=0) < OVERLAP).sum())
    recall = [f"{hit / len(scenes):.2f}" for hit in hits]
    return [candidate.label, f"{np.median(seconds):.3f}", *recall, f"{false / len(scenes):.2f}"]


def package() -> Detector:
    """The package mtcnn behind the interface of our detectors."""
    from mtcnn import MTCNN

    shipped = MTCNN()

    class Shipped:
        name = "package"

        def __call__(self, images: list[np.ndarray]) -> list[Faces]:
            boxes = [np.array([f["box"] for f in shipped.detect_faces(image)], np.float32) for image in images]
            return [Faces(b.reshape(-1, 4), np.ones(len(b)), np.zeros((len(b), 5, 2))) for b in boxes]

    return Shipped()  # type: ignore[return-value]


def batches(pictures: list[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    yield from (pictures[start : start + size] for start in range(0, len(pictures), size))


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boxes x, y, width, height."""
    sides = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    return shared / float(a[2] * a[3] + b[2] * b[3] - shared)


def table(rows: list[list[str]], count: int) -> str:
    ranges = [f"{least}-{most} px" for least, most in SIDES]
    head = ["detector", "seconds a picture", *(f"found, {r}" for r in ranges), "false boxes a picture"]
    lines = ["# Face detectors: speed against recall", "", f"`python benchmarks/detectors.py` on {count} generated", ""]
    lines[2] += f" pictures of {WIDTH} x {HEIGHT} pixels with four faces each, all in one run."
    lines += ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows), ""])


if __name__ == "__main__":
    main()
