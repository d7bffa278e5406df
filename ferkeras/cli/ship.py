"""Copies a finished run as it is passed on, in git or a zip: float16 weights, no paths of this machine.

Left behind: checkpoints, TensorBoard files, saved_model/, litert/float32.tflite, and whatever else is no part of a run.
Where the run's data is prepared, the smaller network is measured on the validation split beside the original, and
refused where it loses more than 0.1 points. The copy is a full run.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.errors import InputError
from ferkeras.runs import RunFolder
from ferkeras.training.lock import run_lock

if TYPE_CHECKING:
    from ferkeras.data.clip_pipeline import ClipPipeline
    from ferkeras.data.pipeline import StillPipeline
    from ferkeras.shipping import Shipment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("saved_models"),
        metavar="DIR",
        help="the folder of runs that it is copied into (saved_models)",
    )
    parser.add_argument("--name", help="name of the copy (default: the run's)")
    parser.add_argument(
        "--without",
        nargs="+",
        default=[],
        metavar="FILE",
        help="leave these out too, such as litert/int8.tflite, plots",
    )
    parser.add_argument("--float32", action="store_true", help="keep the weights as they are")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="prepared data (default: TFDS_DATA_DIR, else ~/tensorflow_datasets)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be copied, and write nothing")


def run(args: argparse.Namespace) -> None:
    source = RunFolder.find(args.run_name, root=args.runs)
    name = args.name or source.path.resolve().name
    if Path(name).name != name or name in (".", ".."):
        raise InputError("--name is that of a folder in --output", received=name)
    target = args.output / name
    from ferkeras.shipping import plan_shipment, ship

    shipment = plan_shipment(source, target, without=args.without)
    _print_renamed(shipment)
    if args.dry_run:
        for file in shipment.files:
            print(f"would copy {file} ({(source.path / file).stat().st_size / 1e6:.2f} MB)")
        print(f"would write {target}")
        return
    data = None if args.float32 else _data(source, args.data_dir)
    with run_lock(target, action="Wait until it ends."), run_lock(source.path, action="Wait until it ends."):
        shipment = plan_shipment(source, target, without=args.without)  # what lies there now that nobody else writes
        told = ship(source, target, shipment, half=not args.float32, data=data)
    _print_result(told, target, source)


def _data(source: RunFolder, data_dir: Path | None) -> "StillPipeline | ClipPipeline | None":
    """What the original and the copy are measured on; None where it is not prepared."""
    load_tensorflow()
    from ferkeras.data.opening import all_prepared
    from ferkeras.training.task import open_examples

    recipe = source.recipe()
    if all_prepared(recipe, data_dir=data_dir):
        return open_examples(recipe, data_dir=data_dir)
    print(
        f"ferkeras: {recipe.data.dataset} is not prepared here, so that nobody knows what float16 costs; --data-dir "
        "names where it is.",
        file=sys.stderr,
    )
    return None


def _print_renamed(shipment: "Shipment") -> None:
    for old, new in shipment.renamed.items():
        print(f"ferkeras: {old} is called {new} in the copy.", file=sys.stderr)


def _print_result(told: dict[str, Any], target: Path, source: RunFolder) -> None:
    before, after = (told["bytes"][when] / 1e6 for when in ("before", "after"))
    print(f"{target}: {told['weights']} weights, {after:.2f} MB in the place of {before:.2f}")
    if measured := told["measured"]:
        print(
            f"{measured['dataset']}, {measured['split']}: {measured['n']} examples, {measured['score']} "
            f"{measured['before']:.4f} before, {measured['after']:.4f} after, same label {measured['same_label']:.4f}"
        )
    if told["weights"] == "float16":
        split = source.recipe().data.validation
        print(
            f"ferkeras: The card's results are of the network before. Measure it again: evaluate.py {target} --split "
            f"{split}",
            file=sys.stderr,
        )
