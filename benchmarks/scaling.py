"""Images per second of training as the work grows, as a Markdown report: where one more device, a larger batch, a
larger network, longer clips or more data pay, and whether the input pipeline keeps up.

    python benchmarks/scaling.py [--parts replicas batch model clips data precision] [--steps 8] [--output FILE.md]

Every row is a process of its own, since devices are divided up before TensorFlow computes: it prepares or opens
generated faces, reads one epoch of batches without a network (the input pipeline alone), builds its graph in two steps
that do not count, and takes the median of `--steps` training steps with the pipeline working beside them. Compare rows
within a table only: they were measured minutes apart. Linux and macOS.
"""

import argparse
import functools
import itertools
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from ferkeras.benchmark import machine
from ferkeras.data.preparation import prepare
from ferkeras.files import write_atomically
from ferkeras.models.flops import multiply_adds
from ferkeras.recipe import Augment, Data, Model, Optimizer, Recipe, override, resolve
from ferkeras.recipe_data import ClipWindows
from ferkeras.training.cluster import cluster_config, free_addresses
from ferkeras.training.distribute import open_distribution
from ferkeras.training.loop import make_model
from ferkeras.training.task import open_examples
from ferkeras.training.trainee import Trainee

#: Steps before the clock counts: the first builds the graph, the second allocates.
WARM_UP = 2
#: Multiples of the smallest data set, and its number of faces.
SIZES, FACES = (1, 2, 5, 10), 300
#: Frames of a generated clip, the longest window.
LONGEST = 32


@dataclass(frozen=True)
class Case:
    """One row: what is trained, on which data and devices."""

    name: str
    """What varies."""
    model: str = "vgg11_lstm_attention"
    options: dict[str, Any] = field(default_factory=dict)
    batch: int = 64
    side: int = 48
    channels: Literal[1, 3] = 1
    examples: int = 512
    frames: int = 0
    """T of clips; 0 for stills."""
    replicas: int = 1
    workers: int = 1
    dtype: str = "float32"
    whole_epoch: bool = False
    """Also time an epoch from its beginning to its end."""
    group: str = ""
    """Rows are compared with the first of their group."""

    @property
    def devices(self) -> int:
        return self.replicas * self.workers


def recipe_of(case: Case) -> Recipe:
    clips = ClipWindows(frames=case.frames, min_frames=case.frames) if case.frames else None
    data = Data(
        dataset_of(case),
        target="valence_arousal" if clips else "label",
        clips=clips,
        image_size=(case.side, case.side),
        channels=case.channels,
    )
    recipe = Recipe(
        "scaling",
        Model(case.model, case.options),
        data,
        Augment(rotation=10.0, translation=0.1, zoom=0.1),
        optimizer=Optimizer("adamw", weight_decay=1e-3),
        batch_size=case.batch,
    )
    kind = "multi_worker" if case.workers > 1 else "mirrored" if case.replicas > 1 else "one_device"
    devices = [f"distribute.strategy={kind}", f"distribute.replicas={case.replicas}"]
    return resolve(override(recipe, [f"dtype={case.dtype}", *devices]))


def dataset_of(case: Case) -> str:
    kind = f"clips{LONGEST}" if case.frames else "stills"
    return f"synthetic_faces/scaling_{kind}_{case.side}_{case.channels}_{case.examples}"


def prepare_data(case: Case, *, data_dir: Path) -> dict[str, float]:
    """Seconds in which the faces of `case` are drawn and written."""
    values = {"size": case.side, "channels": case.channels, "frames": LONGEST if case.frames else 0}
    values |= {"train": case.examples, "validation": 7, "test": 0}
    start = time.perf_counter()
    prepare(dataset_of(case), data_dir=data_dir, settings=[f"{key}={value}" for key, value in values.items()])
    return {"prepare": time.perf_counter() - start}


