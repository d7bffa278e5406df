"""Measures training, the input pipeline and inference of a run on this machine, as ratios within one run."""

import argparse
import dataclasses
from pathlib import Path

from ferkeras.cli.artifacts import open_artifact
from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError
from ferkeras.runs import RunFolder

PARTS = ("training", "pipeline", "inference")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="default: all")
    parser.add_argument(
        "--artifact",
        nargs="+",
        default=["keras", "saved_model", "float32.tflite"],
        metavar="ARTIFACT",
        help="what inference compares, as far as the run has it (default: keras saved_model float32.tflite)",
    )
    parser.add_argument("--batch-size", type=int, help="default: the recipe's in training, 64 in inference")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="prepared data, for the input pipeline")


def run(args: argparse.Namespace) -> None:
    folder = RunFolder.find(args.run_name, root=args.runs)
    recipe, labels = folder.recipe(), folder.labels()
    if args.batch_size is not None:
        if args.batch_size < 1:
            raise InputError("--batch-size must be at least 1", received=args.batch_size)
        recipe = dataclasses.replace(recipe, batch_size=args.batch_size)
    load_tensorflow()
    import numpy as np

    from ferkeras.benchmark import inference_speed, machine, pipeline_speed, training_speed
    from ferkeras.data.pipeline import StillPipeline
    from ferkeras.data.sources import prepare

    print(f"{folder.path.name} on {machine()}")
    head = ["", "images/s", "ratio"]
    fastest = None
    if "training" in args.part:
        print(f"\nTraining, batches of {recipe.batch_size}, {recipe.optimizer.name}")
        speeds = training_speed(recipe, classes=len(labels))
        fastest = max(speed.images_per_second for speed in speeds)
        print_table(head, [[s.name, f"{s.images_per_second:.0f}", f"{s.ratio:.2f}"] for s in speeds])
    if "pipeline" in args.part:
        data = StillPipeline(prepare(recipe.data.dataset, data_dir=args.data_dir), recipe)
        rate = pipeline_speed(data, batch_size=recipe.batch_size)
        print(f"\nInput pipeline alone, {data.dataset}: {rate:.0f} images/s", end="")
        print(f", {rate / fastest:.0f} times the fastest training above" if fastest else "")
    if "inference" in args.part:
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
