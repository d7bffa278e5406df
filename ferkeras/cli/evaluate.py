"""Measures a run, or one of its exports, on every example of a split."""

import argparse
import dataclasses
import json
import sys
import warnings
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, add_run_argument, load_tensorflow, run_command
from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.modelcard import write_model_card
from ferkeras.runs import RunFolder


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
    add_data_arguments(parser)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.json",
        help="write here (default: the run's metrics.json, plots, card)",
    )


def run(args: argparse.Namespace) -> None:
    folder = RunFolder.find(args.run_name, root=args.runs)
    recipe = folder.recipe()
    if args.dataset:
        # Those of the run, found by their names.
        classes = recipe.data.classes or (folder.labels() if recipe.heads == ("emotion",) else ())
        data_set = dataclasses.replace(recipe.data, dataset=args.dataset, parts=(), classes=classes)
        recipe = dataclasses.replace(recipe, data=data_set)
    load_tensorflow()
    from ferkeras.artifacts import open_artifact
    from ferkeras.data.opening import fingerprints
    from ferkeras.evaluation import collect, measure, table, write_plots
    from ferkeras.training.task import open_examples

    runner = open_artifact(folder, args.artifact)
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


def main() -> None:
    """`python evaluate.py`."""
    sys.exit(run_command("evaluate", sys.argv[1:], prog="evaluate.py"))
