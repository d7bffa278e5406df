"""How the work of preparing pictures divides among processes, as a Markdown table.

    python benchmarks/prepare.py [--pictures 400] [--sizes 1 2 5 10] [--workers 1 2 4] [--side 224] [--output FILE.md]

JPEG files of generated noise are prepared as `face_folder/whole`, in each size of the data set and with each number of
processes, each time by a command of its own. "Here" and "in workers" are seconds of CPU time, by all processes and
without what importing TensorFlow takes in each of them, which is measured on an empty start. Others are started where
what is left after a second of work is enough to pay (`tfds_builders.base.processes`). The ratio compares wall-clock
time with one process; it means something only on a machine with nothing else to do.
Exits with 1 where two numbers of processes lead to other records.
"""

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ferkeras.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
CLASSES = ("happy", "sad")
#: Prepares and prints the CPU seconds of this process from after the imports to the end.
HERE = """
if __name__ == "__main__":
    import resource, sys
    from pathlib import Path
    import numpy
    from ferkeras.data.preparation import prepare
    from tfds_builders.base import shared
    shared._png(numpy.zeros((8, 8, 3), "uint8"), (8, 8, 3))
    before = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    files, data_dir, workers = sys.argv[1:]
    made = prepare("face_folder/whole", manual_dir=Path(files), data_dir=Path(data_dir), workers=int(workers))
    here, others = (sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(here - before, others, made._pool.started)
"""


@dataclass(frozen=True)
class Measured:
    """One preparation: seconds of CPU time in the command and in its workers, of wall-clock time, and the records."""

    here: float
    in_workers: float
    seconds: float
    started: bool
    records: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400, help="in the smallest data set (400)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 5, 10])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--side", type=int, default=224, help="height and width of a picture (224)")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    lines = [
        f"| pictures, {args.side} x {args.side} | processes | others started | CPU s here | in workers | s | ratio |",
        "| ---: | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    equal = True
    start = _start_seconds()
    with tempfile.TemporaryDirectory() as name:
        for size in args.sizes:
            files = Path(name) / f"files_{size}"
            _draw(files, count=args.pictures * size, side=args.side)
            measured = {workers: _measure(files, Path(name), workers) for workers in args.workers}
            first = next(iter(measured.values()))
            for workers, found in measured.items():
                equal &= found.records == first.records
                work = max(0.0, found.in_workers - start * workers) if found.started else 0.0
                lines.append(
                    f"| {args.pictures * size} | {workers} | {'yes' if found.started else 'no'} | {found.here:.1f} | "
                    f"{work:.1f} | {found.seconds:.1f} | {first.seconds / found.seconds:.2f} |"
                )
                print(lines[-1], file=sys.stderr, flush=True)
    table = "\n".join(lines) + f"\n\nStarting a worker takes {start:.1f} s of CPU time.\n"
    print(table)
    if args.output:
        write_atomically(args.output, table)
    sys.exit(not equal)


def _draw(folder: Path, *, count: int, side: int) -> None:
    """`count` different JPEG files in two class folders: noise, smoothed so that it compresses like a picture."""
    chance = np.random.default_rng(0)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
    for number in range(count):
        noise = chance.integers(0, 256, (side // 8, side // 8, 3), np.uint8)
        picture = cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
        if not cv2.imwrite(str(folder / CLASSES[number % len(CLASSES)] / f"{number:06d}.jpg"), picture):
            sys.exit(f"{folder} cannot be written to")


def _measure(files: Path, folder: Path, workers: int) -> Measured:
    with tempfile.TemporaryDirectory(dir=folder) as data_dir:
        begun = time.perf_counter()
        words = _run(HERE, str(files), data_dir, str(workers)).split()
        seconds = time.perf_counter() - begun
        records = hashlib.sha256()
        for path in sorted(Path(data_dir).rglob("*.tfrecord*")):
            records.update(path.read_bytes())
    return Measured(float(words[0]), float(words[1]), seconds, words[2] == "True", records.hexdigest())


def _start_seconds() -> float:
    """CPU seconds that a worker takes to import what it needs and to compress its first picture."""
    before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    _run("from tfds_builders.base import shared\nimport numpy\nshared._png(numpy.zeros((8, 8, 3), 'uint8'), (8, 8, 3))")
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before


def _run(code: str, *words: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "measured.py"  # workers begin by importing the file of their parent
        file.write_text(code)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run([sys.executable, str(file), *words], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


if __name__ == "__main__":
    main()
