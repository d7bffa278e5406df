"""Puts the frames of clips together without a network over time, and leaves a run folder for `evaluate`.

Without --classifier the probabilities of the frames are aggregated, by mean, weighted, max or majority; with it their
vectors, by mean, variance, min, max, statistics (these four), eigenvector, covariance or gaussian.
"""

import argparse
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, add_run_argument, load_tensorflow
from ferkeras.recipe import override, resolve
from ferkeras.recipes import load_recipe
from ferkeras.runs import RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "--data",
        metavar="RECIPE",
        help="a recipe whose data set, splits and windows of clips are taken (default: those of RUN)",
    )
    parser.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change a value of that recipe"
    )
    parser.add_argument("--method", default="mean", help="how (default: mean)")
    parser.add_argument("--classifier", choices=("svm", "mlp"), help="aggregate vectors, and put this on top")
    parser.add_argument(
        "--components", type=int, default=16, metavar="D", help="principal components before covariances (16)"
    )
    parser.add_argument("--output", type=Path, required=True, metavar="RUN2", help="the run folder to make")
    add_data_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the recipe of RUN2 and write nothing")


def run(args: argparse.Namespace) -> None:
    source = RunFolder.find(args.run_name, root=args.runs)
    base = load_recipe(args.data)[0] if args.data else source.recipe()
    clips = resolve(override(base, args.set))
    load_tensorflow()
    from ferkeras.aggregation.aggregator import Settings
    from ferkeras.aggregation.run import aggregate, clips_recipe

    settings = Settings(args.method, args.classifier, args.components)
    settings.check()
    if args.dry_run:
        print(clips_recipe(source, clips, name=args.output.name).to_json())
        return
    print(
        aggregate(
            source,
            args.output,
            settings=settings,
            clips=clips,
            data_dir=args.data_dir,
            manual_dir=args.manual_dir,
        )
    )
