"""Measures several runs on one split of the same people, and whether they differ by more than luck.

The score is the accuracy of emotions, or the mean concordance of valence and arousal. Intervals are of 95 %, by drawing
subjects; those of the differences draw the same subjects for both networks.
"""

import argparse
import json
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, add_tta_argument, load_tensorflow
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.runs import RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_names", nargs="+", metavar="RUN", help="run folders, or names of some under --runs")
    parser.add_argument("--runs", type=Path, default=Path("saved_models"), metavar="DIR", help="(saved_models)")
    parser.add_argument("--against", metavar="RUN", help="what the differences are to (default: the first)")
    parser.add_argument("--split", help="default: each recipe's test split")
    add_tta_argument(parser)
    parser.add_argument(
        "--shuffle-frames",
        action="store_true",
        help="add a line for each network of clips with the frames in random order: what the order is worth to it",
    )
    add_data_arguments(parser)
    parser.add_argument("--output", type=Path, metavar="FILE.md|FILE.json", help="also write the comparison here")


def run(args: argparse.Namespace) -> None:
    if args.output is not None and args.output.suffix not in (".md", ".json"):
        raise InputError("--output must end in .md or .json", received=str(args.output))
    folders = {name: RunFolder.find(name, root=args.runs) for name in dict.fromkeys(args.run_names)}
    against = args.against or args.run_names[0]
    if against not in folders:
        raise InputError("--against must be one of the runs that are compared", received=against)
    load_tensorflow()
    from ferkeras.artifacts import open_artifact
    from ferkeras.comparison import HEAD, as_json, compare, comparison_rows, markdown_table
    from ferkeras.evaluation import collect
    from ferkeras.inference import shuffled_frames
    from ferkeras.training.task import open_examples

    found = {}
    for name, folder in folders.items():
        recipe, runner = folder.recipe(), open_artifact(folder, "keras")
        data = open_examples(recipe, data_dir=args.data_dir, manual_dir=args.manual_dir)
        split = args.split or recipe.data.test
        found[name] = collect(runner, data, split=split, tta=args.tta)
        if args.shuffle_frames and recipe.data.clips:
            of_last = recipe.data.target == "valence_arousal"
            shuffled = shuffled_frames(runner, seed=recipe.seed, keep_last=of_last)
            found[f"{name}, frames shuffled"] = collect(shuffled, data, split=split, tta=args.tta)
    kind, lines = compare(found, against=against)
    head, rows = [*HEAD[:2], kind, *HEAD[3:]], comparison_rows(lines)
    about = found[against].about
    print(f"{about['dataset']}, {about['split']}; differences are to {against}\n")
    print_table(head, rows)
    if args.output is not None:
        text = markdown_table(head, rows)
        if args.output.suffix == ".json":
            text = json.dumps(as_json(kind, against, lines), indent=2) + "\n"
        write_atomically(args.output, text)
