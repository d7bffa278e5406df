"""Lists pictures that a data set is better without, with the reason, in a CSV file. Nothing is deleted or moved.

The pictures lie in FOLDER/<class>/ or FOLDER/<split>/<class>/, or in a zip archive like that. Labels are checked only
with --run, by a network that was trained on other pictures than these.
"""

import argparse
import dataclasses
import sys
from collections import Counter
from pathlib import Path

from ferkeras.cli.command import load_tensorflow
from ferkeras.errors import InputError

#: Option of a limit -> type and help.
LIMITS: dict[str, tuple[type, str]] = {
    "min_size": (int, "least longer side of a face in pixels"),
    "min_sharpness": (float, "least variance of the Laplacian of the face at 64 pixels"),
    "max_dark": (float, "highest fraction of the face at grey levels 0 to 5"),
    "max_bright": (float, "highest fraction of the face at grey levels 250 to 255"),
    "min_mean": (float, "least mean grey level of the face"),
    "max_mean": (float, "highest mean grey level of the face"),
    "second_face": (float, "faces count from this fraction of the largest one's side on"),
    "distance": (int, "bits in which the hashes of near duplicates differ at most"),
    "doubt": (float, "a label is doubted below this fraction of the probability that is usual for its class"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="pictures by class, in folders or a zip archive")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.csv", help="where the list goes")
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="also show some pictures for each reason")
    parser.add_argument("--detector", default="mtcnn", metavar="NAME", help="none: the pictures are faces (mtcnn)")
    parser.add_argument("--model-file", type=Path, metavar="FILE", help="for the detectors that want one")
    parser.add_argument("--min-face", type=int, default=40, help="smallest face that is looked for, in pixels (40)")
    parser.add_argument("--run", dest="run_name", metavar="RUN", help="check the labels by the features of this run")
    parser.add_argument("--runs", type=Path, default=Path("saved_models"), metavar="DIR", help="(saved_models)")
    parser.add_argument("--margin", type=float, default=0.0, help="what the run sees around a face, of its side (0)")
    parser.add_argument("--folds", type=int, default=5, help="fits of the check of labels (5)")
    parser.add_argument("--seed", type=int, default=0, help="deals the folds, chooses pictures of the sheet (0)")
    limits = parser.add_argument_group("limits", "defaults in ferkeras/cleaning/limits.py")
    for name, (kind, text) in LIMITS.items():
        limits.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    parser.add_argument("--dry-run", action="store_true", help="count the pictures and write nothing")


def run(args: argparse.Namespace) -> None:
    from ferkeras.cleaning.collection import open_collection
    from ferkeras.cleaning.limits import Limits
    from ferkeras.runs import RunFolder

    changed = {name: value for name in LIMITS if (value := getattr(args, name)) is not None}
    limits = dataclasses.replace(Limits(), **changed)
    for path, suffix in ((args.output, ".csv"), (args.sheet, ".png")):
        if path is not None and path.suffix.lower() != suffix:
            raise InputError(f"The file must end in {suffix}", received=str(path))
    folder = RunFolder.find(args.run_name, root=args.runs) if args.run_name else None
    with open_collection(args.folder) as collection:
        if collection.loose:
            count = len(collection.loose)
            print(f"ferkeras: {count} pictures lie in no class folder and are left out.", file=sys.stderr)
        if args.dry_run:
            for label, count in sorted(Counter(picture.label for picture in collection.pictures).items()):
                print(f"{label}: {count}")
            return
        _check_writable(args.output, args.sheet)
        load_tensorflow()
        from tqdm import tqdm

        from ferkeras.cleaning.encoder import run_encoder
        from ferkeras.cleaning.examine import examine
        from ferkeras.cleaning.judge import judge
        from ferkeras.cleaning.rejected import write_rejected
        from ferkeras.cleaning.sheet import rejected_rows
        from ferkeras.data.contact_sheet import write_contact_sheet
        from ferkeras.faces.align import Alignment
        from ferkeras.faces.detection import create_detector

        found = examine(
            collection,
            create_detector(args.detector, model_file=args.model_file, min_face=args.min_face),
            encode=run_encoder(folder) if folder else None,
            alignment=None if args.detector == "none" else Alignment(margin=args.margin),
        )
        examined = list(tqdm(found, total=len(collection.pictures), unit="picture", file=sys.stderr))
        rejected, accuracy = judge(examined, limits=limits, folds=args.folds, seed=args.seed)
        write_rejected(args.output, rejected)
        rows = rejected_rows(collection, rejected, seed=args.seed) if args.sheet else []
        if rows:
            write_contact_sheet(rows, args.sheet)
    if accuracy is not None:
        share = f"{accuracy:.0%}"
        print(
            f"The model agrees with {share} of the labels; the fewer, the less its doubts are worth.", file=sys.stderr
        )
    lines = [f"  {reason}: {count}" for reason, count in Counter(row.reason for row in rejected).most_common()]
    pictures = len({row.path for row in rejected})
    print("\n".join([f"{pictures} of {len(examined)} pictures are listed in {args.output}", *lines]), file=sys.stderr)


def _check_writable(*paths: Path | None) -> None:
    """Raises `InputError` before the work rather than after it; leaves nothing behind."""
    import tempfile

    for path in paths:
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=path.parent):
                    pass
            except OSError as error:
                raise InputError(
                    "The file cannot be written", received=str(path), action=f"{error.strerror}."
                ) from error
