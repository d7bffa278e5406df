"""What each person of a video showed: times, shares, means, changes."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ferkeras.annotation.segments import Segment, Segments, Totals, state_of
from ferkeras.annotation.slices import Slices
from ferkeras.prediction.result import FaceResult, FrameResult

#: What lasts less, in seconds, is flicker and no segment of its own.
MINIMUM_S = 0.5


class Track:
    """What is kept of one track.

    Attributes:
        track_id: Its number.
        first_s, last_s: When its first frame begins and its last one ends, in seconds after the first frame.
        frames: Number of frames in which the face is.
        totals: Means over its time.
        state_s: Seconds of each state, by frames, flicker included.
        lowest, highest: Valence and arousal.
        segments: See `Segments`.
    """

    def __init__(self, track_id: int, first_s: float, minimum_s: float) -> None:
        self.track_id, self.first_s, self.last_s = track_id, first_s, first_s
        self.frames = 0
        self.totals = Totals()
        self.state_s: dict[str, float] = {}
        self.lowest, self.highest = (1.0, 1.0), (-1.0, -1.0)
        self._segments = Segments(minimum_s)

    def add(self, start_s: float, seconds: float, face: FaceResult) -> None:
        self.last_s = start_s + seconds
        self.frames += 1
        self.totals.add(face.scores, seconds)
        state = state_of(face)
        self.state_s[state] = self.state_s.get(state, 0.0) + seconds
        scores = face.scores
        if scores is not None and scores.valence is not None and scores.arousal is not None:
            self.lowest = min(self.lowest[0], scores.valence), min(self.lowest[1], scores.arousal)
            self.highest = max(self.highest[0], scores.valence), max(self.highest[1], scores.arousal)
        self._segments.add(start_s, seconds, face)

    def finish(self) -> list[Segment]:
        return self._segments.finish()


class TrackSummaries:
    """Sums up one video frame by frame.

    Times are weighted by how long each frame is shown, so a variable frame rate counts as it is seen. Memory grows with
    the number of tracks and of segments, of which a track has two in a second at most, and not with that of frames.

    Args:
        labels: K names of the emotions; none for a network without classes.
        minimum_s: What lasts less is no segment, and no transition leads to it.
    """

    def __init__(self, labels: Sequence[str], *, minimum_s: float = MINIMUM_S) -> None:
        self.labels, self.minimum_s = tuple(labels), minimum_s
        self.source = ""
        self.frames, self.end_s, self.empty_s = 0, 0.0, 0.0
        self.cuts: list[float] = []
        self._slices = Slices()
        self._tracks: dict[int, Track] = {}

    def add(self, result: FrameResult) -> None:
        """Takes the next frame.

        Raises:
            InputError: for a picture, frames out of order, and once the end has been asked for.
        """
        self._take(self._slices.add(result))

    def tracks(self) -> list[Track]:
        """By number, complete. Ends the video: no frame can follow."""
        self._take(self._slices.finish())
        return [self._tracks[track_id] for track_id in sorted(self._tracks)]

    def to_json(self) -> dict[str, Any]:
        """All of it for `json.dumps`. Ends the video: no frame can follow.

        Returns:
            `source`, `frames`, `duration_s`, `without_face_s`, `cuts` (times), `minimum_segment_s` and `tracks`, each
            with `track_id`, `first_s`, `last_s`, `frames`, `found_share` (time with the face over time from first to
            last), `dominant_emotion` (most time; null without classes), `time_shares` (of the time with the face, by
            emotion, or region of the plane for a network without classes), `mean_probabilities`, `segments`,
            `transitions` (`from`, `to`, `time_s`; between segments that follow each other) and `valence` and `arousal`
            (`mean`, `min`, `max`; null without them). Means are over the time with scores.
        """
        tracks = [self._track(track) for track in self.tracks()]
        return {
            "source": self.source,
            "frames": self.frames,
            "duration_s": round(self.end_s, 3),
            "without_face_s": round(self.empty_s, 3),
            "cuts": [round(time, 3) for time in self.cuts],
            "minimum_segment_s": self.minimum_s,
            "tracks": tracks,
        }

    def _take(self, piece: tuple[FrameResult, float, float] | None) -> None:
        if piece is None:
            return
        result, start_s, seconds = piece
        self.source, self.frames, self.end_s = result.source, self.frames + 1, start_s + seconds
        self.empty_s += 0 if result.faces else seconds
        if result.cut:
            self.cuts.append(start_s)
        for face in result.faces:
            track_id = face.face.track_id
            if track_id not in self._tracks:
                self._tracks[track_id] = Track(track_id, start_s, self.minimum_s)
            self._tracks[track_id].add(start_s, seconds, face)

    def _track(self, track: Track) -> dict[str, Any]:
        segments = track.finish()
        length_s, seconds = track.last_s - track.first_s, track.totals.seconds
        means = track.totals.mean_probabilities
        emotions = {name: time for name, time in track.state_s.items() if name in self.labels}
        affect = track.totals.mean_affect or (None, None)
        return {
            "track_id": track.track_id,
            "first_s": round(track.first_s, 3),
            "last_s": round(track.last_s, 3),
            "frames": track.frames,
            "found_share": _share(seconds, length_s),
            "dominant_emotion": max(emotions, key=emotions.__getitem__) if emotions else None,
            "time_shares": {name: _share(time, seconds) for name, time in sorted(track.state_s.items())},
            "mean_probabilities": None if means is None else _named(self.labels, means),
            "segments": [self._segment(segment) for segment in segments],
            "transitions": [
                {"from": before.state, "to": after.state, "time_s": round(after.start_s, 3)}
                for before, after in pairwise(segments)
                if before.state != after.state and after.start_s - before.stop_s <= self.minimum_s
            ],
            "valence": _range(affect[0], track.lowest[0], track.highest[0]),
            "arousal": _range(affect[1], track.lowest[1], track.highest[1]),
        }

    def _segment(self, segment: Segment) -> dict[str, Any]:
        confidence, affect = segment.confidence(self.labels), segment.totals.mean_affect or (None, None)
        return {
            "start_s": round(segment.start_s, 3),
            "stop_s": round(segment.stop_s, 3),
            "state": segment.state,
            "probability": _rounded(confidence),
            "valence": _rounded(affect[0]),
            "arousal": _rounded(affect[1]),
        }


def _named(labels: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(labels, values, strict=True)}


def _range(mean: float | None, lowest: float, highest: float) -> dict[str, float] | None:
    return None if mean is None else {"mean": round(mean, 4), "min": round(lowest, 4), "max": round(highest, 4)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _share(part: float, whole: float) -> float:
    return round(min(part / whole, 1.0), 4) if whole > 0 else 1.0
