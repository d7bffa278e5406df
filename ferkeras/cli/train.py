"""Trains a recipe and leaves a run folder: model, recipe, labels, metrics, plots, model card."""

import argparse
import sys
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, load_tensorflow, run_command
from ferkeras.errors import InputError
from ferkeras.recipe import Aggregation, Recipe, override, resolve
from ferkeras.recipes import DEFAULT, load_recipe
from ferkeras.runs import RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", default=DEFAULT, metavar="RECIPE", help=f"default: {DEFAULT}")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change a value of the recipe",
    )
    parser.add_argument("--name", help="name of the run (default: the recipe's)")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("saved_models"),
        metavar="DIR",
        help="the folder of runs (saved_models)",
    )
    add_data_arguments(parser)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run from its last epoch")
    parser.add_argument(
        "--init-from",
        type=Path,
        metavar="RUN|FILE",
        help="take the first weights from a run folder or .keras file",
    )
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard event files")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved recipe and write nothing")


def run(args: argparse.Namespace) -> None:
    recipe, _ = load_recipe(args.recipe)
    recipe = resolve(override(recipe, args.set))
    workdir = args.output / (args.name or recipe.name)
    started = (workdir / "recipe.json").exists()
    if started and not args.resume:
        raise InputError(
            "There is a run of this name already",
            received=str(workdir),
            action="Continue it with --resume, or choose another --name.",
        )
    if args.resume:
        if not started:
            raise InputError("There is no run to resume", received=str(workdir), action="Leave out --resume.")
        recipe = _recorded(workdir, recipe, changed=bool(args.set))
    if args.dry_run:
        print(recipe.to_json())
        return

    if RunFolder(workdir).is_finished():
        print(f"ferkeras: {workdir} is finished already.", file=sys.stderr)
        return
    if recipe.aggregation is not None:
        _aggregate(recipe.aggregation, recipe, workdir, args)
        return
    load_tensorflow()
    from ferkeras.training.finish import finish
    from ferkeras.training.loop import run as train

    try:
        folder = train(
            recipe,
            workdir,
            data_dir=args.data_dir,
            manual_dir=args.manual_dir,
            resume=args.resume,
            init_from=args.init_from,
            tensorboard=args.tensorboard,
        )
        print(finish(folder, data_dir=args.data_dir))
    except KeyboardInterrupt:
        if (workdir / "recipe.json").exists():
            print("\nferkeras: The finished epochs are kept; --resume continues after the last one.", file=sys.stderr)
        raise


def _aggregate(how: Aggregation, recipe: Recipe, workdir: Path, args: argparse.Namespace) -> None:
    source = RunFolder.find(how.run, root=args.output)
    load_tensorflow()
    from ferkeras.aggregation.aggregator import Settings
    from ferkeras.aggregation.run import aggregate

    settings = Settings(how.method, how.classifier, how.components)
    folders = {"data_dir": args.data_dir, "manual_dir": args.manual_dir}
    print(aggregate(source, workdir, settings=settings, clips=recipe, **folders))


def _recorded(workdir: Path, recipe: Recipe, *, changed: bool) -> Recipe:
    """The recipe that the run at `workdir` began with, which `recipe` must not contradict."""
    recorded = RunFolder(workdir).recipe()
    if changed and recorded != recipe:
        raise InputError(
            "A run is resumed with the recipe it began with",
            received="another value by --set",
            action="Leave out --set, or begin a new run with --name.",
        )
    return recorded


def main() -> None:
    """`python train.py`."""
    sys.exit(run_command("train", sys.argv[1:], prog="train.py"))
