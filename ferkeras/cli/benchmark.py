"""Measures a run on this machine (training, input pipeline, inference), or with --models how fast models are."""

import argparse
import dataclasses
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path

from ferkeras.cli.artifacts import open_artifact
from ferkeras.cli.command import add_run_argument, image_shape, load_tensorflow, model_names
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError
from ferkeras.runs import RunFolder

PARTS = ("training", "pipeline", "inference")
PARTS_OF_MODELS = ("training", "inference")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser, optional=True)
    parser.add_argument(
        "--models",
        nargs="*",
        metavar="NAME",
        help="instead of a run: a Markdown table of these models, or of all, with new weights and random pictures",
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, help="default: all; models have no pipeline")
    parser.add_argument(
        "--artifact",
        nargs="+",
        default=["keras", "saved_model", "float32.tflite"],
        metavar="ARTIFACT",
        help="what inference of a run compares, as far as it is there (default: keras saved_model float32.tflite)",
    )
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
    if args.models is None:
        _benchmark_run(args)
    else:
        _benchmark_models(args)


def _benchmark_run(args: argparse.Namespace) -> None:
    if args.input is not None:
        raise InputError("--input goes with --models; a run has its own", received="x".join(map(str, args.input)))
    folder = RunFolder.find(args.run_name, root=args.runs)
    recipe, labels, parts = folder.recipe(), folder.labels(), args.part or PARTS
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
        for name in args.artifact:
            try:
                runners[name] = open_artifact(folder, name)
            except InputError as error:
                print(f"\nLeft out: {error}")
        if runners:
            print(f"\nInference, {size} images at once (LiteRT one after another)")
            speeds = inference_speed(runners, images)
            print_table(head, [[s.name, f"{s.images_per_second:.0f}", f"{s.ratio:.2f}"] for s in speeds])


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
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
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
        return f"{speed:.0f}" if speed >= 10 else f"{speed:.2g}"
    print(f"ferkeras: {name}, {part}: {reason.rstrip('.')}.", file=sys.stderr)
    return word


def _begin_apart() -> None:
    """Before a measurement: no lines of TensorFlow's, and the first to go, not the parent, where memory runs out."""
    with suppress(OSError):  # Linux alone has this file
        Path("/proc/self/oom_score_adj").write_text("1000")
    load_tensorflow()
