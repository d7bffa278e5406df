"""Lists the data sets: configurations, what each wants, and whether it is prepared here."""

import argparse
from pathlib import Path

from ferkeras.cli.command import load_tensorflow
from ferkeras.cli.table import print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where prepared data lies")


def run(args: argparse.Namespace) -> None:
    load_tensorflow()
    from ferkeras.data.sources import DATASETS, builder

    rows = []
    for name in DATASETS:
        for config in builder(name, data_dir=args.data_dir).BUILDER_CONFIGS:
            made = builder(f"{name}/{config.name}", data_dir=args.data_dir)
            wants = "your copy, by --manual-dir" if made.MANUAL_DOWNLOAD_INSTRUCTIONS else "nothing, it is generated"
            prepared = (Path(made.data_dir) / "dataset_info.json").exists()
            rows.append([f"{name}/{config.name}", "yes" if prepared else "no", wants, config.description])
    print_table(["data set", "prepared", "wants", "what it is"], rows)
    print("\nWhere to get each: tfds_builders/<name>/README.md")
