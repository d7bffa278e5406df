"""Summaries, timelines and prompts of videos, from results made up frame by frame."""

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferkeras.annotation import timeline_plot
from ferkeras.annotation.prompt import FEWEST_LINES, clock, emotion_prompt
from ferkeras.annotation.summary import TrackSummaries
from ferkeras.annotation.timeline import MOST_BINS, Timeline, runs
from ferkeras.annotation.timeline_plot import plot_timeline
from ferkeras.errors import InputError
from ferkeras.faces.track import TrackedFace
from ferkeras.prediction.result import FaceResult, FrameResult, Scores

LABELS = ("sad", "happy", "neutral")


def face(track_id: int, emotion: str | None, *, affect: tuple[float, float] | None = None) -> FaceResult:
    """A face that shows `emotion` with 0.8; without scores for None."""
    tracked = TrackedFace(track_id, np.array([1, 2, 30, 40], np.float32), np.zeros((5, 2), np.float32), 0.9, True)
    if emotion is None and affect is None:
        return FaceResult(tracked, None, None)
    values = None if emotion is None else np.array([0.8 if name == emotion else 0.1 for name in LABELS])
    return FaceResult(tracked, Scores(values, *(affect or (None, None))), emotion)


def film(
    shows: Callable[[float], Sequence[FaceResult]], times: Sequence[float], cuts: Sequence[int] = ()
) -> Iterator[FrameResult]:
    for frame, time_s in enumerate(times):
        yield FrameResult(
            "film.mp4", frame, float(time_s), np.zeros((1, 1, 3), np.uint8), tuple(shows(time_s)), frame in cuts
        )


def summed(
    shows: Callable[[float], Sequence[FaceResult]],
    times: Sequence[float],
    labels: Sequence[str] = LABELS,
    **options: float,
) -> TrackSummaries:
    summaries = TrackSummaries(labels, **options)
    for result in film(shows, times):
        summaries.add(result)
    return summaries


def evenly(seconds: float, fps: float = 25) -> np.ndarray:
    return np.arange(round(seconds * fps)) / fps


def test_summary_of_one_face() -> None:
    def shows(time_s: float) -> list[FaceResult]:
        if 6 <= time_s < 8:
            return []
        return [face(0, "sad" if time_s < 4 else "happy", affect=(time_s / 10, -0.5))]

    found = json.loads(json.dumps(summed(shows, evenly(10)).to_json()))
    assert (found["source"], found["frames"], found["duration_s"], found["without_face_s"]) == ("film.mp4", 250, 10, 2)
    (track,) = found["tracks"]
    assert (track["track_id"], track["first_s"], track["last_s"], track["frames"]) == (0, 0, 10, 200)
    assert track["found_share"] == 0.8
    assert track["dominant_emotion"] in ("sad", "happy")
    assert track["time_shares"] == {"happy": 0.5, "sad": 0.5}
    assert track["mean_probabilities"] == {"sad": 0.45, "happy": 0.45, "neutral": 0.1}
    assert track["transitions"] == [{"from": "sad", "to": "happy", "time_s": 4.0}]
    assert [(s["start_s"], s["stop_s"], s["state"], s["probability"]) for s in track["segments"]] == [
        (0, 4, "sad", 0.8), (4, 6, "happy", 0.8), (8, 10, "happy", 0.8),
    ]  # fmt: skip
    times = evenly(10)
    times = times[(times < 6) | (times >= 8)]
    assert track["valence"] == {"mean": pytest.approx(times.mean() / 10, abs=1e-4), "min": 0.0, "max": 0.996}
    assert track["arousal"] == {"mean": -0.5, "min": -0.5, "max": -0.5}


def test_time_counts_and_not_frames() -> None:
    times = [*np.arange(0, 1, 0.01), *np.arange(1, 4, 0.1)]  # 100 frames of a second, 30 of three
    found = summed(lambda t: [face(0, "sad" if t < 1 - 1e-9 else "happy", affect=(float(t >= 1 - 1e-9), 0.0))], times)
    (track,) = found.to_json()["tracks"]
    assert track["dominant_emotion"] == "happy"
    assert track["time_shares"] == {"happy": 0.75, "sad": 0.25}
    assert track["valence"]["mean"] == pytest.approx(0.75, abs=1e-3)


