"""The answer to one video: annotated copy with its sound, timeline, summary and table, made frame by frame."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ferkeras.annotation.draw import Annotator
from ferkeras.annotation.summary import TrackSummaries
from ferkeras.annotation.timeline import Timeline
from ferkeras.annotation.timeline_plot import plot_timeline
from ferkeras.annotation.video import AnnotatedVideo
from ferkeras.app import markup
from ferkeras.app.model import Model, without_folder
from ferkeras.errors import InputError
from ferkeras.rows import open_writer
from ferkeras.video import open_video

#: Seconds between two reports of the progress.
REPORT_S = 0.5


@dataclass(frozen=True)
class News:
    """How far it is; the last one holds the results.

    Attributes:
        said: In words.
        done: Share of the frames, in [0, 1].
        film: Annotated copy, MP4; None until the end, and so are the others.
        timeline: PNG.
        rows: CSV, one row for each face and frame.
        summary: HTML, a row for each person.
    """

    said: str
    done: float
    film: Path | None = None
    timeline: Path | None = None
    rows: Path | None = None
    summary: str = ""


def analyse(
    model: Model, path: Path, folder: Path, *, stop: Callable[[], bool], clock: Callable[[], float] = time.monotonic
) -> Iterator[News]:
    """Works through the video in `path`; files go to `folder`. Memory does not grow with the length.

    Args:
        model: The run.
        path: The video.
        folder: For the results.
        stop: Asked after each frame. If it says so, the results end there.
        clock: Seconds, for tests.

    Raises:
        InputError: if the file is no video, or it is stopped before the first frame.
    """
    try:
        with open_video(path) as video:
            total = max(video.info.frames, 1)
    except InputError as error:
        raise InputError(without_folder(error, path).rstrip(".")) from error
    film, rows = folder / f"{path.stem}.annotated.mp4", folder / f"{path.stem}.csv"
    annotate, summaries, timeline = Annotator(model.labels), TrackSummaries(model.labels), Timeline(model.labels)
    started = reported = clock()
    done, stopped = 0, False
    yield News("The video is being read.", 0.0)
    results = model.video(path)
    with open_writer(rows, classes=model.labels) as write, AnnotatedVideo(path, film) as copy:
        for result in results:
            copy.write(result.frame, result.time_s or 0.0, annotate(result))
            summaries.add(result)
            timeline.add(result)
            for row in result.rows(model.labels):
                write(row)
            done += 1
            stopped = stop()
            if stopped:
                break
            if clock() - reported >= REPORT_S:
                reported = clock()
                rate = done / (reported - started)
                left = f", about {max(total - done, 0) / rate:.0f} s left"
                yield News(f"Frame {done} of {total}, {rate:.0f} frames/s{left}.", min(done / total, 1.0))
    results.close()
    picture = folder / f"{path.stem}.timeline.png"
    timeline.finish()
    plot_timeline(timeline, picture)
    said = f"{done} frames in {clock() - started:.1f} s"
    said = f"Stopped after {said}." if stopped else f"{said}."
    if copy.problems:
        said += f" Sound: {'; '.join(copy.problems)}."
    yield News(said, 1.0, film, picture, rows, markup.people(summaries.to_json()))
