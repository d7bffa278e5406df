"""What finding and aligning a face costs a network that was trained on cut-out faces, beside `fer` 25.10; a page.

    python benchmarks/whole_pictures.py RUN --peer-python fer_venv/bin/python [--data-dir DIR] [--pictures 1000]
        [--output docs/whole_pictures.md]

RUN takes stills and was trained on FER2013. Faces of PublicTest, the validation split, are enlarged into pictures with
a border around them (`benchmarks/framing.py`), once upright and once turned in the plane. In these each system looks
for the face and names its emotion, and its answer is compared with the one it gives to the face as it lies in FER2013.
The peer lives in an environment of its own, see `benchmarks/fer_peer.py`.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
from against_fer import Peer, add_peer_arguments, by_name, public_test
from framing import enlarged

from ferkeras.faces.detection import Detector, Faces, create_detector
from ferkeras.files import write_atomically
from ferkeras.prediction.predictor import Predictor

#: Faces are turned by at most so many degrees to either side.
MOST_TURNED = 25

#: Picture files to the emotion of the largest face in each, "" where there is none.
System = Callable[[Sequence[Path]], np.ndarray]


class BoxesAlone:
    """A detector without its landmarks, so that faces are cut out by their boxes and stay turned as they are."""

    def __init__(self, detector: Detector) -> None:
        self.name, self._detect = f"{detector.name}, boxes alone", detector

    def __call__(self, images: Sequence[np.ndarray]) -> list[Faces]:
        found = self._detect(images)
        return [Faces(faces.boxes, faces.scores, np.full_like(faces.landmarks, np.nan)) for faces in found]


def of_run(run: str, detector: str | Detector) -> System:
    predictor = Predictor(run, detector=detector, faces="largest")

    def judge(files: Sequence[Path]) -> np.ndarray:
        return np.array([result.faces[0].emotion if result.faces else "" for result in predictor.pictures(files)])

    return judge


def of_peer(peer: Peer) -> System:
    """The network that the package takes unless told otherwise, behind its own detector."""

    def judge(files: Sequence[Path]) -> np.ndarray:
        answer = peer(task="images", network="tflite", files=list(map(str, files)))
        areas = [[width * height for _, _, width, height in boxes] for boxes in answer["boxes"]]
        best = zip(answer["emotions"], areas, strict=True)
        return np.array([names[int(np.argmax(sizes))] if sizes else "" for names, sizes in best])

    return judge


def cut_out(peer: Peer, faces: np.ndarray, file: Path) -> np.ndarray:
    """What the peer's network says of faces (N, 48, 48, 1) that need not be found."""
    np.save(file, faces[..., 0], allow_pickle=False)
    answer = peer(task="crops", network="tflite", file=str(file))
    return by_name(np.array(answer["probabilities"]), answer["labels"])


def turned(photo: np.ndarray, degrees: float) -> np.ndarray:
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def written(photos: Sequence[np.ndarray], folder: Path) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{index}.png" for index in range(len(photos))]
    for file, photo in zip(files, photos, strict=True):
        cv2.imwrite(str(file), photo)  # grey: the order of the channels does not matter
    return files


def row(name: str, found: np.ndarray, *, plain: np.ndarray, truth: np.ndarray) -> str:
    """Shares of all and of the faces that are found, and the change to the same ones as they are, over pairs."""
    seen = found != ""
    right, before = (names[seen] == truth[seen] for names in (found, plain))
    change = right.astype(float) - before
    cells = [np.mean(seen), np.mean(found == truth), right.mean(), before.mean()]
    half = 196 * change.std(ddof=1) / np.sqrt(len(change))
    shares = " | ".join(f"{100 * share:.1f}" for share in cells)
    return f"| {name} | {shares} | {100 * change.mean():+.1f} ± {half:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder, or the name of one under saved_models")
    add_peer_arguments(parser)
    parser.add_argument("--pictures", type=int, default=1000, help="so many faces, drawn with seed 0")
    options = parser.parse_args()
    pictures, labels, names = public_test(options.data_dir)
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.permutation(len(labels))[: options.pictures])
    faces, truth, peer = pictures[chosen], names[labels[chosen]], Peer(options.peer_python)
    upright = [enlarged(face) for face in faces]
    angles = rng.uniform(-MOST_TURNED, MOST_TURNED, len(faces))
    mtcnn = create_detector("mtcnn")
    systems = {
        "ferkeras, MTCNN, aligned (as it is used)": of_run(options.run, mtcnn),
        "ferkeras, MTCNN, boxes alone": of_run(options.run, BoxesAlone(mtcnn)),
        "ferkeras, Haar, boxes": of_run(options.run, "haar"),
        "fer, Haar, boxes (as it is used)": of_peer(peer),
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        plain = of_run(options.run, "none")(written(list(faces), folder / "faces"))
        peer_plain = cut_out(peer, faces, folder / "faces.npy")
        tables = []
        for title, photos in (
            ("upright", upright),
            ("turned", [turned(photo, angle) for photo, angle in zip(upright, angles, strict=True)]),
        ):
            files = written(photos, folder / title)
            tables.append(HEAD.format(title=title))
            for name, judge in systems.items():
                own = peer_plain if name.startswith("fer,") else plain
                tables[-1] += "\n" + row(name, judge(files), plain=own, truth=truth)
    peer.close()
    page = PAGE.format(
        run=Path(options.run).name, pictures=options.pictures, count=len(faces), most=MOST_TURNED, tables=tables
    )
    if options.output is None:
        print(page)
    else:
        write_atomically(options.output, page)


HEAD = """| {title} | found, % | right, % of all | right, % of those found | the same as they are | difference |
|---|---|---|---|---|---|"""

PAGE = """# Faces in whole pictures

Printed by `python benchmarks/whole_pictures.py {run} --peer-python fer_venv/bin/python --pictures {pictures}`:
what finding and aligning a face costs the network of the run `{run}`, and that of `fer` 25.10.3 in its quantised form.

{tables[0]}

{tables[1]}

* {count} faces of PublicTest, the validation split of FER2013, enlarged to 192 pixels in pictures of 288 whose border
  repeats the outermost pixels. *Turned*: in the plane, by up to {most} degrees to either side.
* *As they are*: what the same network says of the same faces as they lie in FER2013, which need neither be found nor be
  cut out. The difference is that of the two columns before it, with its 95 % interval over pairs. A face that is not
  found counts as wrong in *right, % of all*; any box counts as found, wherever it lies.
* FER2013's faces are cut close, which makes them harder to find than those in photos are; `docs/against_fer.md` has
  photos. The largest face of a picture counts.
"""


if __name__ == "__main__":
    main()
