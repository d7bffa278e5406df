"""What a trained network is worth: one report of all examples of a split, and the files and plots of it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ferkeras.data.pipeline import StillPipeline
from ferkeras.inference import Runner, gather, softmax, with_views
from ferkeras.metrics import INTERVAL_METRICS, SCORES, classification_report
from ferkeras.plots import plot_confusion_matrix, plot_reliability
from ferkeras.runs import RunFolder


def evaluate(run: Runner, data: StillPipeline, *, split: str, tta: str = "none", seed: int = 0) -> dict[str, Any]:
    """The report of `run` on every example of `split`, in reading order.

    Args:
        run: A Keras model or an exported artefact, see `ferkeras.inference.Runner`.
        data: Gives the examples, and the subjects where the data set names them: confidence intervals are then
            drawn over subjects, whose images are not independent.
        split: A split of the data set, or a slice of one.
        tta: Test-time augmentation: `none`, `flip` or `ten_crop`. The sides of the ten crops are `augment.crop` of the
            recipe where that is under 1, and 40/48 of the image's sides elsewhere.
        seed: Of the bootstrap.

    Returns:
        The keys of `ferkeras.metrics.classification_report`, and `dataset`, `split`, `tta`.
    """
    views = with_views(run, tta, fraction=data.ten_crop_fraction)
    logits, labels = gather(views, data.evaluation(split, batch_size=256))
    report = classification_report(labels, softmax(logits), data.class_names, groups=data.subjects(split), seed=seed)
    return {"dataset": data.dataset, "split": split, "tta": tta, **report}


def write_plots(folder: RunFolder, report: Mapping[str, Any]) -> None:
    """Confusion matrix and reliability diagram of `report` into the run's `plots/`."""
    plots = folder.path / "plots"
    matrix = np.array(report["confusion_matrix"])
    plot_confusion_matrix(matrix, list(report["per_class"]), plots / "confusion_matrix.png")
    plot_reliability(report["reliability"], report["ece"], plots / "reliability.png")


def table(report: Mapping[str, Any]) -> str:
    """`report` for people: the scores with their 95 % intervals, then a line per class."""

    def number(value: float | None) -> str:
        return "     -" if value is None else f"{value:6.4f}"

    intervals = report["confidence_intervals"]
    lines = [
        f"{report['dataset']}, {report['split']}: {report['n']} images, test-time augmentation {report['tta']}",
        "",
    ]
    for name in (*SCORES, "ece", "nll"):
        line = f"{name:<18}{number(report[name])}"
        if name in INTERVAL_METRICS and None not in intervals.get(name, [None]):
            low, high = intervals[name]
            line += f"   95 % interval {number(low)} to {number(high)}"
        lines.append(line)
    width = max(map(len, report["per_class"]))
    lines += ["", f"{'class':<{width}}  precision  recall      f1  support"]
    for name, row in report["per_class"].items():
        scores = f"{number(row['precision']):>9}  {number(row['recall'])}  {number(row['f1'])}"
        lines.append(f"{name:<{width}}  {scores}  {row['support']:7d}")
    return "\n".join(lines)