def test_frames_that_could_not_be_decoded_belong_to_nobody() -> None:
    summaries = TrackSummaries(LABELS)
    for frame in [*range(25), *range(75, 100)]:
        summaries.add(FrameResult("film.mp4", frame, frame / 25, None, (face(0, "happy"),)))
    (track,) = summaries.to_json()["tracks"]
    assert track["found_share"] == 0.5
    assert [(s["start_s"], s["stop_s"]) for s in track["segments"]] == [(0, 1), (3, 4)]


def test_flicker_is_no_transition() -> None:
    def shows(time_s: float) -> list[FaceResult]:
        flicker = round(time_s * 25) % 10 < 3
        return [face(0, "neutral" if flicker else "sad" if time_s < 5 else "happy")]

    (track,) = summed(shows, evenly(10)).to_json()["tracks"]
    assert [(s["state"]) for s in track["segments"]] == ["sad", "happy"]
    assert len(track["transitions"]) == 1
    assert track["transitions"][0]["time_s"] == pytest.approx(5.0, abs=0.2)
    assert track["time_shares"]["neutral"] == pytest.approx(0.3), "the shares are by frames"
    (track,) = summed(shows, evenly(10), minimum_s=0.1).to_json()["tracks"]
    assert len(track["transitions"]) > 30


def test_faces_without_scores_and_without_classes() -> None:
    (track,) = summed(lambda t: [face(0, None if t < 2 else "happy")], evenly(4)).to_json()["tracks"]
    assert track["dominant_emotion"] == "happy"
    assert track["time_shares"] == {"happy": 0.5, "not known": 0.5}
    assert track["mean_probabilities"]["happy"] == 0.8
    assert track["segments"][0]["probability"] is None
    assert track["valence"] is None
    (track,) = summed(lambda t: [face(0, None, affect=(0.5, -0.5 if t < 2 else 0))], evenly(4), ()).to_json()["tracks"]
    assert track["dominant_emotion"] is None
    assert [s["state"] for s in track["segments"]] == [
        "positive valence, low arousal",
        "positive valence, neutral arousal",
    ]


def test_short_and_empty_films() -> None:
    assert summed(lambda _: [], []).to_json()["tracks"] == []
    (track,) = summed(lambda _: [face(7, "sad")], [0.0]).to_json()["tracks"]
    assert (track["track_id"], track["found_share"], track["time_shares"]) == (7, 1.0, {"sad": 1.0})


def test_wrong_frames_are_refused() -> None:
    frames = list(film(lambda _: [], evenly(1)))
    for gatherer in (TrackSummaries(LABELS), Timeline(LABELS)):
        with pytest.raises(InputError, match="no time"):
            gatherer.add(FrameResult("a.jpg", 0, None, None, ()))
    summaries = TrackSummaries(LABELS)
    summaries.add(frames[3])
    with pytest.raises(InputError, match="in order"):
        summaries.add(frames[2])
    summaries.to_json()
    with pytest.raises(InputError, match="after the end"):
        summaries.add(frames[4])


def test_bins_are_bounded_and_keep_the_means() -> None:
    timeline, times = Timeline(LABELS), evenly(3600, 2)
    for result in film(lambda t: [face(0, "sad" if t < 900 else "happy", affect=(t / 3600, 0.0))], times, cuts=[3600]):
        timeline.add(result)
    timeline.finish()
    bins = timeline.tracks[0]
    assert MOST_BINS / 2 < len(bins) <= MOST_BINS
    assert timeline.width_s * MOST_BINS >= 3600 > timeline.width_s * MOST_BINS / 2
    assert timeline.seconds(0) == pytest.approx(3600)
    for place, bin in bins.items():
        middle = (place + 0.5) * timeline.width_s
        assert bin.totals.mean_affect is not None
        assert bin.totals.mean_affect[0] == pytest.approx(min(middle, 3600) / 3600, abs=0.001)
        assert bin.state == ("sad" if middle < 900 else "happy")
    assert timeline.cuts == {int(1800 / timeline.width_s)}


