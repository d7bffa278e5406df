"""Writes SavedModel and LiteRT files of a run and proves on pictures that they compute what the model computes."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.cli.artifacts import LITERT, SAVED_MODEL
from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.cli.table import print_table
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 1e-4
IMAGES = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "--format",
        nargs="+",
        choices=("saved_model", "litert"),
        default=["saved_model", "litert"],
        help="default: both",
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="prepared data, for the proof on real pictures")
    parser.add_argument("--dry-run", action="store_true", help="say what would be written and write nothing")


def run(args: argparse.Namespace) -> None:
    folder = RunFolder.find(args.run_name, root=args.runs)
    targets = {"saved_model": folder.path / SAVED_MODEL, "litert": folder.path / LITERT}
    if args.dry_run:
        print("\n".join(f"would write {targets[name]}" for name in args.format))
        return

    load_tensorflow()
    from ferkeras.export.litert import export_litert, load_litert, operators
    from ferkeras.export.parity import ParityError, check_parity
    from ferkeras.export.saved_model import export_saved_model, load_saved_model

    model, labels = folder.load_model(), folder.labels()
    runners, sizes = {}, {}
    if "saved_model" in args.format:
        path = export_saved_model(model, targets["saved_model"], labels=labels)
        runners["saved_model"] = load_saved_model(path)
        sizes["saved_model"] = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    if "litert" in args.format:
        path = export_litert(model, targets["litert"], labels=labels)
        runners["litert"] = load_litert(path)
        sizes["litert"] = path.stat().st_size
    images, source = _pictures(folder, data_dir=args.data_dir)
    failure = None
    try:
        report = check_parity(model, runners, images, tolerance=TOLERANCE)
    except ParityError as error:
        failure, report = error, error.report
    report = {"images": source, **report}
    for name, result in report["artifacts"].items():
        result["path"], result["bytes"] = str(targets[name].relative_to(folder.path)), sizes[name]
    if "litert" in runners:
        report["artifacts"]["litert"]["operators"] = list(operators(targets["litert"]))
    folder.write_json("export.json", report)
    rows = [
        [
            name,
            r["path"],
            f"{r['bytes'] / 1e6:.1f}",
            f"{r['max_abs_diff']:.1e}",
            f"{100 * r['top1_agreement']:.1f} %",
        ]
        for name, r in report["artifacts"].items()
    ]
    print(f"Compared with Keras on {len(images)} pictures ({source}); largest logit difference allowed {TOLERANCE:g}")
    print_table(["artefact", "path in the run", "MB", "largest difference", "same label"], rows)
    if failure is not None:
        raise failure


def _pictures(folder: RunFolder, *, data_dir: Path | None) -> "tuple[np.ndarray, str]":
    """64 validation pictures where the run's data is prepared, else 64 drawn faces; and what they are."""
    import numpy as np

    from ferkeras.data.opening import all_prepared, open_data

    recipe = folder.recipe()
    if all_prepared(recipe, data_dir=data_dir):
        data = open_data(recipe, data_dir=data_dir)
        images = next(iter(data.evaluation(recipe.data.validation, batch_size=IMAGES).as_numpy_iterator()))[0]
        return images, f"{data.dataset}, {recipe.data.validation}"
    shape = (*recipe.data.image_size, recipe.data.channels)
    noise = np.random.default_rng(recipe.seed).integers(0, 256, (IMAGES, *shape), dtype=np.uint8)
    return noise, "random pixels, as the run's data is not prepared here"
