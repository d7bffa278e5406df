"""What each network loses on its way to a server or a phone: every family, exported as `ferkeras export` does it.

    python benchmarks/exports.py --work DIR --data-dir DIR [--run RUN ...] [--model NAME ...] [--examples 500]

A trained run is named by --run; its folder is copied first. A family without one is named by --model (default: the
smallest size of each that no run shows): it has random weights, statistics of its normalisations from generated faces,
and logits scaled to a standard deviation of one. Such a network has no margins between classes, so what eight bits do
to its labels says nothing; the table shows how far they move its logits. The data must be prepared:
`synthetic_faces/still` for --model, the run's own for --run.

A network whose export.json is already in the folder of --work is not exported again, so an interrupted call goes on
where it was, and the page shows all that is there.
"""

import argparse
import dataclasses
import json
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np

from ferkeras.data.opening import open_data
from ferkeras.data.pipeline import StillPipeline
from ferkeras.export.artifacts import export_run
from ferkeras.export.interface import all_layers
from ferkeras.export.plan import plan
from ferkeras.files import write_atomically
from ferkeras.layers import LayerScale
from ferkeras.models import MODELS, create_model
from ferkeras.recipe import Data, Model, Recipe
from ferkeras.runs import RunFolder
from ferkeras.training.task import open_examples

#: The smallest size of each family of stills; families of clips, and those with three heads, come as trained runs.
STILLS = (
    *("vgg11", "vgg11_lstm", "vgg11_lstm_dropout", "vgg11_lstm_attention", "emonext_tiny", "gimefive4"),
    *("gimefive4_se_first", "gimefive4_se", "gimefive5", "gimefive5_se_first", "gimefive5_se", "gimefive_res"),
    *(
        "resnet18",
        "vgg16_bn",
        "xception",
        "efficientnet_b0",
        "convnext_tiny",
        "xception_dense",
        "fer_mobile",
        "fer_vgg",
    ),
)
#: Sides in pixels of pictures for --model: the published one between these. Xception takes no fewer than 71.
SIDES = 48, 72
#: Generated faces for the ranges of int8, and for the statistics of the normalisations.
SEEN, BATCH = 128, 64
#: Share of examples whose top class stays when the weights are rounded to eight bits, at least.
AGREEMENT, AGREEMENT_CONVNEXT = 0.97, 0.95
FLOAT32 = 1e-4
COPIED = ("model.keras", "recipe.json", "labels.json", "preprocessing.json")
ABOUT = "about.json"


def copy_run(run: RunFolder, target: Path, *, examples: int, data_dir: Path | None) -> RunFolder:
    """A copy without exports, whose validation split, if of stills, is the first `examples` of the run's."""
    target.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(run.path / name, target / name)
    recipe, folder = run.recipe(), RunFolder(target)
    if isinstance(opened := open_examples(recipe, data_dir=data_dir), StillPipeline):
        split = recipe.data.validation
        data = dataclasses.replace(recipe.data, validation=f"{split}[:{min(examples, opened.size(split))}]")
        folder.write_json("recipe.json", json.loads(dataclasses.replace(recipe, data=data).to_json()))
    folder.write_json(ABOUT, {"weights": "trained", "model": recipe.model.name})
    return folder


def untrained_run(name: str, target: Path, *, examples: int, data_dir: Path | None) -> RunFolder:
    """A run of random weights."""
    keras.utils.set_random_seed(0)
    side, channels = int(np.clip(MODELS[name].input_shape[0], *SIDES)), MODELS[name].input_shape[2]
    data = Data(
        "synthetic_faces/still",
        train=f"train[:{SEEN}]",
        validation=f"validation[:{examples}]",
        image_size=(side, side),
        channels=1 if channels == 1 else 3,
    )
    recipe = Recipe(name=name, model=Model(name), data=data)
    opened = open_data(recipe, data_dir=data_dir)
    images = opened.first(data.train, count=BATCH)
    shape = (side, side, channels)
    model = create_model(name, input_shape=shape, classes=len(opened.class_names), pretrained=False)
    settle(model, images)
    scale_logits(model, images)
    target.mkdir(parents=True, exist_ok=True)
    folder = RunFolder(target)
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    folder.write_json("labels.json", {"emotion": list(opened.class_names)})
    folder.write_json("preprocessing.json", json.loads(opened.preprocessing.to_json()))
    folder.write_json(ABOUT, {"weights": "untrained", "model": name})
    folder.save_model(model)
    return folder


def settle(model: keras.Model, images: np.ndarray) -> None:
    """Gives normalisations the statistics of `images`, and residual branches that begin at nothing a say."""
    momenta = {}
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            momenta[layer], layer.momentum = layer.momentum, 0.0
        if isinstance(layer, LayerScale):
            layer.gamma.assign(keras.ops.ones_like(layer.gamma))
    model(images, training=True)
    for layer, momentum in momenta.items():
        layer.momentum = momentum


def scale_logits(model: keras.Model, images: np.ndarray) -> None:
    """Brings the standard deviation of all logits together, over classes and images, to one."""
    last = model.get_layer("emotion")
    spread = model.predict(images, batch_size=BATCH, verbose=0)["emotion"].std()
    for weight in last.weights:
        weight.assign(weight / spread)


