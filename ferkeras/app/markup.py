"""Results as HTML that reads well on a telephone and in a screen reader. Everything is escaped."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from ferkeras.prediction.result import FaceResult, FrameResult

#: Rows of a table that are shown; the file has all.
MOST_ROWS = 200
#: Of the time; less is not told of a person.
LEAST_SHARE = 0.005


def sentence(result: FrameResult) -> str:
    """What was found, in words: `2 faces: person 0 happy, 87 %; person 1 sad, 51 %.`"""
    if not result.faces:
        return "No face was found."
    count = "1 face" if len(result.faces) == 1 else f"{len(result.faces)} faces"
    return f"{count}: " + "; ".join(_said(face) for face in result.faces) + "."


def bars(result: FrameResult, labels: Sequence[str]) -> str:
    """A block for each face with a bar for each emotion, the most probable one first, and for valence and arousal."""
    return f'<div class="faces">{"".join(_face(face, labels) for face in result.faces)}</div>'


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], *, caption: str) -> str:
    """The first `MOST_ROWS` rows; the region can be scrolled by keyboard."""
    rows = list(rows)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    body = "".join(f"<tr>{''.join(_cell(row.get(name)) for name in columns)}</tr>" for row in rows[:MOST_ROWS])
    left = f"<p>{len(rows) - MOST_ROWS} more rows are in the file.</p>" if len(rows) > MOST_ROWS else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{left}"
    )


def people(summary: Mapping[str, Any]) -> str:
    """A row for each person of a video, from `TrackSummaries.to_json`."""
    names = ("person", "from", "to", "mostly", "shares of the time", "changes", "valence", "arousal")
    rows = [dict(zip(names, _person(track), strict=True)) for track in summary["tracks"]]
    return table(rows, names, caption=f"People in {summary['source']}") if rows else "<p>No face was found.</p>"


def status(text: str, *, done: float | None = None) -> str:
    """A line that screen readers read out when it changes, with a progress bar for the share `done` in [0, 1]."""
    bar = "" if done is None else f'<progress value="{done:.3f}" max="1" aria-label="progress"></progress>'
    return f'<div role="status">{bar}<p>{escape(text)}</p></div>'


def live(picture: str, text: str, figures: str) -> str:
    """The annotated frame of a camera, `picture` being its address, over what it shows and how fast.

    Not a live region: it would be read out without a pause.
    """
    return (
        f'<figure class="live"><img src="{picture}" alt="{escape(text)}"><figcaption>{escape(text)} '
        f'<span class="figures">{escape(figures)}</span></figcaption></figure>'
    )


def _said(result: FaceResult) -> str:
    name, scores = f"person {result.face.track_id}", result.scores
    if scores is None:
        return f"{name} not seen for long enough yet"
    said = []
    if scores.probabilities is not None:
        said.append(f"{result.emotion}, {scores.probabilities.max():.0%}".replace("%", " %"))
    said += [f"{key} {value:+.2f}" for key, value in _affect(result)]
    return f"{name} {', '.join(said)}"


def _face(result: FaceResult, labels: Sequence[str]) -> str:
    rows = ""
    if result.scores is not None and result.scores.probabilities is not None:
        pairs = zip(labels, result.scores.probabilities, strict=True)
        for name, share in sorted(pairs, key=lambda pair: -pair[1]):
            rows += _bar(name, f"{share:.1%}".replace("%", " %"), 0.0, float(share))
    for name, value in _affect(result):
        low, high = sorted((0.5, (value + 1) / 2))
        rows += _bar(name, f"{value:+.2f}", low, high - low)
    return f"<section><h3>{escape(_said(result))}</h3><dl>{rows}</dl></section>"


def _bar(name: str, value: str, start: float, length: float) -> str:
    """The number is text; the bar beside it says nothing more, so screen readers pass over it."""
    place = f"margin-left:{100 * start:.1f}%;width:{100 * length:.1f}%"
    bar = f'<span class="track" aria-hidden="true"><span style="{place}"></span></span>'
    return f"<div><dt>{escape(name)}</dt><dd>{bar}<span>{escape(value)}</span></dd></div>"


def _affect(result: FaceResult) -> list[tuple[str, float]]:
    scores = result.scores
    pairs = [] if scores is None else [("valence", scores.valence), ("arousal", scores.arousal)]
    return [(name, value) for name, value in pairs if value is not None]


def _person(track: Mapping[str, Any]) -> tuple[Any, ...]:
    shares = sorted(track["time_shares"].items(), key=lambda pair: -pair[1])
    said = ", ".join(f"{name} {100 * share:.0f} %" for name, share in shares if share >= LEAST_SHARE)
    means = ("" if track[name] is None else f"{track[name]['mean']:+.2f}" for name in ("valence", "arousal"))
    times = (f"{track[name]:.1f} s" for name in ("first_s", "last_s"))
    return (track["track_id"], *times, track["dominant_emotion"], said, len(track["transitions"]), *means)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.3f}</td>'
    return f"<td>{escape('' if value is None else str(value))}</td>"
