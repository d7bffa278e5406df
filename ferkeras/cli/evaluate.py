"""Measures a run, or one of its exports, on every example of a split."""

import argparse
import dataclasses
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.cli.command import add_data_arguments, add_run_argument, load_tensorflow, run_command
from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.modelcard import write_model_card
from ferkeras.recipe import Distribute
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    from ferkeras.inference import Runner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--dataset", help="another data set with the same classes (default: the recipe's)")
    parser.add_argument("--split", help="default: the recipe's test split")
    parser.add_argument(
        "--tta",
        choices=("none", "flip", "ten_crop"),
        default="none",
        help="test-time augmentation; the sides of ten crops are the recipe's augment.crop where that is under 1, "
        "else 40/48 of the image's",
    )
    parser.add_argument(
        "--artifact",
        default="keras",
        metavar="keras|saved_model|FILE.tflite",
        help="what to run (default: keras)",
    )
    parser.add_argument(
        "--strategy", choices=("one_device", "mirrored"), default="one_device", help="which devices run"
    )
    parser.add_argument(
        "--replicas", type=int, default=0, metavar="N", help="mirrored: GPUs, or parts of the CPU (default: all GPUs)"
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.json",
        help="write here (default: the run's metrics.json, plots, card)",
    )


def run(args: argparse.Namespace) -> None:
    if args.replicas < 0:
        raise InputError("--replicas must be at least 0", received=args.replicas)
    if args.strategy == "mirrored" and args.artifact != "keras":
        raise InputError("--strategy mirrored runs the Keras model", received=args.artifact, action="Leave one out.")
    folder = RunFolder.find(args.run_name, root=args.runs)
    recipe = folder.recipe()
    if args.dataset:
        # Those of the run, found by their names.
        classes = recipe.data.classes or (folder.labels() if recipe.heads == ("emotion",) else ())
        data_set = dataclasses.replace(recipe.data, dataset=args.dataset, parts=(), classes=classes)
        recipe = dataclasses.replace(recipe, data=data_set)
    if args.output is None and not folder.is_finished():
        raise InputError(
            "The run is not finished; what is measured would be its result",
            received=str(folder.path),
            action="Finish it with train.py --resume, or name a file by --output.",
        )
    load_tensorflow()
    from ferkeras.data.opening import fingerprints
    from ferkeras.evaluation import collect, measure, table, write_plots
    from ferkeras.training.task import open_examples

    runner = _runner(folder, args)
    data = open_examples(recipe, data_dir=args.data_dir, manual_dir=args.manual_dir)
    if data.class_names and data.class_names != folder.labels():
        raise InputError(
            "The data set has other classes than the run",
            received=", ".join(data.class_names),
            action=f"The run knows {', '.join(folder.labels())}.",
        )
    split = args.split or recipe.data.test
    recorded = folder.environment()["data"].get(split, {}).get("sha256")
    present = fingerprints(data).get(split, {}).get("sha256")
    if not args.dataset and recorded and present and present != recorded:
        warnings.warn(
            f"The split {split} is not the one the run was trained beside (other images or order).",
            stacklevel=1,
        )

    found = collect(runner, data, split=split, tta=args.tta)
    means = folder.environment().get("training_means")
    result = measure(found, seed=recipe.seed, training_means=means) | {"artifact": args.artifact}
    print(table(result))
    if args.output is not None:
        write_atomically(args.output, json.dumps(result, indent=2) + "\n")
    else:
        folder.write_json("metrics.json", result)
        write_plots(folder, result, found)
        if "imported" not in folder.environment():  # such a run has the card that `import-weights` wrote
            write_model_card(folder, result)


def _runner(folder: RunFolder, args: argparse.Namespace) -> "Runner":
    from ferkeras.artifacts import open_artifact
    from ferkeras.training.distribute import open_distribution

    distribution = open_distribution(Distribute(args.strategy, args.replicas))
    if distribution is None:
        return open_artifact(folder, args.artifact)
    from ferkeras.training.replicas import replica_runner

    with distribution.scope():
        model = folder.load_model()
    return replica_runner(distribution, model)


def main() -> None:
    """`python evaluate.py`."""
    sys.exit(run_command("evaluate", sys.argv[1:], prog="evaluate.py"))
