"""Trains every combination of some values of a recipe, one after another, and compares them on the validation split.

Each trial is a run folder. Finished ones are skipped when the command is given again, and an interrupted one goes on
from its last epoch.
"""

import argparse
import shlex
import sys
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, load_tensorflow, model_names
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError
from ferkeras.recipe import override, resolve
from ferkeras.recipes import load_recipe
from ferkeras.tuning import Result, make_trials, parse_grid, run_grid

EXAMPLE = """\
example, 32 trials of what the source reports varied:
  ferkeras tune vgg11_lstm_dropout_fer2013 --grid optimizer.learning_rate=1e-4,1e-3 batch_size=32,64 \\
      model.options.dropout=0.3,0.5 duration=30ep,60ep patience=5,10

A comma separates values unless quotes or brackets enclose it: 'data.image_size=[48,48],[64,64]'.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument("recipe", metavar="RECIPE", help="what the trials have in common, see `ferkeras recipes`")
    parser.add_argument(
        "--grid",
        nargs="+",
        action="extend",
        required=True,
        metavar="KEY=V1,V2",
        help="keys of the recipe with their values, as for --set",
    )
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="a value for all trials"
    )
    parser.add_argument("--name", help="name of the grid (default: that of the recipe and _grid)")
    parser.add_argument(
        "--output", type=Path, default=Path("saved_models"), metavar="DIR", help="where its folder goes (saved_models)"
    )
    add_data_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="list the trials and write nothing")


def run(args: argparse.Namespace) -> None:
    recipe, _ = load_recipe(args.recipe)
    recipe = resolve(override(recipe, args.set))
    grid = parse_grid(args.grid)
    trials = make_trials(recipe, grid)
    model_names([trial.recipe.model.name for trial in trials])
    folder = args.output / (args.name or f"{recipe.name}_grid")
    if args.dry_run:
        print_table(["trial", *grid], [[trial.name, *(trial.values[key] for key in grid)] for trial in trials])
        return

    load_tensorflow()
    try:
        results = run_grid(recipe, grid, folder, data_dir=args.data_dir, manual_dir=args.manual_dir)
    except KeyboardInterrupt:
        if (folder / "grid.json").exists():
            print("\nferkeras: What is done is kept; the same command goes on from there.", file=sys.stderr)
        raise
    best = results[0]
    print_table(
        ["trial", recipe.score, "val_loss", "best epoch", "seconds", "status"],
        [[result.trial.name, *_cells(result), result.status] for result in results],
    )
    if best.status != "finished":
        raise InputError("No trial came to its end", received=best.status, action=f"See {folder}/results.csv.")
    words = [*args.set, *(f"{key}={value}" for key, value in best.trial.values.items())]
    print(f"\nBest by validation {recipe.monitor}: {folder / best.trial.name}")
    print(f"To repeat it: python train.py {args.recipe} --set {shlex.join(words)} --name NAME")


def _cells(result: Result) -> list[str]:
    if result.val_score is None or result.val_loss is None:
        return [""] * 4
    return [f"{result.val_score:.4f}", f"{result.val_loss:.4f}", str(result.best_epoch), f"{result.seconds:.0f}"]
