"""`ferkeras predict` on a generated film of two people: speed by stage, faces found, sound, memory; a Markdown page.

    python benchmarks/predict_video.py RUN [--seconds 20 60 120] [--output docs/predict_video.md]

Each film is made by `benchmarks/film.py`, and read by a process of its own: `ferkeras predict RUN film.mp4 --annotate
DIR --output rows.csv`, whose peak memory is that of the whole process.
"""

import argparse
import csv
import multiprocessing
import os
import resource
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
from film import HEIGHT, PEOPLE, RATE, WIDTH, overlap, true_boxes, write_film

from ferkeras.files import write_atomically

#: A face counts as found where its box overlaps the true one at least so much: detectors draw their boxes differently.
OVERLAP = 0.4


@dataclass(frozen=True)
class Measured:
    """One film.

    Attributes:
        seconds: Of the work alone: without starting Python, loading TensorFlow and the networks, and compiling.
        stages: Stage -> seconds.
        peak_mib: Peak of the resident memory of the process.
    """

    seconds: float
    stages: dict[str, float]
    peak_mib: float


def measure(run: str, film: Path, folder: Path) -> Measured:
    """Runs the command in this process, which must be a fresh one."""
    from ferkeras.cli import command
    from ferkeras.prediction import predictor
    from ferkeras.prediction.stages import Stages

    stages = Stages()
    words = [run, str(film), "--annotate", str(folder / "copy.mp4"), "--output", str(folder / "rows.csv")]
    with mock.patch.object(predictor, "Stages", return_value=stages):
        if command.run_command("predict", words) != 0:
            raise SystemExit("ferkeras predict failed")
    return Measured(
        sum(stages.seconds.values()),
        dict(stages.seconds),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def in_a_process(run: str, film: Path, folder: Path) -> Measured:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (run, film, folder))


def found(rows: Path) -> tuple[float, int, int]:
    """Share of the true faces that are found in their frame, changes of the number of a person, and other boxes."""
    by_frame: dict[int, list[tuple[int, np.ndarray]]] = {}
    with rows.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            boxes = by_frame.setdefault(int(row["frame"]), [])
            if row["face_found"] == "1":
                box = np.array([float(row[key]) for key in ("x", "y", "width", "height")])
                boxes.append((int(row["track_id"]), box))
    hits, switches, other = 0, 0, 0
    numbers: list[int | None] = [None] * PEOPLE
    for frame, boxes in by_frame.items():
        taken = set()
        for person, true in enumerate(true_boxes(frame / RATE)):
            overlaps = [overlap(true, box) for _, box in boxes]
            if not overlaps or max(overlaps) < OVERLAP:
                continue
            best = int(np.argmax(overlaps))
            taken.add(best)
            hits += 1
            switches += numbers[person] not in (None, boxes[best][0])
            numbers[person] = boxes[best][0]
        other += len(boxes) - len(taken)
    return hits / (PEOPLE * len(by_frame)), switches, other


def length_and_sound(path: Path) -> tuple[float, list[bytes]]:
    """Seconds of the pictures, and the packets of the sound as they are stored."""
    import av

    with av.open(str(path)) as container:
        video = container.streams.video[0]
        seconds = float(video.duration * video.time_base)
        return seconds, [bytes(packet) for packet in container.demux(audio=0) if packet.size]


PAGE = """# Predicting a film: speed, memory and what is kept

Printed by `python benchmarks/predict_video.py {run} --seconds {lengths}` on {cores} CPU cores. The films
({width}x{height}, {rate} frames/s, H.264 with AAC sound) are made by `benchmarks/film.py`: two faces of 85 to 150
pixels that move and turn. Each is read by `ferkeras predict {run} film.mp4 --annotate copy.mp4 --output rows.csv` in a
process of its own.

{table}

* frames/s: all stages together, without loading TensorFlow and the networks.
* found: of the faces in all frames, those with a box that overlaps theirs by at least {overlap} (intersection over
  union).
* other boxes: of all frames together. id switches: changes of the `track_id` of a person.
* longer: by how much the annotated copy is longer than the film, in frames.
* sound: whether its packets in the copy are those of the film, byte by byte.
* peak MiB: of the whole process, TensorFlow and the networks included.

Where the time of the film of {longest} s went ({frames} frames):

| stage | seconds | share | ms a frame |
|---|---|---|---|
{stages}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder, or the name of one under saved_models")
    parser.add_argument("--seconds", type=float, nargs="+", default=[20, 60, 120], help="lengths of the films")
    parser.add_argument("--work", type=Path, help="folder to keep films and results in; default: a temporary one")
    parser.add_argument("--output", type=Path, help="Markdown file; without it the page is printed")
    options = parser.parse_args()
    lines = [
        "| film, s | frames/s | found | other boxes | id switches | longer, frames | sound | peak MiB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as temporary:
        for seconds in options.seconds:
            folder = (options.work or Path(temporary)) / f"{seconds:g}"
            folder.mkdir(parents=True, exist_ok=True)
            film = folder / "film.mp4"
            if not film.exists():
                write_film(film, seconds)
            start = time.perf_counter()
            measured = in_a_process(options.run, film, folder)
            print(f"{seconds:g} s: {time.perf_counter() - start:.0f} s, start included", flush=True)
            share, switches, other = found(folder / "rows.csv")
            (before, sound), (after, copied) = length_and_sound(film), length_and_sound(folder / "copy.mp4")
            same = "identical" if sound == copied else "different"
            lines.append(
                f"| {seconds:g} | {seconds * RATE / measured.seconds:.1f} | {share:.2%} | {other} | {switches} "
                f"| {(after - before) * RATE:+.2f} | {same} | {measured.peak_mib:.0f} |"
            )
            print(lines[-1], flush=True)
    frames = options.seconds[-1] * RATE
    by_time = sorted(measured.stages.items(), key=lambda item: -item[1])
    stages = [
        f"| {name} | {spent:.1f} | {spent / measured.seconds:.0%} | {1000 * spent / frames:.1f} |"
        for name, spent in by_time
    ]
    page = PAGE.format(
        run=Path(options.run).name,
        lengths=" ".join(f"{seconds:g}" for seconds in options.seconds),
        cores=os.cpu_count(),
        width=WIDTH,
        height=HEIGHT,
        rate=RATE,
        overlap=OVERLAP,
        table="\n".join(lines),
        longest=f"{options.seconds[-1]:g}",
        frames=f"{frames:g}",
        stages="\n".join(stages),
    )
    if options.output is None:
        print(page)
    else:
        write_atomically(options.output, page)


if __name__ == "__main__":
    main()