class Clock(keras.callbacks.Callback):
    """Notes the end of every step."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        float((logs or {})["loss"])  # waits for the step where the backend runs ahead
        self.ends.append(time.perf_counter())

    def seconds_per_step(self) -> float:
        ends = self.ends[WARM_UP - 1 :]
        return statistics.median(end - start for start, end in itertools.pairwise(ends))


def measure(case: Case, *, data_dir: Path, steps: int) -> dict[str, float]:
    """What a row is made of, by the names in `COLUMNS`; images are frames where clips are trained on."""
    recipe = recipe_of(case)
    distribution = open_distribution(recipe.distribute)  # first: it decides which devices there are
    keras.utils.set_random_seed(0)
    data = open_examples(recipe, data_dir=data_dir)
    _pass(data.training(0))  # decodes, and keeps in memory
    reading = _pass(data.training(1))
    model = make_model(recipe, data, pretrained=False)
    trainee = Trainee(
        model,
        recipe,
        steps_per_epoch=data.steps_per_epoch,
        class_counts=data.class_counts(recipe.data.train),
        distribution=distribution,
    )
    clock, frames = Clock(), case.frames or 1
    trainee.train(data.training(2).repeat().take(WARM_UP + steps), callbacks=[clock])
    found = {
        "images": frames * case.batch / clock.seconds_per_step(),
        "input": frames * data.epoch_size / reading,
        "parameters": model.count_params(),
        "multiply_adds": multiply_adds(model),
    }
    if case.whole_epoch:
        start = time.perf_counter()
        trainee.train(data.training(3), callbacks=[])
        found["epoch"] = time.perf_counter() - start
        found["epoch_face"] = found["epoch"] / case.examples
    unit = 1 << (20 if sys.platform == "darwin" else 10)
    return found | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}


def _pass(batches: Iterable[Any]) -> float:
    """Seconds to read `batches`."""
    start = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - start


def _digits(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


Row = Mapping[str, float]
#: Column -> its text for a row, from its case and numbers and those of the row that it is compared with.
COLUMNS: dict[str, Callable[[Case, Row, Row], str]] = {
    "images/s": lambda case, row, base: _digits(row["images"]),
    "times the first": lambda case, row, base: f"{row['images'] / base['images']:.2f}",
    "efficiency": lambda case, row, base: f"{row['images'] / base['images'] / case.devices:.2f}",
    "ms/step": lambda case, row, base: f"{1000 * case.batch * (case.frames or 1) / row['images']:.0f}",
    "batch": lambda case, row, base: f"{case.batch}",
    "clips/s": lambda case, row, base: _digits(row["images"] / case.frames),
    "parameters, M": lambda case, row, base: f"{row['parameters'] / 1e6:.2f}",
    "multiply-adds, M": lambda case, row, base: f"{row['multiply_adds'] / 1e6:.0f}",
    "G multiply-adds/s": lambda case, row, base: _digits(row["multiply_adds"] * row["images"] / 1e9),
    "input alone, images/s": lambda case, row, base: _digits(row["input"]),
    "input / training": lambda case, row, base: f"{row['input'] / row['images']:.1f}",
    "memory, MiB": lambda case, row, base: f"{row['memory']:.0f}",
    "prepare, s": lambda case, row, base: f"{row['prepare']:.1f}",
    "prepare, ms/face": lambda case, row, base: f"{1000 * row['prepare'] / case.examples:.1f}",
    "epoch, s": lambda case, row, base: f"{row['epoch']:.1f}",
    "epoch, ms/face": lambda case, row, base: f"{1000 * row['epoch_face']:.2f}",
    "epoch efficiency": lambda case, row, base: f"{base['epoch_face'] / row['epoch_face']:.2f}",
}
RATES = ("images/s", "times the first", "input / training")


@dataclass(frozen=True)
class Part:
    """A table: its heading, what its first column is called, further columns, and rows."""

    title: str
    varies: str
    columns: Sequence[str]
    cases: Sequence[Case]


def parts(gpus: int) -> dict[str, Part]:
    """The tables for a machine with so many GPUs, 0 for a CPU."""
    one = Case("1 device")
    counts = [n for n in (2, 4, 8) if n <= gpus] if gpus else [2, 4]
    kind = "GPUs" if gpus else "parts of the CPU"
    devices = [replace(one, name=f"{n} {kind}", replicas=n) for n in counts]
    if not gpus:  # two processes would take the same GPUs
        devices.append(replace(one, name="2 local workers", workers=2))
    devices += [replace(case, batch=case.devices * one.batch) for case in devices]
    networks = [
        Case("small_cnn", "xception_dense", options={"backbone": "small_cnn"}),
        *(Case(name, name) for name in ("fer_mobile", "vgg11_lstm_attention", "fer_vgg", "resnet18", "vgg19")),
        Case("emonext_tiny, 96x96", "emonext_tiny", batch=16, side=96),
    ]
    clip = Case("", "efficientnet_lstm", options={"backbone": "small_cnn"}, batch=4, side=64, examples=24, frames=4)
    faces = Case("", "xception_dense", options={"backbone": "small_cnn"}, side=64, channels=3, whole_epoch=True)
    trained = [Case("vgg11_lstm_attention"), Case("fer_mobile", "fer_mobile")]
    dtypes = ["float32", "mixed_bfloat16"]
    if gpus:
        trained[1] = Case("emonext_tiny, 224x224", "emonext_tiny", batch=32, side=224, examples=320)
        long = replace(clip, name="efficientnet_lstm, 16 frames of 224x224", options={}, side=224, frames=16)
        trained, dtypes = [*trained, long], [*dtypes, "mixed_float16"]
    batches = [Case(str(batch), batch=batch) for batch in (8, 16, 32, 64, 128, 256)]
    clips = [replace(clip, name=str(frames), frames=frames) for frames in (4, 8, 16, LONGEST)]
    arithmetic = [
        replace(case, name=f"{case.name}, {dtype}", group=case.name, dtype=dtype)
        for case in trained
        for dtype in dtypes
    ]
    return {
        "replicas": Part("Devices", "devices", ("batch", *RATES, "efficiency", "memory, MiB"), [one, *devices]),
        "batch": Part("Batch size", "batch", (*RATES, "ms/step", "memory, MiB"), batches),
        "model": Part(
            "Networks", "network", ("parameters, M", "multiply-adds, M", *RATES, "G multiply-adds/s"), networks
        ),
        "clips": Part("Length of clips", "frames", ("clips/s", *RATES, "memory, MiB"), clips),
        "data": Part(
            "Size of the data set",
            "faces",
            (
                *("prepare, s", "prepare, ms/face", "epoch, s", "epoch, ms/face", "epoch efficiency"),
                *("input alone, images/s", "memory, MiB"),
            ),
            [replace(faces, name=str(FACES * times), examples=FACES * times) for times in SIZES],
        ),
        "precision": Part("Arithmetic", "network and arithmetic", (*RATES, "memory, MiB"), arithmetic),
    }


def in_a_process(job: Callable[..., dict[str, float]], case: Case, *, workers: int = 1, **values: Any) -> Row:
    """What `job` returns for `case` in a process of its own; of several workers, what the first returns.

    The processes are forks of one that has imported TensorFlow and not used it, which spares most of their start.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ferkeras.training.loop", "tensorflow_datasets"])
    addresses = free_addresses(workers)
    clusters = [cluster_config(addresses, index) if workers > 1 else "" for index in range(workers)]
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        first, *_ = pool.map(functools.partial(_in_cluster, job, case, values), clusters)
        return first


