"""Cost of a new frame of a video: reading it alone, with the states of those before, or the last T frames again.

    python benchmarks/streaming.py [--rounds 30] [--output docs/streaming.md]

The network is `efficientnet_lstm_frames` with the small encoder, 64 x 64 grey pixels, first weights: speed does not
depend on them. The rows of the table are timed in turns, round by round, so that a machine that slows down for a while
slows all of them.
"""

import argparse
import dataclasses
import os
import platform
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from ferkeras.export.interface import interface_of
from ferkeras.export.litert import export_litert, load_litert
from ferkeras.export.litert_streaming import Stream
from ferkeras.files import write_atomically
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.models import create_model

LENGTHS = (4, 8, 16, 32, 64)
SIDE = 64
HEADS = {"valence": VALENCE_AROUSAL_BINS, "arousal": VALENCE_AROUSAL_BINS}


def measure(rounds: int) -> dict[int, tuple[float, float, float]]:
    """T -> median milliseconds of the whole clip, and of one step after T frames; largest difference of the two."""
    keras.utils.set_random_seed(0)
    options = {"backbone": "small_cnn"}
    model = create_model("efficientnet_lstm_frames", options, input_shape=(None, SIDE, SIDE, 1), classes=21)
    interface = interface_of(model, heads=HEADS, preprocessing={"frames": LENGTHS[0]})
    frames = np.random.default_rng(0).integers(0, 256, (1, LENGTHS[-1], SIDE, SIDE, 1), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        whole = {}
        for steps in LENGTHS:
            path = Path(folder) / f"{steps}.tflite"
            of_length = dataclasses.replace(interface, frames=steps)
            export_litert(model, path, interface=of_length, streaming=steps == LENGTHS[0])
            whole[steps] = load_litert(path, num_threads=1)
        stream = Stream(Path(folder) / f"{LENGTHS[0]}.tflite", num_threads=1)
        times: dict[int, list[tuple[float, float]]] = {steps: [] for steps in LENGTHS}
        differences = dict.fromkeys(LENGTHS, 0.0)
        for _ in range(rounds):
            stream.reset()
            for index in range(LENGTHS[-1]):
                begin = time.perf_counter()
                outputs = stream(frames[0, index])
                step_time = time.perf_counter() - begin
                steps = index + 1
                if steps in LENGTHS:
                    clip = {"frames": frames[:, :steps], "frame_mask": np.ones((1, steps), bool)}
                    begin = time.perf_counter()
                    expected = whole[steps](clip)
                    times[steps].append((time.perf_counter() - begin, step_time))
                    found = max(np.abs(expected[head][0, -1] - outputs[head]).max() for head in HEADS)
                    differences[steps] = max(differences[steps], float(found))
    medians = {steps: 1000 * np.median(pairs, axis=0) for steps, pairs in times.items()}
    return {steps: (*medians[steps].tolist(), differences[steps]) for steps in LENGTHS}


def page(found: dict[int, tuple[float, float, float]], rounds: int) -> str:
    lines = [
        "# Reading a video frame by frame",
        "",
        f"Milliseconds for a new frame, LiteRT float32, one thread of {platform.machine()}, median of {rounds} rounds:",
        "the last T frames as a clip, against the signature `step` with the states of the T - 1 frames before.",
        "",
        "| T | whole clip | step | ratio | largest difference of a logit |",
        "|---|---|---|---|---|",
    ]
    for steps, (whole, step, difference) in found.items():
        lines.append(f"| {steps} | {whole:.2f} | {step:.2f} | {whole / step:.1f} | {difference:.1e} |")
    lines += ["", "Written by `python benchmarks/streaming.py`.", ""]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--output", type=Path, default=Path("docs/streaming.md"))
    args = parser.parse_args()
    text = page(measure(args.rounds), args.rounds)
    write_atomically(args.output, text)
    print(text)


if __name__ == "__main__":
    main()
