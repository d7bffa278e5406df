"""What is written of each picture and video besides the table: annotated copies, timelines, summaries, prompts."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ferkeras.annotation.draw import Annotator
from ferkeras.annotation.photo import AnnotatedPhotos, write_photo
from ferkeras.annotation.prompt import emotion_prompt
from ferkeras.annotation.summary import TrackSummaries
from ferkeras.annotation.timeline import Timeline
from ferkeras.annotation.timeline_plot import plot_timeline
from ferkeras.annotation.video import SUFFIXES as VIDEO_SUFFIXES
from ferkeras.annotation.video import AnnotatedVideo
from ferkeras.errors import InputError
from ferkeras.files import staged, write_atomically
from ferkeras.prediction.result import FrameResult
from ferkeras.prediction.stages import Stages

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
Take = Callable[[FrameResult], None]


class Outputs:
    """Takes results and writes what the user asked for; for a `with` statement.

    Args:
        labels: K names of the emotions; none for a network without classes.
        annotate: Folder for annotated copies; or a `.jpg`, `.png`, `.mp4`, `.mov` or `.mkv` file for a single input.
        timeline: Folder for `<stem>.timeline.png` and `<stem>.summary.json` of each video.
        prompt: File for the emotion timelines of all videos as plain text.
        network: What the text says the emotions are from.
        single: Whether there is one input alone.
        stages: Takes the time of drawing and encoding.

    Attributes:
        problems: What could not be kept of the sound of videos, one phrase each.

    Raises:
        InputError: for a file where a folder is needed, and the other way round.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        *,
        annotate: Path | None = None,
        timeline: Path | None = None,
        prompt: Path | None = None,
        network: str = "",
        single: bool = False,
        stages: Stages | None = None,
    ) -> None:
        self._labels, self._timeline, self._prompt, self._network = labels, timeline, prompt, network
        self._stages = stages or Stages()
        self._file = annotate if annotate is not None and _is_file(annotate) else None
        self._folder = annotate if self._file is None else None
        if self._file is not None and not single:
            what = "One file can hold the annotated copy of one input"
            raise InputError(what, received=str(annotate), action="Name a folder.")
        for folder in (self._folder, timeline):
            if folder is not None and folder.exists() and not folder.is_dir():
                raise InputError("A folder is expected", received=f"{folder}, a file")
        if prompt is not None and prompt.is_dir():
            raise InputError("A file is expected", received=f"{prompt}, a folder")
        self._photos = AnnotatedPhotos(self._folder, labels) if self._folder is not None else None
        self._taken: set[Path] = set()
        self.problems: list[str] = []
        self._texts: list[str] = []

    def __enter__(self) -> "Outputs":
        return self

    def __exit__(self, *_: object) -> None:
        if self._prompt is not None:  # also after Ctrl-C: what was seen is told
            write_atomically(self._prompt, "\n".join(self._texts) or "No video was seen.\n")

    def picture(self, result: FrameResult) -> None:
        """The annotated copy of a picture; none of one that could not be read."""
        if result.image is None or (self._file is None and self._photos is None):
            return
        with self._stages.timed("draw"):
            if self._photos is not None:
                self._photos.write(result)
            elif self._file is not None:
                write_photo(result, self._file, labels=self._labels)

    @contextmanager
    def video(self, source: Path | None, *, name: str) -> Iterator[Take]:
        """Takes the frames of one video, and writes when the block ends; after Ctrl-C too, of the frames so far.

        Args:
            source: The file; None for a camera.
            name: Without suffix, of the files.
        """
        takers: list[Take] = []
        with ExitStack() as stack:
            if self._file is not None or self._folder is not None:
                copy = AnnotatedVideo(source, self._target(source, name))
                stack.callback(lambda: self.problems.extend(copy.problems))  # once it is finished
                stack.enter_context(copy)
                annotator = Annotator(self._labels)

                def annotate(result: FrameResult) -> None:
                    with self._stages.timed("draw"):
                        image = annotator(result)
                    with self._stages.timed("encode"):
                        copy.write(result.frame, result.time_s or 0.0, image)

                takers.append(annotate)
            if self._timeline is not None or self._prompt is not None:
                summaries = TrackSummaries(self._labels)
                takers.append(summaries.add)
                stack.callback(self._sum_up, summaries, name)
            if self._timeline is not None:
                timeline = Timeline(self._labels)
                takers.append(timeline.add)
                stack.callback(self._plot, timeline, name)

            def take(result: FrameResult) -> None:
                for taker in takers:
                    taker(result)

            yield take

    def _sum_up(self, summaries: TrackSummaries, name: str) -> None:
        if self._prompt is not None:
            self._texts.append(emotion_prompt(summaries, network=self._network))
        if self._timeline is not None:
            path = self._free(self._timeline, name, ".summary.json")
            write_atomically(path, json.dumps(summaries.to_json(), indent=2, ensure_ascii=False) + "\n")

    def _plot(self, timeline: Timeline, name: str) -> None:
        if self._timeline is not None:
            timeline.finish()
            with staged(self._free(self._timeline, name, ".timeline.png")) as unfinished:
                plot_timeline(timeline, unfinished)

    def _target(self, source: Path | None, name: str) -> Path:
        if self._file is not None:
            return self._file
        suffix = source.suffix.lower() if source is not None and source.suffix.lower() in VIDEO_SUFFIXES else ".mp4"
        return self._free(self._folder or Path(), name, f".annotated{suffix}")

    def _free(self, folder: Path, name: str, suffix: str) -> Path:
        """A name in `folder` that no other input of this run has."""
        count = 1
        while (path := folder / f"{name}{'' if count == 1 else f'-{count}'}{suffix}") in self._taken:
            count += 1
        self._taken.add(path)
        return path


def _is_file(path: Path) -> bool:
    return not path.is_dir() and path.suffix.lower() in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)
