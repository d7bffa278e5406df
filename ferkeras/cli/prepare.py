"""Builds a data set, once, and reports counts, subjects, frames without a face, duplicates, and what was left out."""

import argparse
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, load_tensorflow


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name or name/configuration, see `ferkeras datasets`")
    add_data_arguments(parser)
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="processes that find faces, decode and compress pictures (1); the result is the same",
    )
    parser.add_argument(
        "--beam-runner",
        metavar="RUNNER",
        help="have Apache Beam share the work out: DirectRunner, FlinkRunner, SparkRunner or DataflowRunner",
    )
    parser.add_argument(
        "--beam-options",
        nargs="+",
        default=[],
        action="extend",
        metavar="KEY=VALUE",
        help="options of the runner, such as flink_master=host:8081",
    )
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        action="extend",
        metavar="KEY=VALUE",
        help="make the new configuration NAME of DATASET/NAME with these values, such as faces.detector=haar",
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="also write one picture a class of the last split, as PNG files",
    )
    parser.add_argument("--dry-run", action="store_true", help="say where it would go and write nothing")


def run(args: argparse.Namespace) -> None:
    load_tensorflow()
    from ferkeras.data.preparation import prepare
    from ferkeras.data.prepared import contact_sheet, report, write_pictures
    from ferkeras.data.sources import builder

    made = builder(args.dataset, data_dir=args.data_dir, settings=args.set)
    if args.dry_run:
        print(f"{args.dataset} would be prepared in {made.data_dir}")
        return
    made = prepare(
        args.dataset,
        data_dir=args.data_dir,
        manual_dir=args.manual_dir,
        settings=args.set,
        workers=args.workers,
        beam_runner=args.beam_runner,
        beam_options=args.beam_options,
    )
    print(f"{args.dataset} is prepared in {made.data_dir}\n")
    print(report(made))
    print(f"\nSome examples of each class: {contact_sheet(made)}")
    if args.pictures is not None:
        for path in write_pictures(made, args.pictures):
            print(path)
