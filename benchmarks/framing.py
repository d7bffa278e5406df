"""How the faces of FER2013 and of the generated faces lie in their pictures, and what a wrong margin costs.

    python benchmarks/framing.py RUN [--data-dir DIR] [--pictures 1000]

RUN is trained on FER2013. First: landmarks, found by MTCNN in pictures of its validation split (PublicTest) enlarged
to 192 pixels with a border, or known of generated faces, give the margin that an `Alignment` would need. Then the
pictures are treated as photos: enlarged, bordered, the face found, cut out in several ways and classified. Beside each
accuracy stands the difference to the pictures as they are, with its 95 % interval over pairs.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ferkeras.data.sources import builder
from ferkeras.faces.align import WEIGHTS, Alignment
from ferkeras.faces.detection import Faces, create_detector
from ferkeras.faces.framing import MARGINS as FRAMED
from ferkeras.faces.framing import Place, place
from ferkeras.faces.landmarks68 import five_points
from ferkeras.inference import Runner, keras_runner
from ferkeras.runs import RunFolder
from tfds_builders.synthetic_faces.sampling import EXAMPLES_PER_SUBJECT, sample_still

#: Side of an enlarged picture and width of the border around it, in pixels; and pictures that are worked on at once.
SIDE, BORDER, BATCH = 192, 48, 64
#: Side of the network's input.
SIZE = 48
MARGINS = (-0.2, -0.12, -0.08, -0.04, 0.0, 0.1, 0.2)

#: From a photo and the face in it to (48, 48, 1) uint8.
Cut = Callable[[np.ndarray, Faces], np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder, or the name of one under saved_models")
    parser.add_argument("--data-dir", type=Path, help="prepared data; default: as TensorFlow Datasets")
    parser.add_argument("--pictures", type=int, default=1000, help="how many of FER2013, chosen at random")
    options = parser.parse_args()

    pictures, labels = fer2013(options.data_dir, options.pictures)
    photos = [enlarged(picture) for picture in pictures]
    detect = create_detector("mtcnn", min_face=40)
    found = [faces for start in range(0, len(photos), BATCH) for faces in detect(photos[start : start + BATCH])]
    seen = [index for index, faces in enumerate(found) if len(faces)]
    faces = [largest(found[index]) for index in seen]

    print("| faces | number | margin: median (quartiles) | below, % of the side | right, % | turned, degrees |")
    print("|---|---|---|---|---|---|")
    inside = [place(face.landmarks[0] - BORDER, SIDE) for face in faces]
    print(row(f"FER2013, found in {len(seen) / len(photos):.1%} of {len(photos)}", inside), flush=True)
    print(row("synthetic_faces, as drawn", list(drawn())), flush=True)

    run = keras_runner(RunFolder.find(options.run).load_model())
    plain = accurate(run, [pictures[index] for index in seen], labels[seen])
    print(f"\n| {len(seen)} faces of FER2013 | accuracy, % | against the pictures as they are |\n|---|---|---|")
    print(f"| as they are | {100 * plain.mean():.1f} | |", flush=True)
    for name, cut in ways():
        hits = accurate(run, [cut(photos[i], face) for i, face in zip(seen, faces, strict=True)], labels[seen])
        change = hits.astype(float) - plain
        half = 196 * change.std(ddof=1) / np.sqrt(len(change))
        print(f"| {name} | {100 * hits.mean():.1f} | {100 * change.mean():+.1f} ± {half:.1f} |", flush=True)


def fer2013(data_dir: Path | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, 48, 48, 1) uint8 and (N,) of the validation split, in its order."""
    examples = list(builder("fer2013", data_dir=data_dir).as_dataset(split="validation", shuffle_files=False))
    chosen = np.sort(np.random.default_rng(0).permutation(len(examples))[:count])
    pictures = np.stack([examples[index]["image"].numpy() for index in chosen])
    return pictures, np.array([int(examples[index]["label"]) for index in chosen])


def enlarged(picture: np.ndarray) -> np.ndarray:
    """(288, 288, 3) uint8; the border repeats the outermost pixels."""
    large = cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    bordered = cv2.copyMakeBorder(large, BORDER, BORDER, BORDER, BORDER, cv2.BORDER_REPLICATE)
    return np.repeat(bordered[..., None], 3, axis=2)


def largest(faces: Faces) -> Faces:
    return faces[[int(np.argmax(faces.boxes[:, 2] * faces.boxes[:, 3]))]]


def drawn(count: int = 200) -> Iterator[Place]:
    """Generated faces of the training split, each of another person, by the landmarks they were drawn with."""
    for index in range(0, count * EXAMPLES_PER_SUBJECT, EXAMPLES_PER_SUBJECT):
        still = sample_still(0, "train", index, size=SIZE, channels=1)
        yield place(five_points(still.landmarks), SIZE)


def row(name: str, places: list[Place]) -> str:
    margins = np.quantile([p.margin for p in places], (0.5, 0.25, 0.75))
    y, x, angle = (np.array([getattr(p, key) for p in places]) for key in ("y", "x", "angle"))
    spread = [f"{v.mean():.1f} ± {v.std():.1f}" for v in (100 * y, 100 * x, angle)]
    middle, low, high = (f"{value:.3f}" for value in margins)
    return f"| {name} | {len(places)} | {middle} ({low} to {high}) | {' | '.join(spread)} |"


def ways() -> Iterator[tuple[str, Cut]]:
    """Ways to cut the face out of a photo."""
    whole = np.array([BORDER, BORDER, SIDE, SIDE])
    yield "enlarged and reduced again", lambda photo, _: cropped(photo, Alignment(SIZE).box_matrix(whole))
    for margin in MARGINS:
        yield f"aligned, margin {margin:g}", aligned(margin)
    best = FRAMED["fer2013"]
    yield f"aligned, margin {best:g}, shown 8 % of the side higher", aligned(best, raised=0.08)
    yield f"by landmarks without turning, margin {best:g}", aligned(best, turned=False)
    for margin in (best, 0.0):
        yield f"box of the detector, margin {margin:g}", boxed(margin)


def aligned(margin: float, *, raised: float = 0.0, turned: bool = True) -> Cut:
    """By the landmarks, `raised` by a share of the crop's side, or without turning the face upright."""
    alignment = Alignment(SIZE, margin)

    def cut(photo: np.ndarray, face: Faces) -> np.ndarray:
        landmarks = face.landmarks[0]
        matrix = alignment.matrix(landmarks)
        if not turned:
            scale = np.eye(2) * np.hypot(matrix[0, 0], matrix[0, 1])
            matrix = np.column_stack([scale, WEIGHTS @ alignment.template - scale @ (WEIGHTS @ landmarks)])
        matrix[1, 2] -= raised * SIZE
        return cropped(photo, matrix)

    return cut


def boxed(margin: float) -> Cut:
    """By the detector's box alone."""
    return lambda photo, face: cropped(photo, Alignment(SIZE, margin).box_matrix(face.boxes[0]))


def cropped(photo: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """(48, 48, 1) uint8; the photo is grey, so any of its channels will do."""
    return Alignment(SIZE).crop(photo[..., :1], matrix)


def accurate(run: Runner, pictures: Sequence[np.ndarray], labels: np.ndarray) -> np.ndarray:
    """(N,) bool, which pictures (48, 48, 1) are classified right."""
    batches = range(0, len(pictures), BATCH)
    logits = [run(np.stack(pictures[start : start + BATCH]))["emotion"] for start in batches]
    return np.concatenate(logits).argmax(1) == labels


if __name__ == "__main__":
    main()
