"""What all commands share: where they are, how they are parsed, and how they end.

Exit codes: 0 success, 1 internal failure, 2 wrong usage or bad input (one line, no traceback), 130 interrupted.
"""

import argparse
import difflib
import importlib
import logging
import os
import re
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ferkeras.errors import InputError, from_the_disk

#: Command -> what it does. The module is `ferkeras.cli.<command>`, with underscores for dashes.
COMMANDS: dict[str, str] = {
    "train": "train a recipe and leave a run folder",
    "evaluate": "measure a run, or one of its exports, on a split",
    "predict": "emotions of faces in pictures, videos and cameras: a table, annotated copies, timelines",
    "app": "a page on this machine: pictures, videos, camera, two runs side by side",
    "explain": "why a run says what it says: maps over pictures and videos, and how far to believe them",
    "export": "write SavedModel and LiteRT files that are proved equal to the model",
    "ship": "copy a run as it is passed on: float16 weights, no paths of this machine",
    "tune": "train variants of a recipe, by grid or by search, and compare",
    "calibrate": "fit a temperature, so that a run is as sure as it is right",
    "crossvalidate": "train and test a recipe on every fold of the subjects, and pool the scores",
    "compare": "measure several runs on the same people, and whether they differ by more than luck",
    "aggregate": "put the frames of clips together without a network over time, and leave a run folder",
    "benchmark": "measure training, input pipeline and inference on this machine",
    "prepare": "build a data set and report what is in it",
    "recipes": "list the recipes",
    "models": "list the models with their parameters and arithmetic",
    "datasets": "list the data sets and whether they are here",
    "folds": "write a file that says which subject is in which fold",
    "clean": "list pictures that a data set is better without",
    "import-weights": "make a run of published PyTorch weights of EfficientNet",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}. See {self.prog} --help.", file=sys.stderr)
        sys.exit(2)


def run_command(name: str, words: list[str], *, prog: str | None = None) -> int:
    """Parses `words` for the command `name`, runs it, and returns the exit code."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", module=r"(ferkeras|tfds_builders)\b")
    warnings.formatwarning = lambda message, *_, **__: f"ferkeras: {message}\n"
    module = importlib.import_module(f"ferkeras.cli.{name.replace('-', '_')}")
    parser = _Parser(prog=prog or f"ferkeras {name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    try:
        module.run(parser.parse_intermixed_args(words))  # `explain RUN --method stn PICTURE`, too
    except InputError as error:
        print(f"ferkeras: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ferkeras: Interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        sys.stderr.close()
        return 0
    except Exception as error:
        if (told := from_the_disk(error)) is not None:
            print(f"ferkeras: {told}", file=sys.stderr)
            return 2
        traceback.print_exc()
        print("ferkeras: Internal failure; the lines above say where.", file=sys.stderr)
        return 1
    return 0


def load_tensorflow() -> None:
    """Imports TensorFlow and Keras without the lines on oneDNN and CUDA that their C++ part writes meanwhile.

    Those come before any log level applies. Call it after the checks that need no TensorFlow: it takes seconds.
    """
    from absl import logging as absl_logging

    # Deprecations inside TensorFlow Datasets. Saving a model sets the logger back to what absl itself was told.
    absl_logging.set_verbosity(absl_logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # deprecations inside TensorFlow, and hints on retracing
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()
        keras.backend.backend()
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """`--data-dir` and `--manual-dir`."""
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="prepared data (default: TFDS_DATA_DIR, else ~/tensorflow_datasets)",
    )
    parser.add_argument("--manual-dir", type=Path, metavar="DIR", help="the official files of a data set")


def add_tta_argument(parser: argparse.ArgumentParser) -> None:
    """`--tta`, whose choices are the keys of `ferkeras.views.VIEWS`, which needs Keras."""
    parser.add_argument(
        "--tta",
        choices=("none", "flip", "ten_crop", "scales"),
        default="none",
        help="test-time augmentation: the mean over mirror images, ten crops, or three sizes and their mirror images; "
        "the sides of ten crops are the recipe's augment.crop where that is under 1, else 40/48 of the image's",
    )


def add_run_argument(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """RUN and where runs are looked for."""
    parser.add_argument(
        "run_name",
        nargs="?" if optional else None,
        metavar="RUN",
        help="a run folder, or the name of one under --runs",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("saved_models"),
        metavar="DIR",
        help="the folder of runs (saved_models)",
    )


def image_shape(text: str) -> tuple[int, int, int]:
    """The type of an argument such as `64x64x3`: height, width, and one channel or three."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([13])", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"expected height, width and 1 or 3 channels as in 64x64x3, received {text}")
    height, width, channels = map(int, match.groups())
    return height, width, channels


def model_names(names: Sequence[str]) -> list[str]:
    """`names`, or those of all models where it is empty; raises `InputError` for one that is none."""
    from ferkeras.models import MODELS

    for name in names:
        if name not in MODELS:
            close = difflib.get_close_matches(name, MODELS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(MODELS)}."
            raise InputError("Unknown model", received=name, action=hint)
    return list(names or MODELS)
