"""Emotions of face pictures: a row each, as CSV on standard output or CSV, JSON, JSON lines or Parquet in a file.

Every picture is taken as one upright, tightly cropped face; no face is searched in it.
"""

import argparse
from pathlib import Path

from ferkeras.cli.artifacts import open_artifact
from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.errors import InputError
from ferkeras.pictures import find_pictures
from ferkeras.rows import check_format, open_writer
from ferkeras.runs import NUMBER, RunFolder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="pictures, folders of pictures, or quoted patterns")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=".csv, .json, .jsonl or .parquet (default: CSV on standard output)",
    )
    parser.add_argument(
        "--artifact",
        default="keras",
        metavar="keras|saved_model|FILE.tflite",
        help="what to run (default: keras)",
    )
    parser.add_argument("--batch-size", type=int, default=64)


def run(args: argparse.Namespace) -> None:
    if args.batch_size < 1:
        raise InputError("--batch-size must be at least 1", received=args.batch_size)

    folder = RunFolder.find(args.run_name, root=args.runs)
    if "frames" in folder.preprocessing():
        raise InputError(
            "predict takes runs on still pictures",
            received=f"{folder.path}, a run on clips",
            action="Measure it on a data set of clips with evaluate.py.",
        )
    paths = find_pictures(args.inputs)
    check_format(args.output)
    load_tensorflow()
    from ferkeras.data.preprocess import Preprocessing
    from ferkeras.inference import predict_pictures

    settings = folder.preprocessing()
    preprocessing = Preprocessing(settings["height"], settings["width"], settings["channels"])
    affect = [head for head in ("valence", "arousal") if folder.heads().get(head) == [NUMBER]]
    unreadable = []
    with open_writer(args.output, classes=folder.labels()) as write:
        runner = open_artifact(folder, args.artifact)
        for row, problem in predict_pictures(
            runner,
            paths,
            preprocessing=preprocessing,
            labels=folder.labels(),
            affect=affect,
            batch_size=args.batch_size,
        ):
            write(row)
            if problem is not None:
                unreadable.append(problem)
    if unreadable:
        raise InputError(
            f"{len(unreadable)} of {len(paths)} pictures could not be read; their rows have face_found=0",
            received=str(unreadable[0]),
        )
