"""Writes a fold file: which subject of a prepared data set is in which fold. Recipes name it as train@0-3/FILE.json."""

import argparse
import json
from collections import Counter
from pathlib import Path

from ferkeras.cli.command import add_data_arguments, load_tensorflow
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", metavar="DATASET", help="name or name/configuration, see `ferkeras datasets`")
    add_data_arguments(parser)
    parser.add_argument("--folds", type=int, default=5, metavar="K", help="number of folds (5)")
    parser.add_argument("--split", default="train", help="the split whose subjects are meant (train)")
    parser.add_argument(
        "--group",
        default="subject",
        metavar="FEATURE",
        help="the feature whose values are kept whole (subject); recipes name another one as data.group",
    )
    parser.add_argument(
        "--balance",
        action="store_true",
        help="even out the classes (default: the i-th sorted subject is in fold i mod K)",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.json", help="the fold file")
    parser.add_argument("--dry-run", action="store_true", help="print the table and write nothing")


def run(args: argparse.Namespace) -> None:
    if args.output.suffix != ".json":
        raise InputError("A fold file ends in .json", received=str(args.output))
    if args.folds < 2:
        raise InputError("There must be at least 2 folds", received=args.folds)
    load_tensorflow()
    from ferkeras.data.columns import read_column
    from ferkeras.data.folds import balanced_folds, subject_folds
    from ferkeras.data.preparation import prepare
    from ferkeras.files import write_atomically

    made = prepare(args.dataset, data_dir=args.data_dir, manual_dir=args.manual_dir)
    subjects = [subject.decode() for subject in read_column(made, args.split, args.group)]
    names = made.info.features["label"].names if "label" in made.info.features else ["all"]
    labels = read_column(made, args.split, "label") if "label" in made.info.features else [0] * len(subjects)
    examples: dict[str, Counter[str]] = {}
    for subject, label in zip(subjects, labels, strict=True):
        examples.setdefault(subject, Counter())[names[label]] += 1
    if len(examples) < args.folds:
        raise InputError(f"{args.dataset} has fewer subjects than folds", received=f"{len(examples)} subjects")
    fold_of = balanced_folds(examples, args.folds) if args.balance else subject_folds(subjects, args.folds)
    rows = []
    for fold in range(args.folds):
        people = [subject for subject, number in fold_of.items() if number == fold]
        held: Counter[str] = sum((examples[subject] for subject in people), Counter())
        rows.append([fold, len(people), *(held[name] for name in names)])
    print_table(["fold", "subjects", *names], rows)
    if not args.dry_run:
        write_atomically(args.output, json.dumps(fold_of, indent=1, ensure_ascii=False) + "\n")
