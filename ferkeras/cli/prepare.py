"""Builds a data set, once, and reports counts, single-valued pictures, duplicates and fingerprints."""

import argparse
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, load_tensorflow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name or name/configuration, see `ferkeras datasets`")
    add_data_arguments(parser)
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="also write one picture a class of the last split, as PNG files",
    )
    parser.add_argument("--dry-run", action="store_true", help="say where it would go and write nothing")


def run(args: argparse.Namespace) -> None:
    load_tensorflow()
    from ferkeras.data.sources import builder, prepare, report, write_pictures

    made = builder(args.dataset, data_dir=args.data_dir)
    if args.dry_run:
        print(f"{args.dataset} would be prepared in {made.data_dir}")
        return
    made = prepare(args.dataset, data_dir=args.data_dir, manual_dir=args.manual_dir)
    print(f"{args.dataset} is prepared in {made.data_dir}\n")
    if "image" in made.info.features:
        print(report(made))
        if args.pictures is not None:
            for path in write_pictures(made, args.pictures):
                print(path)
    else:
        for split, info in made.info.splits.items():
            print(f"{split}: {info.num_examples} clips")
