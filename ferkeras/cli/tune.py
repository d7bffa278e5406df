"""Trains variants of a recipe and compares them on the validation split: every combination of some values (`--grid`),
or values drawn from ranges, several trials at once, on Ray Tune (`--search`).

Each trial is a run folder. Finished ones are skipped when the command is given again, and an interrupted one goes on
from its last epoch.
"""

import argparse
import functools
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, load_tensorflow, model_names
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError
from ferkeras.recipe import Recipe, override, resolve
from ferkeras.recipes import load_recipe
from ferkeras.tuning import Result, Trial, make_trials, parse_grid, run_grid
from ferkeras.tuning.search import METHODS, Method, plan_search, run_search, train_trial
from ferkeras.tuning.space import read_search

_TRIALS = 20

EXAMPLE = f"""\
example, 32 trials of what the source reports varied:
  ferkeras tune vgg11_lstm_dropout_fer2013 --grid optimizer.learning_rate=1e-4,1e-3 batch_size=32,64 \\
      model.options.dropout=0.3,0.5 duration=30ep,60ep patience=5,10

A comma separates values unless quotes or brackets enclose it: 'data.image_size=[48,48],[64,64]'.

example, {_TRIALS} draws from the ranges in space.toml, two at a time, bad ones stopped early:
  ferkeras tune quickstart --search space.toml --method asha --workers 2

  [space]
  "optimizer.learning_rate" = {{loguniform = [1e-5, 1e-2]}}
  "model.options.dropout" = {{uniform = [0.2, 0.6]}}
  batch_size = {{choice = [16, 32, 64]}}
  patience = {{int = [3, 10]}}

docs/tuning.md has the rest of the file. --search needs: pip install "ferkeras[tune]"
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXAMPLE
    parser.add_argument("recipe", metavar="RECIPE", help="what the trials have in common, see `ferkeras recipes`")
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--grid",
        nargs="+",
        action="extend",
        metavar="KEY=V1,V2",
        help="keys of the recipe with their values, as for --set",
    )
    how.add_argument("--search", type=Path, metavar="FILE", help="a .toml or .json file with search spaces")
    parser.add_argument("--method", choices=METHODS, help="with --search: how values are chosen (random)")
    parser.add_argument("--trials", type=int, metavar="N", help=f"with --search: how many ({_TRIALS}; not for grid)")
    parser.add_argument("--workers", type=int, metavar="N", help="with --search: trials at a time (1)")
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="a value for all trials"
    )
    parser.add_argument("--name", help="name of the folder (default: that of the recipe and _grid or _search)")
    parser.add_argument(
        "--output", type=Path, default=Path("saved_models"), metavar="DIR", help="where its folder goes (saved_models)"
    )
    add_data_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="list the trials and write nothing")


def run(args: argparse.Namespace) -> None:
    recipe, _ = load_recipe(args.recipe)
    recipe = resolve(override(recipe, args.set))
    kind = "search" if args.search else "grid"
    folder = args.output / (args.name or f"{recipe.name}_{kind}")
    try:
        results = _search(recipe, folder, args) if args.search else _grid(recipe, folder, args)
    except KeyboardInterrupt:
        if (folder / f"{kind}.json").exists():
            print("\nferkeras: What is done is kept; the same command goes on from there.", file=sys.stderr)
        raise
    if results:
        _show(results, recipe, folder, args)


def _grid(recipe: Recipe, folder: Path, args: argparse.Namespace) -> list[Result]:
    given = [f"--{name}" for name in ("method", "trials", "workers") if getattr(args, name) is not None]
    if given:
        raise InputError("These go with --search", received=" ".join(given), action="Leave them out with --grid.")
    grid = parse_grid(args.grid)
    trials = make_trials(recipe, grid)
    model_names([trial.recipe.model.name for trial in trials])
    if args.dry_run:
        _list(trials)
        return []
    load_tensorflow()
    return run_grid(recipe, grid, folder, data_dir=args.data_dir, manual_dir=args.manual_dir)


def _search(recipe: Recipe, folder: Path, args: argparse.Namespace) -> list[Result]:
    method: Method = args.method or "random"
    workers = 1 if args.workers is None else args.workers
    if workers < 1:
        raise InputError("There is at least one worker", received=workers, action="Give another --workers.")
    if method == "grid" and args.trials is not None:
        raise InputError("A grid has as many trials as combinations", received="--trials", action="Leave it out.")
    search = read_search(args.search)
    trials = plan_search(recipe, search, method=method, count=_TRIALS if args.trials is None else args.trials)
    model_names([trial.recipe.model.name for trial in trials])
    if args.dry_run:
        _list(trials)
        return []
    from ferkeras.tuning.ray_runner import RayRunner, check_ray

    check_ray()
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # this process looks at the data; its trials train
    load_tensorflow()
    data_dir, manual_dir = _absolute(args.data_dir), _absolute(args.manual_dir)
    folder = folder.absolute()
    train = functools.partial(train_trial, data_dir=data_dir, manual_dir=manual_dir)
    runner = RayRunner(search, folder, workers=workers, asha=method == "asha", train=train)
    return run_search(
        recipe, search, trials, folder, method=method, runner=runner, data_dir=data_dir, manual_dir=manual_dir
    )


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _list(trials: Sequence[Trial]) -> None:
    keys = list(trials[0].values)
    print_table(["trial", *keys], [[trial.name, *(trial.values[key] for key in keys)] for trial in trials])


def _show(results: Sequence[Result], recipe: Recipe, folder: Path, args: argparse.Namespace) -> None:
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
