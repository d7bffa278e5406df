"""Following one face through a 60-second 720p video: speed, memory, recall and landmarks, as a Markdown page.

    python benchmarks/follow.py [--output docs/face_following.md] [--detector mtcnn] [--seconds 60]

The video is made here: the portrait of Eileen Collins (NASA, public domain, from scikit-image) on a textured
background, moving, scaling, rotating, leaving the picture and coming back, with two cuts to another background.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
import skimage.data

from ferkeras.faces.align import Alignment, map_box, map_points
from ferkeras.faces.detection import Detector, create_detector
from ferkeras.faces.follow import follow
from ferkeras.files import write_atomically
from ferkeras.video import open_video

WIDTH, HEIGHT, RATE = 1280, 720, 25
PORTRAIT = skimage.data.astronaut()
#: Where the eyes, the nose tip and the mouth corners lie in the portrait, and the face around them.
LANDMARKS = np.array([(204.0, 101.2), (246.2, 103.3), (224.5, 127.5), (202.0, 139.5), (245.0, 141.0)])
FACE = np.array([175.0, 55.0, 95.0, 120.0])
#: Seconds at which the memory is read; the video is this much longer than the first.
EARLY_S = 20


@dataclass(frozen=True, eq=False)
class Run:
    """What following gave, frame by frame: `found` (T,), `boxes` (T, 4) and `landmarks` (T, 5, 2)."""

    found: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray
    seconds: float
    early_mib: float
    peak_mib: float


def pose(second: float) -> np.ndarray:
    """(2, 3) from the portrait to the frame: turned by up to 35 degrees, scaled by 0.85 to 2.05, away at times."""
    angle = np.deg2rad(35 * np.sin(2 * np.pi * second / 7))
    scale = 1.45 + 0.6 * np.sin(2 * np.pi * second / 11)
    away = 1200 * max(0.0, np.sin(2 * np.pi * second / 20) - 0.6) / 0.4  # out and back once in 20 seconds
    x = WIDTH / 2 + 260 * np.sin(2 * np.pi * second / 9) + away
    y = HEIGHT / 2 + 90 * np.sin(2 * np.pi * second / 5)
    a = scale * np.exp(1j * angle)
    turn = np.array([[a.real, -a.imag], [a.imag, a.real]])
    return np.column_stack([turn, (x, y) - turn @ LANDMARKS.mean(0)])


def draw(second: float, backgrounds: list[np.ndarray]) -> np.ndarray:
    """(H, W, 3) uint8: head and shoulders of the portrait, feathered, over the background of this shot."""
    background = backgrounds[int(second // 25) % len(backgrounds)]
    matrix, size = pose(second), (WIDTH, HEIGHT)
    rows, columns = np.mgrid[:512, :512]
    head = np.exp(-((((columns - 222) / 105) ** 2 + ((rows - 115) / 120) ** 2) ** 4)).astype(np.float32)
    mask = cv2.warpAffine(head, matrix, size)[..., None]
    return np.rint(mask * cv2.warpAffine(PORTRAIT, matrix, size) + (1 - mask) * background).astype(np.uint8)


def write(path: Path, seconds: float) -> None:
    import av

    noise = np.random.default_rng(0)
    backgrounds = [
        cv2.resize(noise.integers(low, high, (18, 32, 3), np.uint8), (WIDTH, HEIGHT))
        for low, high in ((30, 120), (120, 230))
    ]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(round(seconds * RATE)):
            frame = av.VideoFrame.from_ndarray(draw(index / RATE, backgrounds), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def run(path: Path, detector: Detector, *, key_interval: int, before: int) -> Run:
    """Reads, follows and aligns the whole video; the memory is what the process holds above `before` bytes."""
    process = psutil.Process()
    peak, early = 0, 0
    alignment = Alignment(size=112)
    found, boxes, landmarks = [], [], []
    start = time.perf_counter()
    with open_video(path) as video:
        for face in follow(video.frames(), detector, key_interval=key_interval):
            if face.found:
                known = not np.isnan(face.landmarks).any()
                matrix = alignment.matrix(face.landmarks) if known else alignment.box_matrix(face.box)
                alignment.crop(face.frame.image, matrix)
            found.append(face.found)
            boxes.append(face.box)
            landmarks.append(face.landmarks)
            peak = max(peak, process.memory_info().rss - before)
            if face.frame.index == EARLY_S * RATE:
                early = peak
    seconds = time.perf_counter() - start
    return Run(np.array(found), np.array(boxes), np.array(landmarks), seconds, early / 2**20, peak / 2**20)


def truth(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Whether the whole face is in the picture (T,), its box (T, 4), its landmarks (T, 5, 2)."""
    matrices = [pose(index / RATE) for index in range(count)]
    boxes = np.array([map_box(matrix, FACE) for matrix in matrices])
    right, bottom = boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    inside = (boxes[:, 0] >= 0) & (boxes[:, 1] >= 0) & (right <= WIDTH) & (bottom <= HEIGHT)
    return inside, boxes, np.array([map_points(matrix, LANDMARKS) for matrix in matrices])


