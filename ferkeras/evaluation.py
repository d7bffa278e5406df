"""What a trained network is worth: one report of all examples of a split, and the files and plots of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ferkeras.affect_metrics import SCORES as AFFECT_SCORES
from ferkeras.affect_plots import plot_affect_over_time, plot_affect_plane, plot_bin_confusion
from ferkeras.affect_report import OUTPUTS, affect_report
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.pipeline import StillPipeline
from ferkeras.inference import Runner, evaluation_batch, gather_heads, softmax
from ferkeras.labels import UNLABELLED
from ferkeras.metrics import INTERVAL_METRICS, SCORES, classification_report
from ferkeras.plots import plot_confusion_matrix, plot_reliability
from ferkeras.runs import RunFolder
from ferkeras.valence_arousal import expected_values
from ferkeras.views import with_views

#: What a file made of a network is held against it by, where the report has it; of valence and arousal also the CCC.
COMPARED = ("accuracy", "macro_f1", "ece", "nll", "mean_ccc")
#: Windows that are drawn over time where each frame has a label of its own.
DRAWN_WINDOWS = 3


@dataclass(frozen=True)
class Predictions:
    """What a network says of every example of a split, in reading order, beside the truth.

    Attributes:
        about: `dataset`, `split` and `tta`, and of clips `frames`, their length T.
        class_names: K emotions; none for valence and arousal.
        logits: Head -> (N, K) or (N, T, K).
        labels: Head -> (N,) or (N, T).
        subjects: (N,) ids, None where the data set names none.
    """

    about: dict[str, Any]
    class_names: tuple[str, ...]
    logits: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    subjects: np.ndarray | None


def collect(run: Runner, data: StillPipeline | ClipPipeline, *, split: str, tta: str = "none") -> Predictions:
    """Runs `run` over every example of `split`; arguments as those of `evaluate`."""
    views = with_views(run, tta, fraction=data.ten_crop_fraction)
    heads = ("emotion",) if data.class_names else OUTPUTS
    logits, labels = gather_heads(views, data.evaluation(split, batch_size=evaluation_batch(data)), heads=heads)
    about: dict[str, Any] = {"dataset": data.dataset, "split": split, "tta": tta}
    if isinstance(data, ClipPipeline):
        about["frames"] = data.windows.frames
    return Predictions(about, data.class_names, logits, labels, data.subjects(split))


def measure(found: Predictions, *, seed: int = 0, training_means: Mapping[str, float] | None = None) -> dict[str, Any]:
    """The report of `found`, see `evaluate`."""
    if found.class_names:
        probabilities = softmax(found.logits["emotion"])
        report = classification_report(
            found.labels["emotion"], probabilities, found.class_names, groups=found.subjects, seed=seed
        )
    else:
        report = affect_report(
            *(found.labels[head] for head in OUTPUTS),
            *(found.logits[head] for head in OUTPUTS),
            groups=found.subjects,
            training_means=training_means,
            seed=seed,
        )
    return {**found.about, **report}


def evaluate(
    run: Runner,
    data: StillPipeline | ClipPipeline,
    *,
    split: str,
    tta: str = "none",
    seed: int = 0,
    training_means: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The report of `run` on every example of `split`, in reading order.

    Args:
        run: A Keras model or an exported artefact, see `ferkeras.inference.Runner`.
        data: Gives the examples, and the subjects where the data set names them: confidence intervals are then
            drawn over subjects, whose images are not independent.
        split: A split of the data set, or a slice of one.
        tta: Test-time augmentation: a key of `ferkeras.views.VIEWS`. The sides of the ten crops are
            `augment.crop` of the recipe where that is under 1, and 40/48 of the image's sides elsewhere.
        seed: Of the bootstrap.
        training_means: Mean valence and arousal of the training split, for the constant beside the network.

    Returns:
        `dataset`, `split`, `tta`, of clips `frames`, and the keys of `ferkeras.metrics.classification_report`, or for
        valence and arousal of `ferkeras.affect_report.affect_report`. With labels by frame those that the mask leaves
        out are not counted.
    """
    return measure(collect(run, data, split=split, tta=tta), seed=seed, training_means=training_means)


def compare(
    found: Predictions, report: Mapping[str, Any], *, reference: Predictions, expected: Mapping[str, Any]
) -> dict[str, Any]:
    """What a file made of a network says, beside the network itself on the same examples.

    Args:
        found: Of the file.
        report: Of `measure`, from `found`.
        reference: Of the network.
        expected: Of `measure`, from `reference`.

    Returns:
        `scores`, by the names of `COMPARED` and `ccc_valence` and `ccc_arousal`; `differences`, the scores less those
        of the network; `same_label`, the share in [0, 1] of examples, or frames, with the same most probable class, of
        the head where it is smallest; and `logit_scale`, by how much the file's emotion logits, less their mean, are
        larger in the least squares: 1 for the same network, 1/T for one before a calibration by T. None without
        emotions.
    """
    scores, wanted = _compared(report), _compared(expected)
    pairs = {head: (logits, found.logits[head]) for head, logits in reference.logits.items()}
    same = [float((true.argmax(-1) == given.argmax(-1)).mean()) for true, given in pairs.values()]
    scale = None
    if "emotion" in pairs:
        true, given = (logits - logits.mean(axis=-1, keepdims=True) for logits in pairs["emotion"])
        scale = float((true * given).sum() / (true * true).sum()) if true.any() else None
    return {
        "scores": scores,
        "differences": {name: scores[name] - wanted[name] for name in scores},
        "same_label": min(same),
        "logit_scale": scale,
    }


