"""Lists the data sets: what each is, whether it is prepared here, what it needs and where to get that."""

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.cli.command import load_tensorflow
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="tell everything about these (default: a table of all)"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where prepared data lies")
    parser.add_argument(
        "--manual-dir",
        type=Path,
        metavar="DIR",
        help="look into DIR/NAME, or with one NAME into DIR itself, for official files and say what is missing",
    )


def run(args: argparse.Namespace) -> None:
    load_tensorflow()
    from ferkeras.data.sources import DATASETS, builder

    made = {name: builder(name, data_dir=args.data_dir) for name in args.names or DATASETS}
    if args.names:
        for name, one in made.items():
            _describe(name, one, _files(one, name, args))
        return
    rows = []
    for name, one in made.items():
        prepared = [config.name for config in one.BUILDER_CONFIGS if _is_prepared(one, config.name)]
        where = _homepage(one)
        files = textwrap.shorten(_files(one, name, args), 80, placeholder=" ...")
        rows.append([name, ", ".join(prepared) or "no", files, _summary(one), where])
    print_table(["data set", "prepared", "official files", "what it is", "where to ask for it"], rows)
    print("\n`ferkeras datasets NAME` tells what a data set wants, where to get it and which configurations it has.")


def _files(made: "tfds.core.DatasetBuilder", name: str, args: argparse.Namespace) -> str:
    """What is known of the official files: not wanted, not looked for, missing, wrong, or their counts."""
    if not made.MANUAL_DOWNLOAD_INSTRUCTIONS:
        return "none, it is generated"
    if args.manual_dir is None:
        return "name them by --manual-dir"
    folder = args.manual_dir / name
    if not folder.is_dir() and len(args.names) == 1:
        folder = args.manual_dir
    if not folder.is_dir():
        return f"no folder {folder}"
    try:
        return ", ".join(f"{split} {count}" for split, count in made.look(folder).items())
    except InputError as error:
        return str(error)


def _homepage(made: "tfds.core.DatasetBuilder") -> str:
    """Where the data is asked for; without one TFDS names its own catalogue, which does not know our data sets."""
    return "" if "tensorflow.org" in made.info.homepage else made.info.homepage


def _is_prepared(made: "tfds.core.DatasetBuilder", config: str) -> bool:
    folder = Path(made.data_dir).parent.parent / config
    return any(folder.glob("*/dataset_info.json"))


def _summary(made: "tfds.core.DatasetBuilder") -> str:
    return textwrap.shorten(made.info.description, 70, placeholder=" ...")


def _describe(name: str, made: "tfds.core.DatasetBuilder", files: str) -> None:
    print(f"{name}\n\n{made.info.description.strip()}\n")
    print(f"homepage: {_homepage(made) or 'none'}")
    print(f"official files: {files}\n")
    rows = [
        [f"{name}/{config.name}", "yes" if _is_prepared(made, config.name) else "no", config.description]
        for config in made.BUILDER_CONFIGS
    ]
    print_table(["configuration", "prepared", "what it is"], rows)
    print()
