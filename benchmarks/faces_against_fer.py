"""Networks of this package and of `fer` 25.10 on the same faces, clean and corrupted; a Markdown page.

    python benchmarks/faces_against_fer.py RUN ... --peer-python fer_venv/bin/python [--data-dir DIR] [--examples N]
        [--output docs/faces_against_fer.md]

Each RUN takes stills and was trained on FER2013. The peer lives in an environment of its own, see
`benchmarks/fer_peer.py`. The faces are those of PublicTest, the validation split; they are made worse before any
network prepares them, so that all see the same pixels. No speed is measured: `benchmarks/against_fer.py` does that.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from against_fer import BATCH, PEERS, Peer, add_peer_arguments, public_test

from ferkeras.calibration import read_calibration
from ferkeras.corruptions import STRENGTHS
from ferkeras.data.preprocess import Preprocessing
from ferkeras.files import write_atomically
from ferkeras.inference import keras_runner, softmax
from ferkeras.metrics import classification_report
from ferkeras.robustness import corrupted_batches, summarised
from ferkeras.runs import RunFolder

#: Faces (N, 48, 48, 1) uint8 to probabilities (N, K) in the order of the data set's classes.
System = Callable[[np.ndarray], np.ndarray]


def of_run(folder: RunFolder, names: Sequence[str]) -> System:
    shape = folder.preprocessing()
    prepare = Preprocessing(shape["height"], shape["width"], shape["channels"])
    run, order = keras_runner(folder.load_model()), [folder.labels().index(name) for name in names]

    def classify(faces: np.ndarray) -> np.ndarray:
        inputs = np.stack([np.asarray(prepare(face)) for face in faces])
        parts = [run(inputs[first : first + BATCH])["emotion"] for first in range(0, len(inputs), BATCH)]
        return softmax(np.concatenate(parts))[:, order]

    return classify


def of_peer(peer: Peer, network: str, names: Sequence[str], file: Path) -> System:
    """The peer's probabilities are rounded, and rows are brought back to a sum of 1."""

    def classify(faces: np.ndarray) -> np.ndarray:
        np.save(file, faces[..., 0], allow_pickle=False)
        answer = peer(task="crops", network=network, file=str(file))
        found = np.array(answer["probabilities"])[:, [answer["labels"].index(name) for name in names]]
        return found / found.sum(axis=1, keepdims=True)

    return classify


def measure(
    systems: dict[str, System], faces: np.ndarray, places: np.ndarray, *, corruptions: Sequence[str]
) -> dict[str, dict[tuple[str, int], np.ndarray]]:
    """System -> (corruption, severity) -> probabilities (N, K)."""
    found: dict[str, dict[tuple[str, int], np.ndarray]] = {name: {} for name in systems}
    for key, worse in corrupted_batches(faces, places, corruptions, seed=0):
        for name, classify in systems.items():
            found[name][key] = classify(worse)
        print(*key, file=sys.stderr, flush=True)
    return found


def rows_of(
    found: dict[str, dict[tuple[str, int], np.ndarray]], labels: np.ndarray, names: Sequence[str]
) -> list[list[str]]:
    """Accuracy, macro F1, ECE, NLL, the recall of each class, and the accuracy under each corruption."""
    clean = [classification_report(labels, p["clean", 0], names) for p in found.values()]
    worse = [summarised(p, labels, names) for p in found.values()]
    rows = [[key, *(_with_interval(report, key) for report in clean)] for key in ("accuracy", "macro_f1")]
    rows += [[key, *(f"{report[key]:.4f}" for report in clean)] for key in ("ece", "nll")]
    for name in names:
        recalls = [report["per_class"][name]["recall"] for report in clean]
        rows.append([f"recall, {name}", *("" if recall is None else f"{recall:.4f}" for recall in recalls)])
    means = [f"{one['mean_corruption_accuracy']:.4f} ({_between(one['interval'])})" for one in worse]
    rows.append(["mean corruption accuracy", *means])
    for kind in worse[0]["corruptions"]:
        rows.append([kind.replace("_", " "), *(f"{one['corruptions'][kind]['mean_accuracy']:.4f}" for one in worse)])
    return rows


def _with_interval(report: dict[str, Any], key: str) -> str:
    return f"{report[key]:.4f} ({_between(report['confidence_intervals'][key])})"


def _between(interval: Sequence[float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folders, or names of some under saved_models")
    add_peer_arguments(parser)
    parser.add_argument("--examples", type=int, help="so many faces, drawn with seed 0 (default: all)")
    options = parser.parse_args()
    folders = {Path(run).name: RunFolder.find(run) for run in options.runs}
    if len(folders) < len(options.runs):
        parser.error(f"Runs must have different names. Received: {' '.join(options.runs)}.")
    pictures, labels, known = public_test(options.data_dir)
    names = known.tolist()
    places = np.sort(np.random.default_rng(0).permutation(len(labels))[: options.examples])
    faces, labels, peer = pictures[places], labels[places], Peer(options.peer_python)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "faces.npy"
        systems = {name: of_run(folder, names) for name, folder in folders.items()}
        systems |= {name: of_peer(peer, network, names, file) for name, network in PEERS.items()}
        found = measure(systems, faces, places, corruptions=list(STRENGTHS))
    peer.close()
    calibrations = {name: read_calibration(folder) for name, folder in folders.items()}
    temperatures = [f"`{name}` by T = {c['temperature']:.4f}" for name, c in calibrations.items() if c]
    page = PAGE.format(
        runs=" ".join(folders),
        options=f" --examples {options.examples}" if options.examples else "",
        count=len(labels),
        calibrated=", ".join(temperatures) or "none of the runs",
        head="| | " + " | ".join(systems) + " |\n|---" + "|---" * len(systems) + "|",
        table="\n".join("| " + " | ".join(row) + " |" for row in rows_of(found, labels, names)),
    )
    if options.output is None:
        print(page)
    else:
        write_atomically(options.output, page)


PAGE = """# Faces beside the package `fer`

Printed by `python benchmarks/faces_against_fer.py {runs} --peer-python fer_venv/bin/python{options}`:
networks of this package, and that of `fer` 25.10.3 as the Keras file of its package and as the quantised one.

{head}
{table}

* {count} faces of PublicTest, the validation split of FER2013, given as faces without detection. The runs were
  selected by this split; on what the peer's was selected is not known. In brackets 95 % intervals.
* The first rows are of clean faces. Calibrated on this split: {calibrated}; the peer has no such step.
* Each corruption: the mean accuracy over its five severities, see `docs/evaluation.md`.
"""


if __name__ == "__main__":
    main()
