"""Measures a run on this machine: training, input pipeline, inference, its exports; or with --models networks."""

import argparse
import dataclasses
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from ferkeras.artifacts import open_artifact
from ferkeras.cli.command import add_run_argument, image_shape, load_tensorflow, model_names
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError
from ferkeras.runs import RunFolder

PARTS = ("training", "pipeline", "inference", "artifacts")
PARTS_OF_CLIPS = ("artifacts",)
PARTS_OF_MODELS = ("training", "inference")
INFERENCE = ("keras", "saved_model", "float32.tflite")
THREADS = (1, 2)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser, optional=True)
    parser.add_argument(
        "--models",
        nargs="*",
        metavar="NAME",
        help="instead of a run: a Markdown table of these models, or of all, with new weights and random pictures",
    )
    parser.add_argument(
        "--part",
        nargs="+",
        choices=PARTS,
        help="default: all, of a run on clips artifacts; models have training and inference alone",
    )
    parser.add_argument(
        "--artifact",
        nargs="+",
        metavar="ARTIFACT",
        help="what inference and artifacts of a run compare, as far as it is there: keras, saved_model, names of "
        "files under litert/ (default of inference: keras saved_model float32.tflite; of artifacts: all)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="of artifacts: turns that each of them has (5)")
    parser.add_argument(
        "--batch-size",
        type=int,
        help="default: of a run the recipe's in training and 64 in inference; of models 32",
    )
    parser.add_argument(
        "--input",
        type=image_shape,
        metavar="HxWxC",
        help="pictures for --models (default: each model's published size)",
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="prepared data, for a run's input pipeline")


def run(args: argparse.Namespace) -> None:
    if (args.run_name is None) == (args.models is None):
        received = "neither" if args.models is None else f"{args.run_name} and --models"
        action = "Name a run for its speed, or --models for that of the networks."
        raise InputError("benchmark measures either a RUN or --models", received=received, action=action)
    if args.batch_size is not None and args.batch_size < 1:
        raise InputError("--batch-size must be at least 1", received=args.batch_size)
    if args.rounds < 1:
        raise InputError("--rounds must be at least 1", received=args.rounds)
    if args.models is None:
        _benchmark_run(args)
    else:
        _benchmark_models(args)


def _benchmark_run(args: argparse.Namespace) -> None:
    if args.input is not None:
        raise InputError("--input goes with --models; a run has its own", received="x".join(map(str, args.input)))
    folder = RunFolder.find(args.run_name, root=args.runs)
    recipe = folder.recipe()
    parts = args.part or (PARTS_OF_CLIPS if recipe.data.clips else PARTS)
    if recipe.data.clips and not set(parts) <= set(PARTS_OF_CLIPS):
        raise InputError("Of a run on clips the artifacts are measured", received=f"--part {' '.join(parts)}")
    if set(parts) - {"artifacts"}:
        _benchmark_stills(args, folder, parts)
    if "artifacts" in parts:
        _benchmark_artifacts(args, folder)


def _benchmark_stills(args: argparse.Namespace, folder: RunFolder, parts: Sequence[str]) -> None:
    recipe, labels = folder.recipe(), folder.labels()
    if args.batch_size is not None:
        recipe = dataclasses.replace(recipe, batch_size=args.batch_size)
    load_tensorflow()
    import numpy as np

    from ferkeras.benchmark import inference_speed, machine, pipeline_speed, training_speed
    from ferkeras.data.opening import open_data

    print(f"{folder.path.name} on {machine()}")
    head = ["", "images/s", "ratio"]
    fastest = None
    if "training" in parts:
        print(f"\nTraining, batches of {recipe.batch_size}, {recipe.optimizer.name}")
        speeds = training_speed(recipe, classes=len(labels))
        fastest = max(speed.images_per_second for speed in speeds)
        print_table(head, [[s.name, f"{s.images_per_second:.0f}", f"{s.ratio:.2f}"] for s in speeds])
    if "pipeline" in parts:
        data = open_data(recipe, data_dir=args.data_dir)
        rate = pipeline_speed(data, batch_size=recipe.batch_size)
        print(f"\nInput pipeline alone, {data.dataset}: {rate:.0f} images/s", end="")
        print(f", {rate / fastest:.0f} times the fastest training above" if fastest else "")
    if "inference" in parts:
        size = args.batch_size or 64
        shape = (*recipe.data.image_size, recipe.data.channels)
        images = np.random.default_rng(0).integers(0, 256, (size, *shape), dtype=np.uint8)
        runners = {}
        for name in args.artifact or INFERENCE:
            try:
                runners[name] = open_artifact(folder, name)
            except InputError as error:
                print(f"\nLeft out: {error}")
        if runners:
            print(f"\nInference, {size} images at once (LiteRT one after another)")
            speeds = inference_speed(runners, images)
            print_table(head, [[s.name, f"{s.images_per_second:.0f}", f"{s.ratio:.2f}"] for s in speeds])


def _benchmark_artifacts(args: argparse.Namespace, folder: RunFolder) -> None:
    """Markdown tables, to be kept."""
    from ferkeras.benchmark_artifacts import BATCHES, candidates_of, measure

    found = candidates_of(folder)
    if args.artifact:
        known = [candidate.name for candidate in found]
        for name in args.artifact:
            if name not in known:
                received, action = name, f"There are {', '.join(known)}; more come from: ferkeras export RUN."
                raise InputError("There is no such artefact in the run", received=received, action=action)
        found = [candidate for candidate in found if candidate.name in args.artifact]
    load_tensorflow()
    from ferkeras.benchmark import machine
    from ferkeras.export.operator_profile import operator_profile

    shapes = _input_shapes(folder)
    taken = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in shapes.items())
    print(f"# {folder.path.resolve().name}\n")
    print(f"One example at a time ({taken}), {args.rounds} rounds in turn, on {machine()}.")
    print("Ready: from opening the file to the first answer. Memory: most of the process, of which libraries.\n")
    head = ["artefact", "MB", "threads", "ready, s", "p50, ms", "p95, ms", "p99, ms", "ratio", "memory, MB", "calls"]
    _markdown(head)
    for threads in THREADS:
        batches = BATCHES if threads == THREADS[-1] else ()
        results, failed = measure(found, shapes, threads=threads, rounds=args.rounds, batches=batches)
        for result in results:
            times = [f"{1e3 * result.percentile(percent):.3g}" for percent in (50, 95, 99)]
            size, ratio = f"{result.bytes / 1e6:.1f}", f"{result.ratio:.2f}"
            memory = f"{_megabytes(result.peak)}, {_megabytes(result.libraries)}"
            cells = [result.name, size, threads, f"{result.ready:.2f}", *times, ratio, memory, len(result.latencies)]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)
        for name, reason in failed.items():
            print(f"ferkeras: {name} with {threads} threads: {reason}", file=sys.stderr)
    print(f"\nExamples per second by batch, {THREADS[-1]} threads; a .tflite file takes them one after another.\n")
    _markdown(["artefact", *map(str, BATCHES)])
    for result in results:
        rates = [_rate(result.throughput[batch]) if batch in result.throughput else "-" for batch in BATCHES]
        print(f"| {' | '.join([result.name, *rates])} |")
    for path in sorted({candidate.path for candidate in found if candidate.kind == "litert"}):
        uses = operator_profile(path)
        print(f"\nOperators of {path.name} ({sum(use.count for use in uses)}), with the bytes of their constants.\n")
        _markdown(["operator", "count", "kB"])
        for use in uses:
            print(f"| {use.name} | {use.count} | {use.bytes / 1e3:.1f} |")


