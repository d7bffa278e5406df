"""This package beside `fer` 25.10 (MIT), in one run on the same pictures, film and cores; a Markdown page.

    python benchmarks/against_fer.py RUN --peer-python fer_venv/bin/python [--data-dir DIR]
        [--output docs/against_fer.md]

RUN takes stills and was trained on FER2013. The peer lives in an environment of its own, whose making is described in
`benchmarks/fer_peer.py`; it is measured as it is shipped, with its Haar cascade and with both forms of its network.
Speeds are of rounds that take turns, so that what else the machine does hits both; a ratio is that of one round.
"""

import argparse
import functools
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
from film import FACE, PORTRAIT, RATE, background, draw, overlap, true_boxes, write_film

from ferkeras.data.sources import builder
from ferkeras.files import write_atomically
from ferkeras.inference import Runner, keras_runner
from ferkeras.prediction.predictor import Predictor
from ferkeras.prediction.result import FrameResult

OURS, PEERS = "ferkeras", {"fer, Keras": "keras", "fer, TFLite": "tflite"}
#: A face counts as found where a box overlaps the true one so much; both draw their boxes differently.
OVERLAP = 0.4
#: Sides of the portrait, whose face is 0.19 of it wide; pictures with two faces; faces that a network sees at once.
PORTRAITS, SCENES, BATCH = (128, 256, 512, 1024, 2048), 20, 64
#: Pictures of scikit-image without a person.
EMPTY = ("brick", "grass", "gravel", "coffee", "chelsea", "coins", "moon", "text", "rocket", "page", "clock", "horse")

Boxes = list[list[list[float]]]


