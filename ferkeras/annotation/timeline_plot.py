"""The timeline as a PNG file: for each person the expression, the probability of each class, valence and arousal.

Drawn as in `ferkeras.plots`: Agg canvas, no pyplot, no global settings. Each class has a lane of its own and each
stretch its name, so that nothing rests on colour alone; the colours are those of Okabe and Ito, 2008.
"""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ferkeras.annotation.segments import UNKNOWN
from ferkeras.annotation.timeline import Bin, Timeline, runs
from ferkeras.plots import BLUE, GREY, LABEL_SIZE, TICK_SIZE, TITLE_SIZE, VERMILLION, new_figure, save_figure
from ferkeras.prediction.result import UNCERTAIN

#: Persons that are drawn: those in view for the longest time.
MOST_TRACKS = 12
#: Cuts beyond which lines would hide the rest.
MOST_CUTS = 100
#: Inches: the plot's width, and the heights of the strip of expressions, a class's lane and valence with arousal.
WIDTH, STRIP, LANE, AFFECT = 14.0, 0.34, 0.22, 1.0
#: One for each class in the order of `ferkeras.labels`; a network with more classes starts again.
COLOURS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#0072B2", "#56B4E9", "#999999", "#F0E442")
#: For states that are no class, with a pattern.
PLAIN: dict[str, str] = {UNCERTAIN: "///", UNKNOWN: "..."}
#: Absence up to this long, in seconds, is not drawn as a gap.
SHORT_S = 0.25
#: Seconds from one tick of the time axis to the next, of which the first that gives few enough is taken.
TICKS_S = (0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 6 * 3600, 24 * 3600, 30 * 24 * 3600)
#: Width of a letter in the strip, in inches.
LETTER = 0.085


def plot_timeline(timeline: Timeline, path: str | Path) -> None:
    """Draws what was gathered, once `timeline.finish()` was called, to a `.png` file; its folder is created.

    For each of up to `MOST_TRACKS` persons: the expression over time by colour and name, the probability of each class
    as the height of a filled lane, and valence and arousal from -1 to 1. Where the face is not found nothing is drawn.
    Dashed lines over all persons are cuts.

    Raises:
        InputError: if the file is not to end in `.png`.
    """
    order = sorted(timeline.tracks, key=timeline.seconds, reverse=True)
    shown = sorted(order[:MOST_TRACKS])
    affect = {track for track in shown if any(bin.totals.mean_affect for bin in timeline.tracks[track].values())}
    heights = [height for track in shown for height in _heights(timeline, track in affect)] or [STRIP]
    figure = new_figure(width=WIDTH, height=1.3 + sum(heights) + 0.12 * len(heights) + 0.3 * len(shown))
    figure.suptitle(_title(timeline, len(shown)), fontsize=TITLE_SIZE)
    panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    for axes in panels:
        _time_axis(axes, timeline, last=axes is panels[-1])
    left = iter(panels)
    for track_id in shown:
        bins = timeline.tracks[track_id]
        stretches = runs(bins, int(max(SHORT_S, 1.5 * timeline.longest_s) / timeline.width_s))
        _strip(next(left), timeline, bins, stretches, name=f"person {track_id}")
        if timeline.labels:
            _lanes(next(left), timeline, bins, stretches)
        if track_id in affect:
            _affect_lines(next(left), timeline, bins, stretches)
    if not shown:
        panels[0].set_yticks([])
        place = panels[0].transAxes
        panels[0].text(0.5, 0.5, "No face was found", ha="center", va="center", transform=place, fontsize=LABEL_SIZE)
    save_figure(figure, path)


def _heights(timeline: Timeline, affect: bool) -> list[float]:
    return [STRIP] + [LANE * len(timeline.labels)] * bool(timeline.labels) + [AFFECT] * affect


def _title(timeline: Timeline, shown: int) -> str:
    found = len(timeline.tracks)
    many = "1 person" if found == 1 else f"{found} persons"
    if shown < found:
        many += f", the {shown} longest in view"
    cuts = f", {len(timeline.cuts)} cuts (not drawn)" if len(timeline.cuts) > MOST_CUTS else ""
    return f"{Path(timeline.source).name}: {many}{cuts}"


