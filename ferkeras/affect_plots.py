"""The plots of valence and arousal as PNG files: a clip over time, the valence-arousal plane, the bins' confusion.

Drawn as in `ferkeras.plots`: Agg canvas, no pyplot, no global settings.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, PowerNorm
from matplotlib.ticker import MaxNLocator, MultipleLocator, PercentFormatter
from numpy.typing import ArrayLike, NDArray

from ferkeras.errors import InputError
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.plots import (
    BLUE,
    GREY,
    LABEL_SIZE,
    TICK_SIZE,
    TITLE_SIZE,
    VERMILLION,
    label_axes,
    new_figure,
    save_figure,
)
from ferkeras.valence_arousal import BINS, LOWEST, bins_to_values, values_to_bins

#: Where the cell of the first bin begins and that of the last one ends.
LEFT, RIGHT = VALENCE_AROUSAL_BINS[0] - 0.5, VALENCE_AROUSAL_BINS[-1] + 0.5


def plot_affect_over_time(
    valence_true: ArrayLike,
    arousal_true: ArrayLike,
    valence: ArrayLike,
    arousal: ArrayLike,
    path: str | Path,
    *,
    fps: float | None = None,
    title: str = "",
) -> None:
    """Draw valence above arousal over the frames of one clip, predicted and true.

    Args:
        valence_true, arousal_true: (T,) integer bins -10 to 10, `UNLABELLED` for a gap.
        valence, arousal: (T,) predicted values in [-1, 1], NaN for a gap.
        path: The `.png` file to write; its folder is created.
        fps: Frames in a second, for an axis in seconds; None for one in frames.
        title: Such as the clip's id.

    Raises:
        InputError: Arrays of different lengths or another range, or no frame.
    """
    panels = [_pair(valence_true, valence, name="valence"), _pair(arousal_true, arousal, name="arousal")]
    frames = panels[0][0].size
    if panels[1][0].size != frames or frames == 0 or (fps is not None and not fps > 0):
        raise InputError(
            "Valence and arousal must have the same number of frames, at least one, and `fps` must be positive",
            received=f"{frames} and {panels[1][0].size} frames, {fps=}",
        )
    rate = fps or 1.0
    times = np.arange(frames) / rate
    figure = new_figure(width=8.6, height=5.6)
    count = f"{frames} {'frame' if frames == 1 else 'frames'}"
    figure.suptitle(f"{title}, {count}" if title else count, fontsize=TITLE_SIZE)
    marker = "o" if frames <= 40 else ""
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, (true, predicted) in zip((upper, lower), panels, strict=True):
        # Labels are steps of a tenth: a line through their corners would show values that nobody gave.
        # It is the wider one, to be seen where the prediction is right.
        axes.step(
            times,
            true,
            where="mid",
            color=VERMILLION,
            label="true",
            marker=marker,
            markersize=8,
            linewidth=3.5,
            alpha=0.6,
        )
        axes.plot(times, predicted, color=BLUE, label="predicted", marker=marker, markersize=4)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set_ylim(-1.05, 1.05)
        axes.yaxis.set_major_locator(MultipleLocator(0.5))
        axes.grid(alpha=0.3)
    label_axes(upper, "", "Valence")
    label_axes(lower, "Time (s)" if fps else "Frame", "Arousal")
    lower.xaxis.set_major_locator(MaxNLocator(integer=fps is None, steps=[1, 2, 5, 10], min_n_ticks=1))
    lower.set_xlim(-0.5 / rate, (frames - 0.5) / rate)
    handles, names = lower.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=TICK_SIZE, frameon=False)
    save_figure(figure, path)


def plot_affect_plane(
    valence_true: ArrayLike, arousal_true: ArrayLike, valence: ArrayLike, arousal: ArrayLike, path: str | Path
) -> None:
    """Draw how many examples lie where in the valence-arousal plane (Russell, 1980), true beside predicted.

    Args:
        valence_true, arousal_true: (N,) integer bins -10 to 10; an example of which one is `UNLABELLED` is left out.
        valence, arousal: (N,) predicted values in [-1, 1], drawn in the nearest bin; an example with NaN is left out.
        path: The `.png` file to write; its folder is created.

    Raises:
        InputError: Arrays of different lengths or another range, or no example with both labels and predictions.
    """
    v_true, v = _pair(valence_true, valence, name="valence")
    a_true, a = _pair(arousal_true, arousal, name="arousal")
    known = np.isfinite(v_true + v + a_true + a) if v.shape == a.shape else np.zeros(0, dtype=bool)
    if not known.any():
        raise InputError(
            "There must be an example with both labels and both predictions",
            received=f"{v.size} examples of valence, {a.size} of arousal",
        )
    planes = [_plane(v_true[known], a_true[known]), _plane(v[known], a[known])]
    norm = LogNorm(vmin=1, vmax=max(2, *(plane.max() for plane in planes)))

    figure = new_figure(width=11.4, height=5.6)
    figure.suptitle(f"Valence-arousal plane, n = {known.sum():,}", fontsize=TITLE_SIZE)
    panels = figure.subplots(1, 2)
    extent = (LEFT / 10, RIGHT / 10, LEFT / 10, RIGHT / 10)
    for axes, plane, name in zip(panels, planes, ("True", "Predicted"), strict=True):
        image = axes.imshow(np.ma.masked_equal(plane, 0), cmap="viridis", norm=norm, origin="lower", extent=extent)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.axvline(0, color=GREY, linewidth=0.8)
        axes.set_title(name, fontsize=LABEL_SIZE)
        axes.xaxis.set_major_locator(MultipleLocator(0.5))
        axes.yaxis.set_major_locator(MultipleLocator(0.5))
        label_axes(axes, "Valence", "Arousal")
    bar = figure.colorbar(image, ax=panels)
    bar.set_label("Examples in a cell of 0.1 x 0.1", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    save_figure(figure, path)


def plot_bin_confusion(matrix: ArrayLike, path: str | Path, *, output: str) -> None:
    """Draw the 21 x 21 confusion matrix of the bins, rows normalised by the true bin, on a square-root scale of colour.

    Args:
        matrix: (21, 21) counts, rows true and columns predicted, as `affect_report` gives them under
            `confusion_matrix`. A row without examples stays grey. Between the red lines the prediction is within one
            bin of the label.
        path: The `.png` file to write; its folder is created.
        output: "valence" or "arousal", for the title.

    Raises:
        InputError: Another shape, negative counts, or no example.
    """
    counts = np.asarray(matrix)
    if counts.shape != (BINS, BINS) or np.any(counts < 0) or not counts.sum():
        raise InputError(
            f"The confusion matrix must be ({BINS}, {BINS}) counts, at least one of them above 0",
            received=f"shape {counts.shape}, sum {counts.sum()}",
        )
    support = counts.sum(axis=1, keepdims=True)
    shares = np.where(support > 0, counts / np.maximum(support, 1), np.nan)

    bins = VALENCE_AROUSAL_BINS
    figure = new_figure(width=8.2, height=7.2)
    axes = figure.add_subplot()
    axes.set_facecolor("#E5E5E5")
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1), extent=(LEFT, RIGHT, RIGHT, LEFT))
    edges = np.repeat(np.arange(LEFT, RIGHT + 1), 2)[1:-1]
    for offset in (-1.5, 1.5):
        axes.plot(np.repeat(bins, 2) + offset, edges, color=VERMILLION, linewidth=1)
    axes.set(xlim=(LEFT, RIGHT), ylim=(RIGHT, LEFT))
    axes.set_xticks(bins, [str(value) for value in bins])
    axes.set_yticks(bins, [f"{value} ({int(n):,})" for value, n in zip(bins, support[:, 0], strict=True)])
    axes.set_title(f"Bins of {output}, n = {int(counts.sum()):,}", fontsize=TITLE_SIZE, pad=10)
    label_axes(axes, "Predicted bin", "True bin (examples)")
    bar = figure.colorbar(image, ax=axes, format=PercentFormatter(xmax=1, decimals=0))
    bar.set_label("Share of the true bin", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    save_figure(figure, path)


def _pair(bins: ArrayLike, predicted: ArrayLike, *, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """True and predicted values (N,) in [-1, 1], NaN where there is none."""
    true, values = bins_to_values(bins), np.asarray(predicted, dtype=np.float64)
    if true.shape != values.shape or true.ndim != 1 or np.any(np.abs(values) > 1):
        raise InputError(
            f"Labels and predictions of {name} must be of one shape (N,), and the predictions in [-1, 1]",
            received=f"labels of shape {true.shape}, predictions of shape {values.shape}",
        )
    return true, values


def _plane(valence: NDArray[np.float64], arousal: NDArray[np.float64]) -> NDArray[Any]:
    """(21, 21) counts of the nearest bins, rows arousal and columns valence."""
    rows, columns = values_to_bins(arousal) - LOWEST, values_to_bins(valence) - LOWEST
    return np.bincount(rows * BINS + columns, minlength=BINS**2).reshape(BINS, BINS)
