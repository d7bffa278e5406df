"""The course of emotions as plain text, for the prompt of a language model that describes the video.

A language model sees few frames or none. Lines with times, persons and stated doubt let it put the expressions where
they belong, and keep it from taking a network's guess for a fact.
"""

from collections.abc import Sequence

from ferkeras.annotation.segments import UNKNOWN, Segment
from ferkeras.annotation.summary import Track, TrackSummaries
from ferkeras.errors import InputError
from ferkeras.prediction.result import UNCERTAIN

#: By how much the length up to which segments are joined grows from one try to the next.
GROWTH = 1.1
#: Fewest lines that hold the header, one segment, and what is left out.
FEWEST_LINES = 12


def emotion_prompt(summaries: TrackSummaries, *, max_lines: int = 200, network: str = "") -> str:
    """The timeline of one video. Ends it: no frame can be added to `summaries` afterwards.

    One line for each segment, in the order of time: `00:03.2-00:07.8 person 0: happy (mean 0.84), valence 0.40 arousal
    0.20`, and whether the person comes into view or goes. Where these are too many, short segments are joined
    with those after them, and the persons in view for the shortest time are left out; the text says so.

    Args:
        summaries: The whole video.
        max_lines: Most lines of the text.
        network: What the classifications are from, such as the name of the run.

    Raises:
        InputError: for fewer than `FEWEST_LINES` lines.
    """
    if max_lines < FEWEST_LINES:
        raise InputError(f"The text needs at least {FEWEST_LINES} lines", received=f"max_lines={max_lines}")
    tracks = summaries.tracks()
    room = max_lines - FEWEST_LINES + 1
    shown = sorted(sorted(tracks, key=lambda track: -track.totals.seconds)[:room], key=lambda track: track.track_id)
    segments = {track.track_id: track.finish() for track in shown}
    found = sum(map(len, segments.values()))
    joined = _joined(segments, room, summaries.minimum_s)
    lines = _header(summaries, tracks, network=network)
    if len(shown) < len(tracks):
        lines.append(f"Left out: {len(tracks) - len(shown)} persons who are in view for the shortest time.")
    if sum(map(len, joined.values())) < found:
        told = sum(map(len, joined.values()))
        lines.append(f"Joined: {found} stretches into {told}; each line names what was shown for most of its time.")
    lines.append("")
    timed = [
        (segment.start_s, track.track_id, _line(summaries, track, joined[track.track_id], place))
        for track in shown
        for place, segment in enumerate(joined[track.track_id])
    ]
    lines += [line for _, _, line in sorted(timed)] or ["No face was found."]
    return "\n".join(lines) + "\n"


def _header(summaries: TrackSummaries, tracks: Sequence[Track], *, network: str) -> list[str]:
    known = (
        f"Classes: {', '.join(summaries.labels)}." if summaries.labels else "Classes: none, valence and arousal only."
    )
    affect = any(track.totals.mean_affect is not None for track in tracks)
    many = "1 person" if len(tracks) == 1 else f"{len(tracks)} persons"
    scene = "1 cut" if len(summaries.cuts) == 1 else f"{len(summaries.cuts)} cuts"
    by = f" ({network})" if network else ""
    return [
        f"Facial expressions in the video {summaries.source}, estimated by a neural network{by}.",
        f"Length {clock(summaries.end_s)}, {summaries.frames} frames, {many}, {scene}; no face in view for "
        f"{summaries.empty_s:.1f} s. Times are minutes and seconds from the first frame.",
        known,
        "A number in brackets is the network's mean probability for the class it names. It is an estimate: the lower "
        "it is, the less the line can be relied on, and high ones are wrong at times.",
        f"'{UNCERTAIN}' and '{UNKNOWN}': the network did not decide, or had too little to go on.",
        *(["Valence (unpleasant to pleasant) and arousal (calm to excited) go from -1 to 1."] if affect else []),
        "An expression is what a face shows; what the person feels may be something else.",
        f"Person numbers follow faces: one person may have two numbers, for example after a cut. "
        f"Changes shorter than {summaries.minimum_s:g} s are not told.",
    ]


def _joined(segments: dict[int, list[Segment]], room: int, shortest_s: float) -> dict[int, list[Segment]]:
    """At most `room` segments, each joined with those after it up to a length, which grows until they fit.

    With no more tracks than `room` it does at last: then each track is one segment. Those given stay as they are.
    """
    joined = segments
    while sum(map(len, joined.values())) > room:
        joined = {track: [_one(group) for group in _groups(own, shortest_s)] for track, own in segments.items()}
        shortest_s *= GROWTH
    return joined


def _groups(segments: Sequence[Segment], shortest_s: float) -> list[list[Segment]]:
    groups: list[list[Segment]] = []
    for segment in segments:
        last_s = sum(part.length_s for part in groups[-1]) if groups else 0.0
        if groups and last_s < shortest_s:
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _one(group: Sequence[Segment]) -> Segment:
    """The group as one segment, with the state that it is in for most of the time."""
    lengths: dict[str, float] = {}
    for part in group:
        lengths[part.state] = lengths.get(part.state, 0.0) + part.length_s
    whole = Segment(group[0].start_s, group[-1].stop_s, max(lengths, key=lengths.__getitem__))
    whole.extend(group)
    return whole


def _line(summaries: TrackSummaries, track: Track, segments: Sequence[Segment], place: int) -> str:
    segment = segments[place]
    confidence, affect = segment.confidence(summaries.labels), segment.totals.mean_affect
    text = f"{clock(segment.start_s)}-{clock(segment.stop_s)} person {track.track_id}: {segment.state}"
    if confidence is not None:
        text += f" ({'mean' if segment.state in summaries.labels else 'highest mean'} {confidence:.2f})"
    if affect is not None:
        text += f", valence {affect[0]:.2f} arousal {affect[1]:.2f}"
    away_s = summaries.minimum_s
    before_s = segments[place - 1].stop_s if place else 0.0
    after_s = segments[place + 1].start_s if place + 1 < len(segments) else summaries.end_s
    if segment.start_s - before_s > away_s:
        text += "; comes into view" if place == 0 else "; comes back"
    if after_s - segment.stop_s > away_s:
        text += "; then out of view"
    return text


def clock(seconds: float) -> str:
    """`03:07.5`, and `1:03:07.5` from an hour on."""
    tenths = round(seconds * 10)
    hours, minutes = divmod(tenths // 600, 60)
    return f"{f'{hours}:' if hours else ''}{minutes:02d}:{tenths % 600 / 10:04.1f}"