def test_gaps_part_the_bins() -> None:
    timeline = Timeline(LABELS)
    for result in film(lambda t: [face(0, "sad")] if not 2 <= t < 3 else [], evenly(5)):
        timeline.add(result)
    timeline.finish()
    parts = runs(timeline.tracks[0], 5)
    assert [(round(p[0] * timeline.width_s, 6), round(p[-1] * timeline.width_s, 2)) for p in parts] == [
        (0, 1.95),
        (3, 4.95),
    ]


@pytest.mark.parametrize("tracks", [0, 1, 4])
def test_plot(tmp_path: Path, tracks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeline_plot, "MOST_TRACKS", 2)
    timeline = Timeline(LABELS)
    for result in film(lambda t: [face(k, None if t < 0.1 else "sad") for k in range(tracks)], evenly(2, 10)):
        timeline.add(result)
    timeline.finish()
    plot_timeline(timeline, tmp_path / "out" / "timeline.png")
    with Image.open(tmp_path / "out" / "timeline.png") as picture:
        assert picture.width == 2100
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    sad = (np.abs(pixels - (0xD5, 0x5E, 0x00)) < 3).all(axis=2)  # the colour of the first class
    assert sad.any() == (tracks > 0)
    strips = sum(1 for drawn, _ in itertools.groupby(sad.sum(axis=1) > 1200) if drawn)
    assert strips == 2 * min(tracks, 2), "a strip and a lane for each person"


def test_prompt() -> None:
    def shows(time_s: float) -> list[FaceResult]:
        seen = [face(0, "sad" if time_s < 4 else "happy", affect=(0.4, -0.2))]
        return seen + [face(1, "neutral")] * int(3 <= time_s < 6)

    text = emotion_prompt(summed(shows, evenly(10)), network="run x")
    lines = text.splitlines()
    assert lines[0] == "Facial expressions in the video film.mp4, estimated by a neural network (run x)."
    assert "Length 00:10.0, 250 frames, 2 persons, 0 cuts" in text
    assert "estimate" in text
    assert lines[lines.index("") + 1 :] == [
        "00:00.0-00:04.0 person 0: sad (mean 0.80), valence 0.40 arousal -0.20",
        "00:03.0-00:06.0 person 1: neutral (mean 0.80); comes into view; then out of view",
        "00:04.0-00:10.0 person 0: happy (mean 0.80), valence 0.40 arousal -0.20",
    ]


@pytest.mark.parametrize("max_lines", [FEWEST_LINES, 40, 1000])
def test_prompt_is_bounded(max_lines: int) -> None:
    def shows(time_s: float) -> list[FaceResult]:
        major = "happy" if time_s < 100 else "sad"
        other = int(time_s) % 3 == 0
        return [face(k, "neutral" if other else major) for k in range(int(time_s) // 20 + 1)]

    lines = emotion_prompt(summed(shows, evenly(200, 3)), max_lines=max_lines).splitlines()
    assert len(lines) <= max_lines
    body = lines[lines.index("") + 1 :]
    if max_lines == 1000:
        assert len(body) > 600
    elif max_lines == 40:
        assert len(body) > 20
        assert "Joined" in "".join(lines)
        assert not any("neutral" in line for line in body), "the rarer of what is joined is not what is named"
    else:
        assert "Left out: 9 persons" in "".join(lines)


def test_prompt_without_faces() -> None:
    text = emotion_prompt(summed(lambda _: [], evenly(2)))
    assert "0 persons" in text
    assert text.endswith("No face was found.\n")
    with pytest.raises(InputError, match="lines"):
        emotion_prompt(summed(lambda _: [], evenly(2)), max_lines=3)


def test_clock() -> None:
    assert [clock(s) for s in (0, 7.84, 59.96, 3599.99, 3661.5)] == [
        "00:00.0",
        "00:07.8",
        "01:00.0",
        "1:00:00.0",
        "1:01:01.5",
    ]