class Peer:
    """The process of the peer: tasks go in, answers come out, see `fer_peer.py`."""

    def __init__(self, python: Path) -> None:
        script = Path(__file__).with_name("fer_peer.py")
        self._process = subprocess.Popen(
            [str(python), str(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, **task: Any) -> dict[str, Any]:
        if self._process.stdin is None or self._process.stdout is None:
            raise SystemExit("The peer has no pipes.")
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"The peer has ended on {task}. Run fer_peer.py in its environment by hand to see why.")
        return json.loads(answer)

    def close(self) -> None:
        self._process.communicate()


def ours(predictor: Predictor, task: str, files: Sequence[Path]) -> dict[str, Any]:
    """The same answer as the peer's for the tasks `images` and `video`."""
    start = time.perf_counter()
    results: Iterable[FrameResult] = predictor.pictures(files) if task == "images" else predictor.video(files[0])
    boxes = [[face.face.box.tolist() for face in result.faces] for result in results]
    return {"boxes": boxes, "seconds": time.perf_counter() - start}


def classified(run: Runner, faces: np.ndarray) -> tuple[np.ndarray, float]:
    """(N, K) logits of faces (N, H, W, 1), and the seconds they took."""
    run(faces[:BATCH])  # compiles
    start = time.perf_counter()
    logits = [run(faces[first : first + BATCH])["emotion"] for first in range(0, len(faces), BATCH)]
    return np.concatenate(logits), time.perf_counter() - start


def add_peer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--peer-python", type=Path, required=True, help="Python of the peer's environment")
    parser.add_argument("--data-dir", type=Path, help="prepared data; default: as TensorFlow Datasets")
    parser.add_argument("--output", type=Path, help="Markdown file; without it the page is printed")


def write_pictures(folder: Path) -> dict[str, tuple[list[Path], list[np.ndarray]]]:
    """Name of a group -> its PNG files, and the true boxes (N, 4) of each."""
    behind = background()
    groups: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {
        f"portrait of {side} px": [
            (cv2.resize(PORTRAIT, (side, side), interpolation=cv2.INTER_AREA), FACE[None] * side / 512)
        ]
        for side in PORTRAITS
    }
    groups["scenes, two faces"] = [(draw(3.1 * i, behind), true_boxes(3.1 * i)) for i in range(SCENES)]
    empty = [getattr(skimage.data, name)() for name in EMPTY]
    groups[f"{len(EMPTY) + 1} pictures without a face"] = [(behind, np.zeros((0, 4)))] + [
        (rgb(picture), np.zeros((0, 4))) for picture in empty
    ]
    written = {}
    for number, (name, pictures) in enumerate(groups.items()):
        files = [folder / f"{number}_{index}.png" for index in range(len(pictures))]
        for file, (picture, _) in zip(files, pictures, strict=True):
            cv2.imwrite(str(file), np.ascontiguousarray(picture[..., ::-1]))
        written[name] = files, [boxes for _, boxes in pictures]
    return written


def rgb(picture: np.ndarray) -> np.ndarray:
    picture = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture[..., :3]


def hits(boxes: Boxes, truth: Sequence[np.ndarray]) -> tuple[int, int]:
    """Of all pictures or frames: true faces that are found, and boxes without a face."""
    found, other = 0, 0
    for frame, faces in zip(boxes, truth, strict=True):
        overlaps = np.array([[overlap(true, np.array(box)) for box in frame] for true in faces])
        overlaps = overlaps.reshape(len(faces), len(frame))
        found += int((overlaps.max(axis=1, initial=0) >= OVERLAP).sum())
        other += int((overlaps.max(axis=0, initial=0) < OVERLAP).sum())
    return found, other


def in_turns(rounds: int, systems: Mapping[str, Callable[[], float]]) -> list[str]:
    """Cells of a row: the median rate of each system, the peers' with how many times as fast ours is in the median."""
    for measure in systems.values():
        measure()  # compiles, and fills the caches of files
    rates = {name: np.empty(rounds) for name in systems}
    for index in range(rounds):
        for name, measure in systems.items():
            rates[name][index] = measure()
    times = {name: np.median(rates[OURS] / values) for name, values in rates.items()}
    return [f"{np.median(values):.1f}" + (f" ({times[n]:.2f})" if n != OURS else "") for n, values in rates.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder, or the name of one under saved_models")
    add_peer_arguments(parser)
    parser.add_argument("--seconds", type=int, default=10, help="length of the film")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    predictor, peer = Predictor(options.run), Peer(options.peer_python)
    rows: list[list[str]] = []

    def add(*cells: str) -> None:
        rows.append(list(cells))
        print("| " + " | ".join(cells) + " |", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        groups = write_pictures(Path(temporary))
        film = Path(temporary) / "film.mp4"
        write_film(film, options.seconds)
        moving = [true_boxes(index / RATE) for index in range(options.seconds * RATE)]

        def ask(name: str, task: str, files: Sequence[Path]) -> dict[str, Any]:
            if name == OURS:
                return ours(predictor, task, files)
            given = {"files": list(map(str, files))} if task == "images" else {"file": str(files[0])}
            return peer(task=task, network=PEERS[name], **given)

        for group, (files, truth) in groups.items():
            cells = []
            for name in (OURS, *PEERS):
                found, other = hits(ask(name, "images", files)["boxes"], truth)
                faces = sum(map(len, truth))
                cells.append((f"{found} of {faces}, " if faces else "") + f"{other} false")
            add(group, *cells)
        cells = []
        for name in (OURS, *PEERS):
            found, other = hits(ask(name, "video", [film])["boxes"], moving)
            cells.append(f"{found / sum(map(len, moving)):.1%}, {other} false")
        add(f"film of {options.seconds} s, two faces", *cells)

        def rate(name: str, task: str, files: Sequence[Path], count: int) -> float:
            return count / ask(name, task, files)["seconds"]

        scenes = groups["scenes, two faces"][0]
        measures = {n: functools.partial(rate, n, "images", scenes, SCENES) for n in (OURS, *PEERS)}
        add("scenes, pictures/s", *in_turns(options.rounds, measures))
        measures = {n: functools.partial(rate, n, "video", [film], len(moving)) for n in (OURS, *PEERS)}
        add("film, frames/s", *in_turns(options.rounds, measures))

        pictures, labels, names = public_test(options.data_dir)
        np.save(Path(temporary) / "faces.npy", pictures[..., 0])
        run = keras_runner(predictor.folder.load_model())
        inputs = np.stack([np.asarray(predictor.crop.preprocessing(picture)) for picture in pictures])

        def crops(network: str) -> dict[str, Any]:
            return peer(task="crops", network=network, file=str(Path(temporary) / "faces.npy"))

        def alone(network: str) -> float:
            """Faces/s of a network that is given faces."""
            seconds = crops(network)["seconds"] if network else classified(run, inputs)[1]
            return len(inputs) / seconds

        right = {OURS: by_name(classified(run, inputs)[0], predictor.labels) == names[labels]}
        parameters = []
        for name, network in PEERS.items():
            answer = crops(network)
            parameters.append(answer["parameters"])
            right[name] = by_name(np.array(answer["probabilities"]), answer["labels"]) == names[labels]
        cells = [accuracy(right[OURS]), *(accuracy(right[name], right[OURS]) for name in PEERS)]
        add(f"{len(labels)} faces of PublicTest: accuracy, %", *cells)
        measures = {name: functools.partial(alone, PEERS.get(name, "")) for name in (OURS, *PEERS)}
        add("network alone, faces/s", *in_turns(options.rounds, measures))
        add("parameters", f"{predictor.folder.load_model().count_params():,}", *(f"{count:,}" for count in parameters))
    peer.close()
    page = PAGE.format(
        run=Path(options.run).name,
        cores=os.cpu_count(),
        seconds=options.seconds,
        table="\n".join("| " + " | ".join(row) + " |" for row in rows),
        head="| | " + " | ".join((OURS, *PEERS)) + " |",
        overlap=OVERLAP,
        rounds=options.rounds,
    )
    if options.output is None:
        print(page)
    else:
        write_atomically(options.output, page)


def public_test(data_dir: Path | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N, 48, 48, 1) uint8, labels (N,), and the names (K,) of the labels."""
    made = builder("fer2013", data_dir=data_dir)
    examples = list(made.as_dataset(split="validation", shuffle_files=False))
    pictures = np.stack([example["image"].numpy() for example in examples])
    return pictures, np.array([int(e["label"]) for e in examples]), np.array(made.info.features["label"].names)


def by_name(scores: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """(N,) the name of the best of (N, K) scores: the order of the classes is each system's own."""
    return np.array(names)[scores.argmax(1)]


def accuracy(right: np.ndarray, ours: np.ndarray | None = None) -> str:
    """Percent of right answers (N,); of a peer also by how much ours are better, with the 95 % interval over pairs."""
    if ours is None:
        return f"{100 * right.mean():.1f}"
    more = ours.astype(float) - right
    return f"{100 * right.mean():.1f} ({100 * more.mean():+.1f} ± {196 * more.std(ddof=1) / np.sqrt(len(more)):.1f})"


PAGE = """# Beside the package `fer`

Printed by `python benchmarks/against_fer.py {run} --peer-python fer_venv/bin/python --seconds {seconds}` on {cores} CPU
cores: this package with the run `{run}` and its default settings (MTCNN), and `fer` 25.10.3 with its own (OpenCV's
Haar cascade), with the Keras file of its network and with the quantised one that it takes unless told otherwise.

{head}
|---|---|---|---|
{table}

* The first rows: faces of which a box overlaps the true one by at least {overlap} (intersection over union), and false
  boxes. The face of the portrait takes 0.19 of its width: 24 pixels in the smallest.
* pictures/s, frames/s, faces/s: medians of {rounds} rounds in which the three take turns; in brackets how many times as
  fast this package is, in the median of the rounds. Reading files is part of the first two. The scenes and the film are
  1280 x 720 pixels, made by `benchmarks/film.py`. In a film this package looks for faces in every fifth frame, and in
  those between where people come, go or jump; `fer` looks in every frame.
* PublicTest is the validation split of FER2013, given as faces without detection. In brackets how many points this
  package is better, with the 95 % interval over pairs. Both networks were trained on FER2013; the run was selected by
  this split, and on what the peer's was selected is not known.
* The peer's other detector, MTCNN by `facenet-pytorch`, was not measured.
"""


if __name__ == "__main__":
    main()