def _compared(report: Mapping[str, Any]) -> dict[str, float]:
    of_heads = {f"ccc_{head}": report[head]["ccc"] for head in OUTPUTS if head in report}
    return {name: report[name] for name in COMPARED if report.get(name) is not None} | of_heads


def write_plots(folder: RunFolder, report: Mapping[str, Any], found: Predictions | None = None) -> None:
    """The plots of `report` into the run's `plots/`: confusion matrix and reliability diagram, or for valence and
    arousal the confusion of the bins and, from the predictions, the plane, and the course of some windows."""
    plots = folder.path / "plots"
    if "per_class" in report:
        matrix = np.array(report["confusion_matrix"])
        plot_confusion_matrix(matrix, list(report["per_class"]), plots / "confusion_matrix.png")
        plot_reliability(report["reliability"], report["ece"], plots / "reliability.png")
        return
    for head in OUTPUTS:
        plot_bin_confusion(report[head]["confusion_matrix"], plots / f"bins_{head}.png", output=head)
    if found is None:
        return
    true = [found.labels[head] for head in OUTPUTS]
    values = [expected_values(found.logits[head]) for head in OUTPUTS]
    if np.any((true[0] != UNLABELLED) & (true[1] != UNLABELLED)):
        v_true, a_true, v, a = (array.ravel() for array in (*true, *values))
        plot_affect_plane(v_true, a_true, v, a, plots / "valence_arousal.png")
    if true[0].ndim == 2:
        for index in range(min(DRAWN_WINDOWS, len(true[0]))):
            v_true, a_true, v, a = (array[index] for array in (*true, *values))
            title, path = f"{found.about['split']}, window {index + 1}", plots / f"over_time_{index + 1}.png"
            plot_affect_over_time(v_true, a_true, v, a, path, title=title)


def table(report: Mapping[str, Any]) -> str:
    """`report` for people: the scores with their 95 % intervals, then a line per class, or the constant's scores."""
    return _emotion_table(report) if "per_class" in report else _affect_table(report)


def _emotion_table(report: Mapping[str, Any]) -> str:
    intervals = report["confidence_intervals"]
    unit = f"clips of {report['frames']} frames" if "frames" in report else "images"
    lines = [
        f"{report['dataset']}, {report['split']}: {report['n']} {unit}, test-time augmentation {report['tta']}",
        "",
    ]
    for name in (*SCORES, "ece", "nll"):
        line = f"{name:<18}{_number(report[name])}"
        if name in INTERVAL_METRICS and None not in intervals.get(name, [None]):
            low, high = intervals[name]
            line += f"   95 % interval {_number(low)} to {_number(high)}"
        lines.append(line)
    width = max(map(len, report["per_class"]))
    lines += ["", f"{'class':<{width}}  precision  recall      f1  support"]
    for name, row in report["per_class"].items():
        scores = f"{_number(row['precision']):>9}  {_number(row['recall'])}  {_number(row['f1'])}"
        lines.append(f"{name:<{width}}  {scores}  {row['support']:7d}")
    return "\n".join(lines)


def _affect_table(report: Mapping[str, Any]) -> str:
    lines = [
        f"{report['dataset']}, {report['split']}: clips of {report['frames']} frames, "
        f"test-time augmentation {report['tta']}",
        f"mean CCC {report['mean_ccc']:.4f}",
    ]
    for head in OUTPUTS:
        scores = report[head]
        baseline = scores["baseline"]
        lines += ["", f"{head}, {scores['n']} labels"]
        for name in AFFECT_SCORES:
            line = f"{name:<12}{_number(scores[name])}"
            low, high = scores["confidence_intervals"].get(name, [None, None])
            if low is not None:
                line += f"   95 % interval {_number(low)} to {_number(high)}"
            if baseline is not None:
                line += f"   constant {_number(baseline[name])}"
            lines.append(line)
    return "\n".join(lines)


def comparison_table(artifacts: Mapping[str, Mapping[str, Any]]) -> str:
    """A line for each file: its size, each score with the difference to the network, and how often both agree."""
    width = max(map(len, artifacts))
    names = list(next(iter(artifacts.values()))["scores"])
    columns = "".join(f"  {name:>17}" for name in names)
    lines = [f"{'file':<{width}}        MB{columns}  same label"]
    for file, row in artifacts.items():
        cells = [f"{_number(row['scores'][name])} ({row['differences'][name]:+.4f})" for name in names]
        scores = "".join(f"  {cell:>17}" for cell in cells)
        lines.append(f"{file:<{width}}  {row['bytes'] / 1e6:8.3f}{scores}  {row['same_label']:10.4f}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "     -" if value is None else f"{value:6.4f}"
