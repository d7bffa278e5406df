"""Trains a recipe once for each fold of the subjects, tests it on the subjects that it has not seen, and pools that.

In turn each fold is the test part, the next one the validation part, and the others are trained on. Folds are those of
the recipe's data.train, unless --folds or --folds-file names others.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ferkeras.cli.command import add_data_arguments, load_tensorflow, model_names
from ferkeras.cli.table import print_table
from ferkeras.crossvalidation import cross_validate, default_folds, is_begun, make_folds
from ferkeras.errors import InputError
from ferkeras.recipe import override, resolve
from ferkeras.recipes import load_recipe

#: Columns of `folds.csv` that are printed: of all kinds, of classes, and of valence and arousal.
_NAMES = ("fold", "subjects", "output", "predictor", "n")
_EMOTION_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "kappa")
_AFFECT_SCORES = ("accuracy", "within_one", "rmse", "pearson", "ccc", "sagr")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", metavar="RECIPE", help="what the folds have in common, see `ferkeras recipes`")
    folds = parser.add_mutually_exclusive_group()
    folds.add_argument("--folds", type=int, metavar="K", help="number of folds (default: the recipe's, else 5)")
    folds.add_argument(
        "--folds-file", type=Path, metavar="FILE.json", help="who is in which fold, as `ferkeras folds` writes it"
    )
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change a value of the recipe"
    )
    parser.add_argument("--name", help="name of the cross-validation (default: that of the recipe and _folds)")
    parser.add_argument(
        "--output", type=Path, default=Path("saved_models"), metavar="DIR", help="where its folder goes (saved_models)"
    )
    add_data_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted one; finished folds are kept")
    parser.add_argument("--dry-run", action="store_true", help="list the splits of each fold and write nothing")


def run(args: argparse.Namespace) -> None:
    recipe, _ = load_recipe(args.recipe)
    recipe = resolve(override(recipe, args.set))
    model_names([recipe.model.name])
    folds = args.folds_file or (default_folds(recipe) if args.folds is None else args.folds)
    recipes = make_folds(recipe, folds)
    folder = args.output / (args.name or f"{recipe.name}_folds")
    if is_begun(folder) and not args.resume:
        action = "Go on with it by --resume, or choose another --name."
        raise InputError("There is a cross-validation of this name already", received=str(folder), action=action)
    if args.resume and not is_begun(folder):
        raise InputError("There is no cross-validation to resume", received=str(folder), action="Leave out --resume.")
    if args.dry_run:
        print_table(
            ["fold", "train", "validation", "test"],
            [[name, own.data.train, own.data.validation, own.data.test] for name, own in recipes.items()],
        )
        return

    load_tensorflow()
    from ferkeras.evaluation import table

    try:
        done = cross_validate(recipe, folds, folder, data_dir=args.data_dir, manual_dir=args.manual_dir)
    except KeyboardInterrupt:
        if is_begun(folder):
            print("\nferkeras: Finished folds and epochs are kept; --resume goes on after them.", file=sys.stderr)
        raise
    _print(done.rows)
    print(f"\nAll folds pooled:\n{table(done.report)}")
    print(f"\nfolds.csv, metrics.json and the runs of the folds are in {folder}")


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    scores = _AFFECT_SCORES if "predictor" in rows[0] else _EMOTION_SCORES
    names = [name for name in _NAMES if name in rows[0]]
    cells = [
        [*(row[name] for name in names), *("" if row[name] is None else f"{row[name]:.4f}" for name in scores)]
        for row in rows
    ]
    print_table([*names, *scores], cells)