def _in_cluster(job: Callable[..., dict[str, float]], case: Case, values: Mapping[str, Any], cluster: str) -> Row:
    if cluster:
        os.environ["TF_CONFIG"] = cluster
    return job(case, **values)


def table(part: Part, *, data_dir: Path, steps: int) -> Iterator[str]:
    """The lines of a Markdown table, each as soon as it is measured."""
    yield f"| {part.varies} | " + " | ".join(part.columns) + " |"
    yield "|---|" + "---:|" * len(part.columns)
    bases: dict[str, Row] = {}
    for case in part.cases:
        row: dict[str, float] = {}
        if not (data_dir / dataset_of(case)).exists():
            row |= in_a_process(prepare_data, case, data_dir=data_dir)
        row |= in_a_process(measure, case, workers=case.workers, data_dir=data_dir, steps=steps)
        base = bases.setdefault(case.group, row)
        yield f"| {case.name} | " + " | ".join(COLUMNS[name](case, row, base) for name in part.columns) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = parts(gpus=len(tf.config.list_physical_devices("GPU")))
    parser.add_argument("--parts", nargs="+", choices=list(known), default=list(known))
    parser.add_argument("--steps", type=int, default=8, help="timed steps of each row")
    parser.add_argument("--output", type=Path, help="Markdown file; the report is printed in any case")
    args = parser.parse_args()
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    page: list[str] = []

    def say(line: str) -> None:
        print(line, flush=True)
        page.append(line)

    say(f"Measured on {machine()}; load of the machine when it began {os.getloadavg()[0]:.1f}.")
    with tempfile.TemporaryDirectory() as data_dir:
        for name in args.parts:
            say(f"\n### {known[name].title}\n")
            for line in table(known[name], data_dir=Path(data_dir), steps=args.steps):
                say(line)
    if args.output:
        write_atomically(args.output, "\n".join(page) + "\n")


if __name__ == "__main__":
    main()
