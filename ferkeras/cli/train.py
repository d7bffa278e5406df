"""Trains a recipe and leaves a run folder: model, recipe, labels, metrics, plots, model card."""

import argparse
import contextlib
import dataclasses
import os
import sys
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, load_tensorflow, run_command
from ferkeras.errors import InputError
from ferkeras.recipe import Aggregation, Recipe, override, resolve
from ferkeras.recipes import DEFAULT, load_recipe
from ferkeras.runs import RunFolder
from ferkeras.training.cluster import join_cluster, launch, task
from ferkeras.training.lock import run_lock


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
    group = parser.add_argument_group("several devices, see docs/distribute.md")
    group.add_argument(
        "--strategy",
        choices=("auto", "one_device", "mirrored", "multi_worker", "tpu"),
        help="short for --set distribute.strategy=...; may be another one with --resume",
    )
    group.add_argument("--workers", metavar="HOST:PORT,...", help="the processes that train together, the chief first")
    group.add_argument("--worker-index", type=int, metavar="N", help="which of them this is (default: SLURM_PROCID)")
    group.add_argument("--local-workers", type=int, metavar="N", help="start N processes on this machine")
    group.add_argument(
        "--elastic", action="store_true", help="when one of these is lost, go on with those that are left"
    )
    parser.add_argument("--tensorboard", action="store_true", help="also write TensorBoard event files")
    parser.add_argument("--dry-run", action="store_true", help="print the resolved recipe and write nothing")


def run(args: argparse.Namespace) -> None:
    if args.workers:
        join_cluster(args.workers, args.worker_index)
    chief = task()[0] == 0
    recipe, _ = load_recipe(args.recipe)
    recipe = resolve(override(recipe, args.set))
    workdir = args.output / (args.name or recipe.name)
    started = (workdir / "recipe.json").exists()
    if chief and started and not args.resume:
        raise InputError(
            "There is a run of this name already",
            received=str(workdir),
            action="Continue it with --resume, or choose another --name.",
        )
    if chief and args.resume:
        if not started:
            raise InputError("There is no run to resume", received=str(workdir), action="Leave out --resume.")
        recipe = _recorded(workdir, recipe, changed=bool(args.set))
    if args.strategy:
        devices = dataclasses.replace(recipe.distribute, strategy=args.strategy)
        recipe = dataclasses.replace(recipe, distribute=devices)
    if args.dry_run:
        print(recipe.to_json())
        return

    if RunFolder(workdir).is_finished():
        print(f"ferkeras: {workdir} is finished already.", file=sys.stderr)
        return
    if args.elastic and args.local_workers is None:
        raise InputError("--elastic starts processes anew, which only --local-workers has", action="Add it.")
    if args.local_workers is not None:
        _launch(args.local_workers, workdir, elastic=args.elastic)
    with run_lock(workdir) if chief else contextlib.nullcontext():
        if recipe.aggregation is not None:
            _aggregate(recipe.aggregation, recipe, workdir, args)
        else:
            _train(recipe, workdir, args, chief=chief)


def _train(recipe: Recipe, workdir: Path, args: argparse.Namespace, *, chief: bool) -> None:
    load_tensorflow()
    from ferkeras.training.distribute import WorkerLostError
    from ferkeras.training.finish import finish
    from ferkeras.training.loop import run as train
    from ferkeras.training.preemption import PreemptedError, Preemption

    try:
        with Preemption() as preemption:
            folder = train(
                recipe,
                workdir,
                data_dir=args.data_dir,
                manual_dir=args.manual_dir,
                resume=args.resume,
                init_from=args.init_from,
                tensorboard=args.tensorboard,
                preemption=preemption,
            )
        if chief:
            print(finish(folder, data_dir=args.data_dir))
    except PreemptedError as stopped:
        if chief:
            print(f"ferkeras: {stopped}; --resume continues there.", file=sys.stderr, flush=True)
    except WorkerLostError as error:
        print(f"ferkeras: {error}. --resume continues from the last checkpoint.", file=sys.stderr, flush=True)
        os._exit(1)  # an orderly end would wait for the worker that is gone
    except KeyboardInterrupt:
        if (workdir / "recipe.json").exists():
            print("\nferkeras: The finished epochs are kept; --resume continues after the last one.", file=sys.stderr)
        raise


def _launch(workers: int, workdir: Path, *, elastic: bool) -> None:
    """Runs this very command as `workers` processes, and ends as they do."""
    if workers < 1:
        raise InputError("--local-workers must be at least 1", received=workers)
    if workers == 1 or task()[1] > 1:  # this is one of them
        return
    command = [sys.executable, *sys.orig_argv[1:]]

    def again(left: int) -> list[str]:
        """The command with which so many go on; the last of two values of an option counts."""
        resume = ["--resume"] if (workdir / "recipe.json").exists() else []
        alone = ["--strategy", "auto"] if left == 1 else []
        return [*command, "--local-workers", str(left), *alone, *resume]

    sys.exit(launch(command, workers=workers, elastic=again if elastic else None))


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
