"""What is drawn of a video's timeline, gathered frame by frame in bounded memory."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ferkeras.annotation.segments import UNKNOWN, Totals, state_of
from ferkeras.annotation.slices import Slices
from ferkeras.prediction.result import FrameResult

#: Bins over the whole length: about one for each pixel of the plot.
MOST_BINS = 2000
#: Width of a bin at first, in seconds; it doubles when a video grows beyond `MOST_BINS` of them.
FIRST_S = 0.05


@dataclass(eq=False)
class Bin:
    """What one face showed during one stretch of time; see `Totals`. `state_s` are the seconds of each state."""

    totals: Totals = field(default_factory=Totals)
    state_s: dict[str, float] = field(default_factory=dict)

    def absorb(self, other: "Bin") -> None:
        self.totals.absorb(other.totals)
        for state, seconds in other.state_s.items():
            self.state_s[state] = self.state_s.get(state, 0.0) + seconds

    @property
    def state(self) -> str:
        return max(self.state_s, key=self.state_s.__getitem__) if self.state_s else UNKNOWN


class Timeline:
    """Gathers one video frame by frame; `ferkeras.annotation.timeline_plot` draws it.

    A frame counts in the bin in which it begins. There are `MOST_BINS` at most, and for each track only those in which
    it is seen, so memory grows with the number of tracks but not with the length.

    Args:
        labels: K names of the emotions; none for a network without classes.

    Attributes:
        width_s: Seconds of a bin.
        tracks: By number, its bins by their place.
        cuts: Places of the bins that have a cut.
        end_s: When the last frame ends.
        longest_s: The longest time that a frame is shown.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.source = ""
        self.width_s, self.end_s, self.longest_s = FIRST_S, 0.0, 0.0
        self.tracks: dict[int, dict[int, Bin]] = {}
        self.cuts: set[int] = set()
        self._slices = Slices()

    def add(self, result: FrameResult) -> None:
        """Takes the next frame.

        Raises:
            InputError: for a picture, frames out of order, and after `finish`.
        """
        self._take(self._slices.add(result))

    def finish(self) -> None:
        """Takes the last frame into account. No other can follow."""
        self._take(self._slices.finish())

    def seconds(self, track_id: int) -> float:
        """Time in which the track is seen."""
        return sum(bin.totals.seconds for bin in self.tracks[track_id].values())

    def _take(self, piece: tuple[FrameResult, float, float] | None) -> None:
        if piece is None:
            return
        result, start_s, seconds = piece
        self.source, self.end_s, self.longest_s = result.source, start_s + seconds, max(self.longest_s, seconds)
        while start_s >= MOST_BINS * self.width_s:
            self._halve()
        place = int(start_s / self.width_s)
        if result.cut:
            self.cuts.add(place)
        for face in result.faces:
            bin = self.tracks.setdefault(face.face.track_id, {}).setdefault(place, Bin())
            bin.totals.add(face.scores, seconds)
            state = state_of(face)
            bin.state_s[state] = bin.state_s.get(state, 0.0) + seconds

    def _halve(self) -> None:
        """Joins bins two by two."""
        self.width_s *= 2
        self.cuts = {place // 2 for place in self.cuts}
        for track_id, bins in self.tracks.items():
            joined: dict[int, Bin] = {}
            for place, bin in bins.items():
                joined.setdefault(place // 2, Bin()).absorb(bin)
            self.tracks[track_id] = joined


def runs(bins: dict[int, Bin], gap: int) -> list[np.ndarray]:
    """Places of bins in rows between which no more than `gap` are missing."""
    places = np.array(sorted(bins))
    return np.split(places, np.flatnonzero(np.diff(places) > gap + 1) + 1)
