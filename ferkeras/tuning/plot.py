"""Parallel coordinates: every trial of a search as one line across its values and its score.

Inselberg, "The plane with parallel coordinates", The Visual Computer 1985. The colours are those of viridis, which
rise in lightness too, so that they can be told apart without colour vision and in print.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize

from ferkeras.errors import InputError
from ferkeras.plots import GREY, LABEL_SIZE, TICK_SIZE, TITLE_SIZE, VERMILLION, new_figure, save_figure

#: Ticks on the axis of a range.
_TICKS = 5


def plot_parallel(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    kinds: Mapping[str, str],
    best: int,
    quantity: str = "val_accuracy",
) -> None:
    """Draw the trials of a search.

    Args:
        rows: One for each trial, as in `results.csv`: the text of each key's value, `quantity` and `status`. A trial
            without the quantity is not drawn, one that was stopped is a thin dashed line.
        path: The `.png` file to write; its folder is created.
        kinds: Each key, an axis from left to right, with its kind of space, see `ferkeras.tuning.space.Space`.
        best: Index of the row to draw on top.
        quantity: The last axis and the colour; higher is better.

    Raises:
        InputError: No row has the quantity, or there is no key.
    """
    drawn = [index for index, row in enumerate(rows) if row.get(quantity) not in (None, "")]
    if not kinds or best not in drawn:
        received = f"{len(rows)} rows, {len(kinds)} keys"
        raise InputError(f"The search must have a key, and a best trial with {quantity}", received=received)
    scores = np.array([float(rows[index][quantity]) for index in drawn])
    spread = _Axis.of_numbers(list(scores), logarithmic=False)
    axes_of = {key: _Axis.of([str(rows[i][key]) for i in drawn], kind) for key, kind in kinds.items()}
    places = np.array(
        [*(axis.places for axis in axes_of.values()), spread.places]
    ).T  # (trial, axis), each in [0, 1] upwards
    places[:, :-1] += np.array([axis.slip for axis in axes_of.values()]) * np.linspace(-1, 1, len(drawn))[:, None]

    figure = new_figure(width=2.4 + 1.9 * len(kinds), height=5.0)
    figure.suptitle(f"Search, {len(drawn)} of {len(rows)} trials", fontsize=TITLE_SIZE)
    axes = figure.add_subplot()
    shades = ListedColormap(colormaps["viridis"](np.linspace(0.9, 0.0, 256)))  # without the yellow that white swallows
    colours = ScalarMappable(Normalize(scores.min(), scores.max()), shades)
    for order, index in enumerate(drawn):
        look: dict[str, Any] = {"color": colours.to_rgba(scores[order]), "linewidth": 1.6, "alpha": 0.85}
        if index == best:
            look = {"color": VERMILLION, "linewidth": 3.2, "zorder": 4, "label": "best trial"}
        elif str(rows[index].get("status", "")).startswith("stopped"):
            look |= {"linestyle": "--", "linewidth": 1.0}
        axes.plot(range(len(kinds) + 1), places[order], **look)
    for column, (name, axis) in enumerate({**axes_of, quantity: spread}.items()):
        _draw_axis(axes, column, axis, last=name == quantity)
    names = [*kinds, quantity.replace("val_", "validation ")]
    axes.set_xticks(range(len(names)), ["\n".join(name.rsplit(".", 1)) for name in names], fontsize=LABEL_SIZE)
    axes.set(xlim=(-0.35, len(kinds) + 0.35), ylim=(-0.06, 1.06), yticks=[])
    axes.tick_params(length=0, pad=10)
    axes.spines[:].set_visible(False)
    if any(str(row.get("status", "")).startswith("stopped") for row in rows):
        axes.plot([], [], linestyle="--", linewidth=1.0, color=GREY, label="stopped early")
    figure.legend(loc="outside lower center", ncols=2, fontsize=TICK_SIZE, frameon=False)
    bar = figure.colorbar(colours, ax=axes, pad=0.02)
    bar.set_label(names[-1].capitalize(), fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    save_figure(figure, path)


class _Axis:
    """Where values lie on an axis of length 1, and what is written beside it.

    Attributes:
        places: (N,) of the trials.
        ticks: Place and text.
        slip: How far lines are moved apart at most, so that equal choices do not hide each other.
    """

    def __init__(self, places: Sequence[float], ticks: Sequence[tuple[float, str]], *, slip: float = 0.0) -> None:
        self.places, self.ticks, self.slip = places, ticks, slip

    @staticmethod
    def of(texts: Sequence[str], kind: str) -> "_Axis":
        if kind == "choice":
            return _Axis.of_choices(texts)
        return _Axis.of_numbers([float(text) for text in texts], logarithmic=kind == "loguniform")

    @staticmethod
    def of_choices(texts: Sequence[str]) -> "_Axis":
        """Evenly spaced, numbers rising, words in the order of the alphabet."""
        values = sorted(set(texts), key=lambda text: (0, float(text), text) if _is_number(text) else (1, 0.0, text))
        step = 1 / max(1, len(values) - 1)
        at = {text: index * step if len(values) > 1 else 0.5 for index, text in enumerate(values)}
        return _Axis([at[text] for text in texts], [(at[text], text) for text in values], slip=0.03 * step)

    @staticmethod
    def of_numbers(numbers: Sequence[float], *, logarithmic: bool) -> "_Axis":
        values = np.log(numbers) if logarithmic else np.asarray(numbers, float)
        low, high = values.min(), values.max()
        if low == high:
            return _Axis([0.5] * len(numbers), [(0.5, f"{numbers[0]:.3g}")])
        ends = [low + (high - low) * index / (_TICKS - 1) for index in range(_TICKS)]
        ticks = [((end - low) / (high - low), f"{math.exp(end) if logarithmic else end:.3g}") for end in ends]
        return _Axis(list((values - low) / (high - low)), ticks)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _draw_axis(axes: Axes, column: int, axis: _Axis, *, last: bool) -> None:
    axes.axvline(column, ymin=0.05, ymax=0.95, color="black", linewidth=1, zorder=3)
    for place, text in axis.ticks:
        axes.annotate(
            text,
            (column, place),
            xytext=(5 if last else -5, 0),
            textcoords="offset points",
            ha="left" if last else "right",
            va="center",
            fontsize=TICK_SIZE,
            zorder=5,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
        )
