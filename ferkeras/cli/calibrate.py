"""Fits a temperature to a run, so that it is as sure of an emotion as it is right, and works it into its weights."""

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING, Any

from ferkeras.aggregation import AGGREGATION_FILE
from ferkeras.cli.command import add_data_arguments, add_run_argument, load_tensorflow
from ferkeras.errors import InputError
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    import keras
    import numpy as np

    from ferkeras.evaluation import Predictions

#: What may lie in a run folder and was made of the network as it was.
MADE_OF_IT = ("saved_model", "litert", "serving", "web", "mobile")
#: Largest difference of a divided logit to what it must be, of the largest logit.
TOLERANCE = 1e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument("--split", help="what it is fitted on (default: the recipe's validation split)")
    add_data_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="print the temperature and write nothing")


def run(args: argparse.Namespace) -> None:
    folder = RunFolder.find(args.run_name, root=args.runs)
    split = _checked_split(folder, args.split)
    load_tensorflow()
    from ferkeras.calibration import calibrated, divide_logits, emotion_layer, read_calibration, save_calibrated
    from ferkeras.evaluation import collect
    from ferkeras.inference import keras_runner
    from ferkeras.training.lock import run_lock
    from ferkeras.training.task import open_examples

    with contextlib.nullcontext() if args.dry_run else run_lock(folder.path, action="Wait until it ends."):
        model = folder.load_model()
        layer = emotion_layer(model)
        recipe = folder.recipe()
        data = open_examples(recipe, data_dir=args.data_dir, manual_dir=args.manual_dir)
        found = collect(keras_runner(model), data, split=split)
        before = read_calibration(folder)
        so_far = before["temperature"] if before else 1.0
        # Of the network as it was trained: a second call gives the same temperature and not one of 1.
        trained, labels = found.logits["emotion"] * so_far, found.labels["emotion"]
        told = calibrated(trained, labels, subjects=found.subjects, seed=recipe.seed)
        told = {"temperature": told.pop("temperature"), "dataset": data.dataset, "split": split, **told}
        print(_table(told))
        if args.dry_run:
            return
        if before and abs(told["temperature"] / so_far - 1) < TOLERANCE:
            print(f"ferkeras: {folder.path} has this temperature already.", file=sys.stderr)
            return
        divide_logits(layer, told["temperature"] / so_far)
        _check(model, data.first(split, count=16), found, so_far / told["temperature"])
        save_calibrated(folder, model, told)
    _tell_what_is_stale(folder, split)


def _checked_split(folder: RunFolder, asked: str | None) -> str:
    """The split to fit on; raises `InputError` where the run cannot be calibrated, or not with this split."""
    if (folder.path / AGGREGATION_FILE).is_file():
        action = "Calibrate the run whose frames it aggregates."
        raise InputError("An aggregation is not one network", received=str(folder.path), action=action)
    if not folder.is_finished():
        action = "Finish it with train.py --resume: training would write over the weights."
        raise InputError("The run is not finished", received=str(folder.path), action=action)
    folder.labels()  # raises where it knows no emotions
    data = folder.recipe().data
    if asked == data.test != data.validation:
        raise InputError(
            "The test split is for measuring, and nothing may be fitted on it",
            received=f"--split {asked}",
            action=f"Take the validation split, {data.validation}.",
        )
    return asked or data.validation


def _check(model: "keras.Model", inputs: Any, found: "Predictions", factor: float) -> None:
    """The new logits of the first examples must be the old ones times `factor`, before anything is written."""
    new: np.ndarray = model.predict_on_batch(inputs)["emotion"]
    expected = found.logits["emotion"][: len(new)] * factor
    if not abs(new - expected).max() <= TOLERANCE * max(1.0, abs(expected).max()):
        raise InputError(
            "The network's logits do not follow the weights of its last layer, so that it cannot be calibrated",
            received=model.name,
        )


def _table(told: dict[str, Any]) -> str:
    lines = [
        f"{told['dataset']}, {told['split']}: {told['n']} examples, temperature {told['temperature']:.4f}",
        "",
        f"{'':<18}     nll     ece",
    ]
    for name in ("before", "after", "cross_fitted"):
        if told[name] is not None:
            lines.append(f"{name.replace('_', '-'):<18}{told[name]['nll']:8.4f}{told[name]['ece']:8.4f}")
    return "\n".join(lines)


def _tell_what_is_stale(folder: RunFolder, split: str) -> None:
    name = folder.path
    print(f"ferkeras: {name} is calibrated. Measure it again: evaluate.py {name} --split {split}", file=sys.stderr)
    if made := [part for part in MADE_OF_IT if (folder.path / part).exists()]:
        print(f"ferkeras: Still of the network before: {', '.join(made)}. Export them again.", file=sys.stderr)
