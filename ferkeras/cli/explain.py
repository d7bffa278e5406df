"""Pictures of what a run does inside.

stn: what the spatial transformer of an EmoNeXt shows to the layers behind it, below each picture.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.errors import InputError
from ferkeras.pictures import find_pictures, read_picture
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    import keras
    import numpy as np

MOST_PICTURES = 64


def _stn(model: "keras.Model", images: "np.ndarray", output: Path) -> Path:
    from ferkeras.stn_sheet import write_stn_sheet

    path = output / "stn_sheet.png"
    write_stn_sheet(model, images, path)
    return path


#: Method -> what it does with a model, images (B, H, W, C) as the model takes them, and a folder; it returns the file.
METHODS: dict[str, Callable[["keras.Model", "np.ndarray", Path], Path]] = {"stn": _stn}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_run_argument(parser)
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="pictures, folders of pictures, or quoted patterns")
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: `explain` in the run folder")
    parser.add_argument("--dry-run", action="store_true", help="say what would be read and written, and write nothing")


def run(args: argparse.Namespace) -> None:
    folder = RunFolder.find(args.run_name, root=args.runs)
    paths = find_pictures(args.inputs)
    if len(paths) > MOST_PICTURES:
        raise InputError(f"One sheet shows {MOST_PICTURES} pictures at most", received=len(paths), action="Name fewer.")
    output = args.output or folder.path / "explain"
    if args.dry_run:
        print(f"would explain {len(paths)} pictures by {args.method} in {output}")
        return
    load_tensorflow()
    import numpy as np

    from ferkeras.data.preprocess import Preprocessing

    settings = folder.preprocessing()
    preprocessing = Preprocessing(settings["height"], settings["width"], settings["channels"])
    images, unreadable = [], 0
    for path in paths:
        try:
            images.append(np.asarray(preprocessing(read_picture(path))))
        except InputError as error:
            unreadable += 1
            print(f"ferkeras: {error}", file=sys.stderr)
    if images:
        print(METHODS[args.method](folder.load_model(), np.stack(images), output))
    if unreadable:
        raise InputError(f"{unreadable} of {len(paths)} pictures could not be read; the lines above name them")
