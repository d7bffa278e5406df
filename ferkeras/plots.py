"""The plots as PNG files: training curves, confusion matrix, reliability diagram, trials of a grid, robustness.

Drawn with matplotlib's object-oriented interface and the Agg canvas: no display, no pyplot, no global
settings. The line colours are blue and vermillion of the palette of Okabe and Ito, 2008, which colour-blind
readers tell apart.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import ArrayLike, NDArray

from ferkeras.errors import InputError
from ferkeras.files import staged

BLUE, VERMILLION, GREY = "#0072B2", "#D55E00", "#7F7F7F"
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 13, 12, 11
DOTS_PER_INCH = 150


def plot_curves(
    history: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    quantities: Sequence[str] = ("loss", "accuracy", "learning_rate"),
) -> None:
    """Draw one panel for each quantity over the epochs, training and validation together.

    Args:
        history: One row for each epoch, as in `history.csv`: a quantity under its name, its validation value
            under `val_<name>`, and optionally `epoch` (else rows count from 1). Numbers or their text; a
            missing, None or empty value leaves a gap.
        path: The `.png` file to write; its folder is created.
        quantities: Panels from left to right; those without any value in the history are left out. The
            learning rate has a logarithmic axis if it is positive throughout.

    Raises:
        InputError: No row, or none of the quantities in it.
    """
    panels = [
        (name, _column(history, name), _column(history, f"val_{name}"))
        for name in quantities
        if np.isfinite([*_column(history, name), *_column(history, f"val_{name}")]).any()
    ]
    if not panels:
        raise InputError(
            f"The history must have rows with at least one of {', '.join(quantities)}",
            received=f"{len(history)} rows, columns {sorted({key for row in history for key in row})}",
        )
    epochs = _column(history, "epoch")
    epochs = np.where(np.isnan(epochs), np.arange(1, len(history) + 1), epochs)

    figure = new_figure(width=4.6 * len(panels), height=4.2)
    figure.suptitle(f"Training curves, n = {len(history)} epochs", fontsize=TITLE_SIZE)
    for axes, (name, training, validation) in zip(_axes(figure, len(panels)), panels, strict=True):
        marker = "o" if len(history) <= 30 else ""
        for values, label, color, line in (
            (training, "training", BLUE, "-"),
            (validation, "validation", VERMILLION, "--"),
        ):
            if np.isfinite(values).any():
                axes.plot(epochs, values, line, color=color, label=label, marker=marker, markersize=4)
        if np.isfinite(validation).any():
            axes.legend(fontsize=TICK_SIZE, frameon=False)
        if name == "learning_rate" and np.all(training[np.isfinite(training)] > 0):
            axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
        label_axes(axes, "Epoch", name.replace("_", " ").capitalize())
        axes.grid(alpha=0.3)
    save_figure(figure, path)


def plot_confusion_matrix(matrix: ArrayLike, names: Sequence[str], path: str | Path) -> None:
    """Draw a confusion matrix with rows normalised by the true class, each cell with its share and count.

    Args:
        matrix: (K, K) counts, rows true and columns predicted. A row without examples stays grey.
        names: (K,) class names.
        path: The `.png` file to write; its folder is created.

    Raises:
        InputError: The matrix is not square, holds negative counts, or has not the width of `names`.
    """
    counts = np.asarray(matrix)
    classes = len(names)
    if counts.shape != (classes, classes) or classes == 0 or np.any(counts < 0):
        raise InputError(
            f"The confusion matrix must be ({classes}, {classes}) counts, one row and column for each name",
            received=f"shape {counts.shape}",
        )
    support = counts.sum(axis=1, keepdims=True)
    shares = np.where(support > 0, counts / np.maximum(support, 1), np.nan)

    figure = new_figure(width=2.6 + 0.8 * classes, height=1.8 + 0.72 * classes)
    axes = figure.add_subplot()
    axes.set_facecolor("#E5E5E5")
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(classes, classes):
        share = shares[row, column]
        text = f"{counts[row, column]:,}" if np.isnan(share) else f"{share:.0%}\n{counts[row, column]:,}"
        # The map is dark enough for white only in its last third.
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=TICK_SIZE,
            color="white" if share > 0.65 else "black",
        )
    axes.set_xticks(range(classes), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(classes), [f"{name} ({int(n):,})" for name, n in zip(names, support[:, 0], strict=True)])
    axes.set_title(f"Confusion matrix, n = {int(counts.sum()):,}", fontsize=TITLE_SIZE, pad=10)
    label_axes(axes, "Predicted class", "True class (examples)")
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(xmax=1, decimals=0))
    bar.set_label("Share of the true class", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    save_figure(figure, path)


def plot_reliability(bins: Sequence[Mapping[str, Any]], ece: float, path: str | Path) -> None:
    """Draw a reliability diagram: accuracy against confidence, above the number of examples in each bin.

    Guo et al., 2017, "On Calibration of Modern Neural Networks", figure 1. A calibrated model's bars end on
    the diagonal; below it the model is overconfident.

    Args:
        bins: M rows {confidence, accuracy, count} of equal-width bins of [0, 1], as `classification_report`
            returns them under `reliability`; the first two are None in an empty bin.
        ece: Expected calibration error in [0, 1], shown in the title.
        path: The `.png` file to write; its folder is created.

    Raises:
        InputError: No bin, or no example in any bin.
    """
    count = _column(bins, "count")
    if count.size == 0 or not count.sum() > 0:
        raise InputError(
            "The reliability bins must hold at least one example",
            received=f"{len(bins)} bins, counts {count}",
        )
    confidence, accuracy = _column(bins, "confidence"), _column(bins, "accuracy")
    width = 1 / len(bins)
    centres = (np.arange(len(bins)) + 0.5) * width

    figure = new_figure(width=5.6, height=6.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    upper.bar(centres, accuracy, width=width, color=BLUE, edgecolor="white", label="accuracy")
    upper.bar(
        centres,
        confidence - accuracy,
        bottom=accuracy,
        width=0.6 * width,
        facecolor=(1, 1, 1, 0.6),
        edgecolor=VERMILLION,
        hatch="////",
        label="gap to the mean confidence",
    )
    upper.plot([0, 1], [0, 1], color=GREY, linestyle="--", label="perfect calibration")
    upper.set_title(f"Reliability, n = {int(count.sum()):,}, ECE = {ece:.1%}", fontsize=TITLE_SIZE, pad=10)
    upper.set(xlim=(0, 1), ylim=(0, 1))
    upper.legend(fontsize=TICK_SIZE, loc="upper left")
    label_axes(upper, "", "Accuracy")
    lower.bar(centres, count, width=width, color=GREY, edgecolor="white")
    lower.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    lower.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    label_axes(lower, "Confidence (highest probability)", "Examples")
    save_figure(figure, path)


def plot_grid(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    keys: Sequence[str],
    best: int,
    quantity: str = "val_accuracy",
) -> None:
    """Draw the trials of a grid, one panel for each key: a dot for each trial over the key's values.

    A line joins the highest dot of each value, and the best trial is marked in all panels.

    Args:
        rows: One for each trial, as in `results.csv`: the text of each key's value, and `quantity`; a trial without
            that is not drawn.
        path: The `.png` file to write; its folder is created.
        keys: Panels, four in a line. The values stand in the order in which the rows bring them.
        best: Index of the row to mark.
        quantity: Higher is better.

    Raises:
        InputError: No row has the quantity, or there is no key.
    """
    values = _column(rows, quantity)
    if not keys or not np.isfinite(values).any():
        received = f"{len(rows)} rows, {len(keys)} keys"
        raise InputError(f"The grid must have a trial with {quantity}, and a key", received=received)
    columns = min(len(keys), 4)
    lines = -(-len(keys) // columns)
    figure = new_figure(width=1.2 + 3.4 * columns, height=0.6 + 3.8 * lines)
    drawn = np.isfinite(values)
    figure.suptitle(f"Grid, {drawn.sum()} of {len(rows)} trials", fontsize=TITLE_SIZE)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(keys) :]:
        axes.remove()
    spread = np.linspace(-0.08, 0.08, len(rows))  # sideways, so that equal trials do not hide each other
    for axes, key in zip(panels.flat, keys, strict=False):
        texts = list(dict.fromkeys(str(row[key]) for row in rows))
        place = np.array([texts.index(str(row[key])) for row in rows])
        tops = [np.max(values[drawn & (place == index)], initial=-np.inf) for index in range(len(texts))]
        axes.plot(np.where(np.isfinite(tops), tops, np.nan), color=GREY, linestyle="--", label="best of each value")
        axes.scatter(place + spread, values, s=36, color=BLUE, alpha=0.6, linewidths=0, label="trial")
        axes.scatter(
            place[best] + spread[best], values[best], s=90, color=VERMILLION, marker="D", label="best trial", zorder=3
        )
        slanted = max(map(len, texts)) > 24 // len(texts)
        turn: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
        axes.set_xticks(range(len(texts)), texts, **turn)
        axes.set_xlim(-0.5, len(texts) - 0.5)
        label_axes(axes, key, quantity.replace("val_", "validation ").capitalize() if axes in panels[:, 0] else "")
        axes.grid(alpha=0.3)
    handles, names = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=TICK_SIZE, frameon=False)
    save_figure(figure, path)


def plot_robustness(report: Mapping[str, Any], path: str | Path) -> None:
    """Draw the accuracy under each corruption at each severity as a map, the corruptions that cost most at the bottom.

    Args:
        report: Of `ferkeras.robustness.summarised`.
        path: The `.png` file to write; its folder is created.

    Raises:
        InputError: No corruption in it.
    """
    if not report["corruptions"]:
        raise InputError("The report must have a corruption", received="none")
    rows = sorted(report["corruptions"].items(), key=lambda item: -item[1]["mean_accuracy"])
    clean = report["clean"]["accuracy"]
    values = np.array(
        [[clean, *(one["accuracy"] for one in row["severities"]), row["mean_accuracy"]] for _, row in rows]
    )
    last = values.shape[1] - 1
    figure = new_figure(width=7.4, height=1.6 + 0.4 * len(rows))
    axes = figure.add_subplot()
    image = axes.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(values.shape):
        value = values[row, column]
        color = "white" if value > 0.65 else "black"
        axes.text(column, row, f"{value:.0%}", ha="center", va="center", fontsize=TICK_SIZE, color=color)
    for edge in (0.5, last - 0.5):  # the severities lie between what they start from and their mean
        axes.axvline(edge, color="white", linewidth=4)
    axes.set_xticks(range(last + 1), ["clean", *map(str, range(1, last)), "mean"])
    axes.set_yticks(range(len(rows)), [name.replace("_", " ") for name, _ in rows])
    mean = report["mean_corruption_accuracy"]
    axes.set_title(f"n = {report['n']:,}, clean {clean:.1%}, corrupted {mean:.1%}", fontsize=TITLE_SIZE, pad=10)
    label_axes(axes, "Severity", "Corruption")
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(xmax=1, decimals=0))
    bar.set_label("Accuracy", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    save_figure(figure, path)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> NDArray[np.float64]:
    """The values under one name as floats, NaN where there is none."""
    return np.array([float("nan" if row.get(name) in (None, "") else row[name]) for row in rows])


def new_figure(*, width: float, height: float) -> Figure:
    """A figure of a size in inches that draws itself into memory."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(wspace=0.06))
    FigureCanvasAgg(figure)
    return figure


def _axes(figure: Figure, columns: int) -> list[Axes]:
    return list(np.atleast_1d(figure.subplots(1, columns)))


def label_axes(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=LABEL_SIZE)
    axes.set_ylabel(y, fontsize=LABEL_SIZE)
    axes.tick_params(labelsize=TICK_SIZE)


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write the PNG file whole or not at all."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise InputError("A plot is written as a .png file", received=str(path))
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=DOTS_PER_INCH)
    with staged(path) as unfinished:
        unfinished.write_bytes(picture.getvalue())