def _strip(axes: Axes, timeline: Timeline, bins: dict[int, Bin], stretches: list[np.ndarray], *, name: str) -> None:
    """One bar for each row of bins of the same state, with its name where it fits."""
    for places in stretches:
        states = np.array([bins[place].state for place in places])
        starts = np.concatenate([[0], np.flatnonzero(states[1:] != states[:-1]) + 1])
        edges = [*_times(timeline, places[starts]), _end(timeline, bins, places)]
        for state, left, right in zip(states[starts], edges, edges[1:], strict=False):
            known = state in timeline.labels
            colour = (
                COLOURS[timeline.labels.index(state) % len(COLOURS)]
                if known
                else ("white" if state in PLAIN else "#E0E0E0")
            )
            hatch = None if known else PLAIN.get(state)
            axes.axvspan(
                left, right, facecolor=colour, hatch=hatch, edgecolor=GREY if hatch else "white", linewidth=0.5
            )
            wide = (right - left) / max(timeline.end_s, 1e-9) * (WIDTH - 2)
            if wide > LETTER * len(state):
                box: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.8}
                axes.text((left + right) / 2, 0.5, state, ha="center", va="center", fontsize=9, bbox=box, clip_on=True)
    for state in sorted({bin.state for bin in bins.values()} & PLAIN.keys()):
        axes.fill_between([], [], facecolor="white", hatch=PLAIN[state], edgecolor=GREY, label=state)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=TICK_SIZE - 2, frameon=False)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_title(name, loc="left", fontsize=LABEL_SIZE, pad=3)


def _lanes(axes: Axes, timeline: Timeline, bins: dict[int, Bin], stretches: list[np.ndarray]) -> None:
    """The probability of class k as a filled curve in the lane k, from 0 at its bottom to 1 at its top."""
    count = len(timeline.labels)
    for places in stretches:
        blank = np.full(count, np.nan)
        means = [bins[place].totals.mean_probabilities for place in places]
        values = np.array([blank if mean is None else mean for mean in means])
        times = [*_times(timeline, places), _end(timeline, bins, places)]
        for lane in range(count):
            floor = float(count - 1 - lane)
            heights = floor + 0.92 * np.append(values[:, lane], values[-1, lane])
            colour = COLOURS[lane % len(COLOURS)]
            axes.fill_between(times, floor, heights, step="post", facecolor=colour, linewidth=0)
    axes.set_ylim(0, count)
    axes.set_yticks(np.arange(count) + 0.5, timeline.labels[::-1], fontsize=TICK_SIZE - 2)
    axes.hlines(np.arange(count), 0, timeline.end_s, color="#DDDDDD", linewidth=0.6)
    axes.tick_params(axis="y", length=0)


def _affect_lines(axes: Axes, timeline: Timeline, bins: dict[int, Bin], stretches: list[np.ndarray]) -> None:
    for column, (name, colour, line) in enumerate((("valence", BLUE, "-"), ("arousal", VERMILLION, "--"))):
        for places in stretches:
            pairs = [bins[place].totals.mean_affect for place in places]
            values = [np.nan if pair is None else pair[column] for pair in pairs]
            times = [*_times(timeline, places), _end(timeline, bins, places)]
            label = name if places is stretches[0] else None
            axes.plot(times, [*values, values[-1]], line, color=colour, linewidth=1.2, label=label)
    axes.set_ylim(-1.05, 1.05)
    axes.set_yticks([-1, 0, 1])
    axes.axhline(0, color="#DDDDDD", linewidth=0.8, zorder=0)
    axes.tick_params(axis="y", labelsize=TICK_SIZE - 2)
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.05), fontsize=TICK_SIZE - 2, frameon=False)


def _time_axis(axes: Axes, timeline: Timeline, *, last: bool) -> None:
    axes.set_xlim(0, max(timeline.end_s, timeline.width_s))
    axes.xaxis.set_major_locator(MultipleLocator(next((s for s in TICKS_S if timeline.end_s / s <= 12), TICKS_S[-1])))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds, timeline.end_s)))
    axes.tick_params(axis="x", labelsize=TICK_SIZE, labelbottom=last)
    if last:
        axes.set_xlabel("Time (h:min:s)" if timeline.end_s >= 3600 else "Time (min:s)", fontsize=LABEL_SIZE)
    if len(timeline.cuts) <= MOST_CUTS:
        for place in timeline.cuts:
            axes.axvline(place * timeline.width_s, color="black", linestyle=(0, (4, 3)), linewidth=0.7)


def _times(timeline: Timeline, places: np.ndarray) -> np.ndarray:
    """When bins begin, in seconds."""
    return places * timeline.width_s


def _end(timeline: Timeline, bins: dict[int, Bin], places: np.ndarray) -> float:
    """When a row of bins ends, in seconds."""
    last = bins[places[-1]].totals.seconds
    return min(float(places[-1] * timeline.width_s + max(last, timeline.width_s)), timeline.end_s)


def _clock(seconds: float, end_s: float) -> str:
    """`3:07`, `1:03:07` in a video of more than an hour, `0:07.5` in one of less than 20 seconds."""
    hours, rest = divmod(seconds, 3600) if end_s >= 3600 else (0, seconds)
    minutes, rest = divmod(rest, 60)
    text = f"{minutes:02.0f}:{rest:04.1f}" if end_s < 20 else f"{minutes:02.0f}:{rest:02.0f}"
    return f"{hours:.0f}:{text}" if end_s >= 3600 else text