def _input_shapes(folder: RunFolder) -> dict[str, tuple[int, ...]]:
    """Name of an input -> its shape without the batch axis."""
    made = folder.preprocessing()
    shape = (made["height"], made["width"], made["channels"])
    if "frames" not in made:
        return {"image": shape}
    return {"frames": (made["frames"], *shape), "frame_mask": (made["frames"],)}


def _megabytes(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.0f}"


def _markdown(head: Sequence[str]) -> None:
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)


def _benchmark_models(args: argparse.Namespace) -> None:
    names, parts = model_names(args.models), tuple(args.part or PARTS_OF_MODELS)
    if not set(parts) <= set(PARTS_OF_MODELS):
        raise InputError("Models have no pipeline", received=" ".join(parts), action="Name a RUN for its pipeline.")
    batch_size = args.batch_size or 32
    load_tensorflow()
    from ferkeras.benchmark import machine, model_speed
    from ferkeras.models import MODELS
    from ferkeras.training.twin import can_fuse

    layers = ", layers of ferkeras.training.cpu" if can_fuse() else ""
    print(f"Batches of {batch_size} random pictures; training mixed_bfloat16, AdamW{layers}; inference float32.")
    print(f"{machine()}.\n")
    columns = ["model", "input", *(f"{part}, images/s" for part in parts)]
    _markdown(columns)
    for name in names:
        entry = MODELS[name]
        shape = args.input or entry.input_shape
        cells = [
            _speed_apart(model_speed, name, part, shape=shape, classes=entry.classes, batch_size=batch_size)
            for part in parts
        ]
        print(f"| {' | '.join([name, 'x'.join(map(str, shape)), *cells])} |", flush=True)


def _speed_apart(
    measure: Callable[..., float], name: str, part: str, *, shape: tuple[int, int, int], classes: int, batch_size: int
) -> str:
    """The cell of a table: images per second, or in a word why there is none, with the reason on standard error.

    It is measured in a process of its own. One that the system ends for lack of memory takes nothing else with it,
    and whatever a model held is free again for the next.
    """
    try:
        spawn = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
        with ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin_apart) as pool:
            task = pool.submit(measure, name, part, input_shape=shape, classes=classes, batch_size=batch_size)
            speed = task.result()
    except BrokenProcessPool:
        word, reason = "killed", "the system ended the process, most likely for lack of memory"
    except InputError as error:
        word, reason = "cannot be built", str(error)
    except Exception as error:  # whatever TensorFlow raises: the other models are still of interest
        exhausted = isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
        word, reason = "out of memory" if exhausted else "failed", (str(error) or repr(error)).splitlines()[0]
    else:
        return _rate(speed)
    print(f"ferkeras: {name}, {part}: {reason.rstrip('.')}.", file=sys.stderr)
    return word


def _rate(per_second: float) -> str:
    return f"{per_second:.0f}" if per_second >= 10 else f"{per_second:.2g}"


def _begin_apart() -> None:
    """Before a measurement: no lines of TensorFlow's, and the first to go, not the parent, where memory runs out."""
    with suppress(OSError):  # Linux alone has this file
        Path("/proc/self/oom_score_adj").write_text("1000")
    load_tensorflow()
