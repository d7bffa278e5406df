"""Measures a run and its LiteRT files on every example of a split, or how much it keeps as pictures get worse."""

import argparse
import contextlib
import dataclasses
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkeras.cli.command import add_data_arguments, add_run_argument, add_tta_argument, load_tensorflow, run_command
from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.modelcard import write_model_card
from ferkeras.recipe import Distribute, Recipe
from ferkeras.runs import RunFolder
from ferkeras.training.lock import run_lock

if TYPE_CHECKING:
    from ferkeras.data.clip_pipeline import ClipPipeline
    from ferkeras.data.pipeline import StillPipeline
    from ferkeras.evaluation import Predictions
    from ferkeras.inference import Runner

#: A file whose logits are so much larger or smaller than the network's was made of it before it was calibrated.
STALE = 0.03


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--dataset", help="another data set with the same classes (default: the recipe's)")
    parser.add_argument("--split", help="default: the recipe's test split")
    add_tta_argument(parser)
    parser.add_argument(
        "--artifact",
        metavar="keras|saved_model|FILE.tflite",
        help="run this alone (default: keras, and every file of litert/ beside it)",
    )
    parser.add_argument(
        "--corruptions",
        nargs="*",
        metavar="NAME",
        help="measure under these corruptions (default: all 15) in 5 severities each; all of them are written to the "
        "run's robustness.json, plot and card",
    )
    parser.add_argument(
        "--examples", type=int, metavar="N", help="--corruptions: N images of the split, drawn by the recipe's seed"
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
    if args.examples is not None and (args.corruptions is None or args.examples < 1):
        action = "Use it with --corruptions; all else is measured on every example."
        raise InputError("--examples is a number of at least 1", received=args.examples, action=action)
    if args.strategy == "mirrored" and args.artifact not in (None, "keras"):
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
    action = "Wait until it ends, or name another file by --output."
    with run_lock(folder.path, action=action) if args.output is None else contextlib.nullcontext():
        _evaluate(folder, recipe, args)


def _evaluate(folder: RunFolder, recipe: Recipe, args: argparse.Namespace) -> None:
    from ferkeras.data.opening import fingerprints
    from ferkeras.evaluation import collect, comparison_table, measure, table, write_plots
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

    if args.corruptions is not None:
        _measure_robustness(folder, runner, data, recipe, split, args)
        return
    found = collect(runner, data, split=split, tta=args.tta)
    means = folder.environment().get("training_means")
    result = measure(found, seed=recipe.seed, training_means=means) | {"artifact": args.artifact or "keras"}
    print(table(result))
    if args.artifact is None and args.strategy == "one_device":
        artifacts = _compare_files(folder, found, result, data, recipe)
        if artifacts:
            result["artifacts"] = artifacts
            print(f"\nLiteRT files, in brackets the difference to Keras\n\n{comparison_table(artifacts)}")
    if args.output is not None:
        write_atomically(args.output, json.dumps(result, indent=2) + "\n")
    else:
        folder.write_json("metrics.json", result)
        write_plots(folder, result, found)
        _write_card(folder)


def _compare_files(
    folder: RunFolder,
    found: "Predictions",
    result: dict[str, Any],
    data: "StillPipeline | ClipPipeline",
    recipe: Recipe,
) -> dict[str, Any]:
    """What each LiteRT file of the run is worth beside the network; files that read frame by frame are left out."""
    from ferkeras.artifacts import open_artifact
    from ferkeras.evaluation import collect, compare, measure

    artifacts: dict[str, Any] = {}
    for path in sorted((folder.path / "litert").glob("*.tflite")):
        if path.stem.endswith("_step"):
            continue
        name = f"litert/{path.name}"
        print(f"Measuring {name}", file=sys.stderr, flush=True)
        try:
            given = collect(open_artifact(folder, path.name), data, split=found.about["split"], tta=found.about["tta"])
        except InputError as error:  # without the extra, or a broken file: the network's own numbers stand
            warnings.warn(f"{name} is not measured. {error}", stacklevel=1)
            continue
        report = measure(given, seed=recipe.seed)
        artifacts[name] = {
            "bytes": path.stat().st_size,
            **compare(given, report, reference=found, expected=result),
        }
        scale = artifacts[name]["logit_scale"]
        if scale is not None and abs(scale - 1) > STALE:
            told = f"its logits are {scale:.3f} times those of Keras: it is of the network before a calibration"
            warnings.warn(f"{name}: {told}. Export the run again.", stacklevel=1)
    return artifacts


def _measure_robustness(
    folder: RunFolder,
    runner: "Runner",
    data: "StillPipeline | ClipPipeline",
    recipe: Recipe,
    split: str,
    args: argparse.Namespace,
) -> None:
    """`--corruptions`: printed always, written as `--output` says, or to the run where it is all of the network's."""
    from ferkeras.calibration import model_hash
    from ferkeras.plots import plot_robustness
    from ferkeras.robustness import robustness, robustness_table
    from ferkeras.views import with_views

    def told(done: int, total: int) -> None:
        print(f"{done} of {total} images", file=sys.stderr, flush=True)

    artifact = args.artifact or "keras"
    report: dict[str, Any] = {"artifact": artifact, "model": model_hash(folder), "tta": args.tta}
    report |= robustness(
        with_views(runner, args.tta, fraction=data.ten_crop_fraction),
        data,
        split=split,
        names=args.corruptions,
        examples=args.examples,
        seed=recipe.seed,
        told=told,
    )
    print(robustness_table(report))
    if args.output is not None:
        write_atomically(args.output, json.dumps(report, indent=2) + "\n")
    elif artifact == "keras" and not args.corruptions:
        folder.write_json("robustness.json", report)
        plot_robustness(report, folder.path / "plots" / "robustness.png")
        _write_card(folder)


def _write_card(folder: RunFolder) -> None:
    """The card of what the run's `metrics.json` says; an imported run has the one that `import-weights` wrote."""
    metrics = folder.path / "metrics.json"
    if metrics.is_file() and "imported" not in folder.environment():
        write_model_card(folder, json.loads(metrics.read_text(encoding="utf-8")))


def _runner(folder: RunFolder, args: argparse.Namespace) -> "Runner":
    from ferkeras.artifacts import open_artifact
    from ferkeras.training.distribute import open_distribution

    distribution = open_distribution(Distribute(args.strategy, args.replicas))
    if distribution is None:
        return open_artifact(folder, args.artifact or "keras")
    from ferkeras.training.replicas import replica_runner

    with distribution.scope():
        model = folder.load_model()
    return replica_runner(distribution, model)


def main() -> None:
    """`python evaluate.py`."""
    sys.exit(run_command("evaluate", sys.argv[1:], prog="evaluate.py"))