def export(folder: RunFolder, *, examples: int, data_dir: Path | None) -> None:
    """Leaves export.json in the folder."""
    planned = plan(saved_model=True, litert=("none", "dynamic", "int8"), streaming=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what a quantised file loses is in the report
        export_run(folder, planned, data_dir=data_dir, examples=examples)


def row(folder: RunFolder) -> list[str]:
    """A line of the table."""
    report, about = _read(folder, "export.json"), _read(folder, ABOUT)
    found = report["artifacts"]
    made = folder.preprocessing()
    shape = [made[key] for key in ("frames", "height", "width", "channels") if key in made]
    exact = [_exact(found.get(name)) for name in ("saved_model", "litert")]
    files = [found[name] for name in ("litert", "litert_dynamic", "litert_int8") if name in found]
    foreign = sorted({op for file in files for op in file["operators"] if op.startswith(("CUSTOM", "FLEX"))})
    return [
        folder.path.name,
        about["weights"],
        "x".join(map(str, shape)),
        f"{report['images'].partition(',')[0]}, {files[0]['n'] if files else 0}",
        *exact,
        ", ".join(foreign) or "none",
        _megabytes(found.get("litert")),
        _megabytes(found.get("litert_dynamic")),
        *_quantised(report, about),
    ]


HEAD = (
    "network",
    "weights",
    "input",
    "compared on",
    "SavedModel",
    "LiteRT float32",
    "operators not builtin",
    "MB float32",
    "MB dynamic",
    "dynamic, same top class",
    "Keras",
    "dynamic",
    "int8",
)


def page(folders: Sequence[RunFolder]) -> str:
    lines = [
        "# What an export loses",
        "",
        "Each row is one network, exported as `ferkeras export RUN --quantize none dynamic int8` does it and compared",
        "with Keras on validation pictures or clips. SavedModel and LiteRT float32: largest difference of a logit, at",
        f"most {FLOAT32:g}. Dynamic: int8 weights, ranges of the activations at run time; the share of examples with",
        f"the same top class, wanted {AGREEMENT:.0%} ({AGREEMENT_CONVNEXT:.0%} for ConvNeXt), of bins in the head that",
        "agrees least where a network tells valence and arousal. Then what Keras is worth on the same examples, what",
        "dynamic adds to it, and what int8 does, whose convolutions and dense layers compute in eight bits; the export",
        "refuses to write it where it loses more than one point.",
        "",
        "An untrained network has logits with a standard deviation of one and no margins between its classes, so that",
        "its labels say nothing; for it the last columns show the largest change of a logit.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
        *(f"| {' | '.join(row(folder))} |" for folder in folders),
        "",
        "Printed by `python benchmarks/exports.py`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder for the copies and their exports")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--run", nargs="*", type=Path, default=[])
    parser.add_argument("--model", nargs="*", choices=STILLS)
    parser.add_argument("--examples", type=int, default=500, help="of validation, for comparison and accuracy (500)")
    parser.add_argument("--output", type=Path, default=Path("docs/exports.md"))
    args = parser.parse_args()
    shared: dict[str, Any] = {"examples": args.examples, "data_dir": args.data_dir}
    runs = [RunFolder.find(path) for path in args.run]
    shown = {run.recipe().model.name for run in runs}
    models = [name for name in STILLS if name not in shown] if args.model is None else args.model
    todo = [(run.path.name, run) for run in runs] + [(name, None) for name in models]
    for name, run in todo:
        target = args.work / name
        if (target / "export.json").is_file():
            continue
        made = untrained_run(name, target, **shared) if run is None else copy_run(run, target, **shared)
        export(made, **shared)
        keras.backend.clear_session()
        print(" | ".join(row(made)), file=sys.stderr, flush=True)
    done = [RunFolder(path.parent) for path in sorted(args.work.glob("*/export.json"))]
    write_atomically(args.output, page(sorted(done, key=_place)))
    print(args.output.read_text(encoding="utf-8"))


def _read(folder: RunFolder, name: str) -> dict[str, Any]:
    return json.loads((folder.path / name).read_text(encoding="utf-8"))


def _place(folder: RunFolder) -> tuple[bool, int]:
    """Of a line in the table: trained ones first."""
    about = _read(folder, ABOUT)
    return about["weights"] != "trained", list(MODELS).index(about["model"])


def _exact(found: dict[str, Any] | None) -> str:
    if found is None:
        return "failed"
    return f"{found['max_abs_diff']:.1e}" + ("" if found["passed"] else " (too large)")


def _megabytes(found: dict[str, Any] | None) -> str:
    return "-" if found is None else f"{found['bytes'] / 1e6:.1f}"


def _quantised(report: dict[str, Any], about: dict[str, Any]) -> list[str]:
    """Cells: same top class; what Keras is worth; what dynamic adds to it; what int8 does."""
    found, failed = report["artifacts"], report.get("failed", {})
    dynamic, int8 = (found.get(name) for name in ("litert_dynamic", "litert_int8"))
    if about["weights"] != "trained":
        changes = ["failed" if file is None else f"{file['max_abs_diff']:.2f} of 1" for file in (dynamic, int8)]
        return ["-", "-", *changes]
    least = AGREEMENT_CONVNEXT if about["model"].startswith(("emonext", "convnext")) else AGREEMENT
    cells = ["failed", f"{report['score']} {report['keras']:.4f}" if "score" in report else "-", "failed", "failed"]
    if dynamic is not None:
        share = dynamic["top1_agreement"]
        cells[0] = f"{share:.1%}" + ("" if share >= least else f" (below {least:.0%})")
        cells[2] = f"{0.0 - dynamic['drop']:+.4f}"
    if int8 is not None:
        cells[3] = f"{'refused' if 'litert_int8' in failed else 'kept'}: {0.0 - int8['drop']:+.4f}"
    return cells


if __name__ == "__main__":
    main()
