"""Writes a run as files for servers, devices and browsers, and proves that they compute what the model computes."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ferkeras.aggregation import AGGREGATION_FILE
from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.cli.table import print_table
from ferkeras.errors import InputError
from ferkeras.export.plan import QUANTIZE, Artifact, plan
from ferkeras.runs import RunFolder
from ferkeras.training.lock import run_lock

FORMATS = ("saved_model", "litert", "serving", "web", "mobile")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_argument(parser)
    parser.add_argument(
        "--format",
        nargs="+",
        choices=FORMATS,
        default=["saved_model", "litert"],
        help="default: saved_model litert; serving is made of the run's SavedModel, web and mobile of its LiteRT files",
    )
    parser.add_argument(
        "--quantize",
        nargs="+",
        choices=QUANTIZE,
        help="how the LiteRT files store weights, one file each (default: none); int8 needs prepared data, and is "
        "refused where it costs more than one point of accuracy, or 0.01 of CCC",
    )
    parser.add_argument(
        "--streaming", action="store_true", help="LiteRT files of clips also read frame by frame, signature step"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="prepared data, for the proof on real pictures")
    parser.add_argument(
        "--litertjs", type=Path, metavar="DIR", help="for --format web: node_modules with @litertjs/core (default: npm)"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be written and write nothing")


def run(args: argparse.Namespace) -> None:
    folder = RunFolder.find(args.run_name, root=args.runs)
    _check(args, folder)
    litert = args.quantize or ["none"] if "litert" in args.format else []
    planned = plan(saved_model="saved_model" in args.format, litert=litert, streaming=args.streaming)
    others = [name for name in FORMATS[2:] if name in args.format]
    if args.dry_run:
        paths = dict.fromkeys(str(folder.path / artifact.path) for artifact in planned)
        print("\n".join(f"would write {path}" for path in [*paths, *(f"the files for {name}" for name in others)]))
        return
    load_tensorflow()
    with run_lock(folder.path, action="Wait until it ends."):
        _export(folder, planned, others, args)


def _export(folder: RunFolder, planned: Sequence[Artifact], others: Sequence[str], args: argparse.Namespace) -> None:
    if planned:
        from ferkeras.export.artifacts import export_run
        from ferkeras.export.parity import ParityError

        report = export_run(folder, planned, data_dir=args.data_dir)
        _print(report)
        if "error" in report:
            raise ParityError(report["error"], report)
        if failed := report.get("failed"):
            reasons = " ".join(f"{name}: {reason}" for name, reason in failed.items())
            files = sum(not artifact.step for artifact in planned)
            raise InputError(f"{len(failed)} of {files} artefacts cannot be had. {reasons.rstrip('.')}")
    for name in others:
        print(f"Written: {_write_others(name, folder, litertjs=args.litertjs)}")


def _check(args: argparse.Namespace, folder: RunFolder) -> None:
    if (folder.path / AGGREGATION_FILE).is_file():
        action = "Export the run whose frames it aggregates."
        raise InputError("An aggregation is not one network", received=str(folder.path), action=action)
    if "litert" not in args.format and (args.quantize or args.streaming):
        received = "--streaming" if args.streaming else f"--quantize {' '.join(args.quantize)}"
        raise InputError("--quantize and --streaming are for LiteRT", received=received, action="Add --format litert.")
    if "web" not in args.format and args.litertjs is not None:
        raise InputError("--litertjs is for the page", received=str(args.litertjs), action="Add --format web.")


def _print(report: dict[str, Any]) -> None:
    results = report["artifacts"]
    if not results:
        return
    count = next(iter(results.values()))["n"]
    print(f"Compared with Keras on {count} examples ({report['images']}); largest logit difference allowed", end=" ")
    print(f"{report['tolerance']:g} without quantisation")
    head = ["artefact", "path in the run", "MB", "largest difference", "mean", "same label"]
    score = report.get("score")
    if score:
        print(f"Keras has {score} {report['keras']:.4f} on {report['split']}")
        head += [score, "lost"]
    rows = []
    for name, r in results.items():
        differences = [_number(r[key], ".1e") for key in ("max_abs_diff", "mean_abs_diff")]
        row = [name, r["path"], f"{r['bytes'] / 1e6:.1f}", *differences, _number(r["top1_agreement"], ".1%")]
        rows.append(row + ([_number(r.get("score"), ".4f"), _number(r.get("drop"), ".4f")] if score else []))
    print_table(head, rows)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _write_others(name: str, folder: RunFolder, *, litertjs: Path | None) -> Path:
    """The files of a format that is made of other artefacts."""
    if name == "serving":
        from ferkeras.export.serving_files import write_serving

        return write_serving(folder)  # random pixels warm it up: faces of a data set must not travel with a model
    if name == "web":
        from ferkeras.export.web import write_web

        return write_web(folder, litertjs=litertjs)
    from ferkeras.export.mobile import write_mobile

    return write_mobile(folder)