def lines(path: Path, detector: Detector, intervals: list[int]) -> Iterator[str]:
    """The rows of the table, each as soon as it is measured."""
    yield "| key interval | frames/s | recall, % | against interval 1 | eye error, % | MiB at 20 s | MiB at the end |"
    yield "|---|---|---|---|---|---|---|"
    before = psutil.Process().memory_info().rss
    reference: float | None = None
    for interval in intervals:
        result = run(path, detector, key_interval=interval, before=before)
        inside, boxes, landmarks = truth(len(result.found))
        middle = (result.boxes[:, :2] + result.boxes[:, 2:] / 2) - (boxes[:, :2] + boxes[:, 2:] / 2)
        right = result.found & (np.abs(middle) < boxes[:, 2:] / 2).all(1)  # its centre lies in the true face's middle
        recall = 100 * right[inside].mean()
        reference = recall if interval == 1 else reference
        apart = np.linalg.norm(landmarks[:, 0] - landmarks[:, 1], axis=-1)
        error = np.linalg.norm(result.landmarks - landmarks, axis=-1)[:, :2].mean(1) / apart
        difference = "" if reference is None else f"{recall - reference:+.2f}"
        eyes = f"{100 * np.nanmean(error[inside & right]):.1f}"
        speed = len(result.found) / result.seconds
        yield (
            f"| {interval} | {speed:.1f} | {recall:.2f} | {difference} | {eyes} "
            f"| {result.early_mib:.0f} | {result.peak_mib:.0f} |"
        )


PAGE = """# Following a face through a video

Printed by `python benchmarks/follow.py{arguments}` on {cores} CPU cores, where smallest faces of {min_face} pixels are
looked for by the detector `{detector}`.

The video ({seconds:g} s, 1280x720, 25 frames/s, H.264) is made by the script: a portrait that moves, turns by up to 35
degrees, changes its size, leaves the picture and comes back, with cuts to another background. Each row reads it,
follows the face by `ferkeras.faces.follow` and cuts out aligned faces of 112x112 pixels.

{table}

* frames/s: reading, detection, following and alignment together.
* key interval n: the detector looks at every n-th frame, and at all those between two that do not agree.
* recall: of the frames that show the whole face, those in which it was found at its place. Beside it the difference to
  the detector in every frame, in percentage points.
* eye error: mean distance of the eyes from their true place, in percent of the distance between the eyes.
* MiB: peak of the resident memory above that of the process with TensorFlow and the detector loaded, after {early} s of
  video and at its end; what the row before left behind is part of it.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file; without it the page is printed")
    parser.add_argument("--detector", default="mtcnn")
    parser.add_argument("--min-face", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--intervals", type=int, nargs="+", default=[1, 5, 10])
    options = parser.parse_args()
    detector = create_detector(options.detector, min_face=options.min_face)
    detector([np.zeros((HEIGHT, WIDTH, 3), np.uint8), cv2.resize(PORTRAIT, (WIDTH, HEIGHT))] * 2)  # compiles its graphs
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "face.mp4"
        write(path, options.seconds)
        rows = []
        for row in lines(path, detector, options.intervals):
            print(row, flush=True)
            rows.append(row)
    if options.output:
        page = PAGE.format(
            arguments="" if options.seconds == 60 else f" --seconds {options.seconds:g}",
            cores=len(psutil.Process().cpu_affinity()),
            detector=options.detector,
            min_face=options.min_face,
            seconds=options.seconds,
            table="\n".join(rows),
            early=EARLY_S,
        )
        write_atomically(options.output, page)


if __name__ == "__main__":
    main()
