"""Sheets of maps: a row for each face or person, a column for each class or moment, and the scale of the colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

from ferkeras.explain.overlay import COLOURS, overlay
from ferkeras.plots import LABEL_SIZE, TICK_SIZE, TITLE_SIZE, VERMILLION, new_figure, save_figure

#: Faces on a sheet.
MOST_ROWS = 8


@dataclass(frozen=True, eq=False)
class Cell:
    """One crop of a sheet.

    Attributes:
        crop: (H, W, 1 or 3) uint8.
        map: (H, W) in [0, 1]; None shows the crop as it is.
        title: Above it.
        chosen: Whether it is framed: what the network says of the face.
        profile: (H,) weights of the rows, drawn beside the crop.
    """

    crop: np.ndarray
    map: np.ndarray | None
    title: str
    chosen: bool = False
    profile: np.ndarray | None = None


def write_sheet(rows: Sequence[tuple[str, Sequence[Cell]]], path: Path, *, title: str) -> None:
    """Draws rows of a name and its cells; rows may be of different lengths.

    Args:
        rows: At least one.
        path: The `.png` file.
        title: Above the sheet; says what the maps are and how they are scaled.
    """
    columns = max(len(cells) for _, cells in rows)
    figure = new_figure(width=1.5 + 1.35 * columns, height=1.1 + 1.6 * len(rows))
    figure.suptitle(title, fontsize=TITLE_SIZE, wrap=True)
    panels = figure.subplots(len(rows), columns, squeeze=False)
    for line, (name, cells) in zip(panels, rows, strict=True):
        line[0].set_ylabel(name, fontsize=LABEL_SIZE)
        for axes, cell in zip(line, cells, strict=False):
            _draw(axes, cell)
        for axes in line[len(cells) :]:
            axes.remove()
    bar = figure.colorbar(ScalarMappable(cmap=COLOURS), ax=panels, shrink=0.8, aspect=30)
    bar.set_label("least to most important", fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TICK_SIZE)
    save_figure(figure, path)


def _draw(axes: Axes, cell: Cell) -> None:
    shown = cell.crop if cell.map is None else overlay(cell.crop, cell.map)
    height, width = shown.shape[:2]
    axes.imshow(np.broadcast_to(shown, (height, width, 3)), interpolation="nearest", extent=(0, width, height, 0))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_title(cell.title, fontsize=TICK_SIZE - 2, fontweight="bold" if cell.chosen else "normal")
    for spine in axes.spines.values():
        spine.set(color=VERMILLION if cell.chosen else "black", linewidth=2.5 if cell.chosen else 0.5)
    if cell.profile is not None:
        beside = axes.inset_axes((1.04, 0, 0.5, 1))
        beside.barh(np.arange(height) + 0.5, cell.profile, height=1.0, color=VERMILLION)
        beside.set(ylim=(height, 0), xlim=(0, None), yticks=[])
        beside.tick_params(labelsize=TICK_SIZE - 3)
