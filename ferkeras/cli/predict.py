"""Emotions of the faces in pictures, videos and cameras: a row for each face and frame, as it goes.

Faces are found, turned upright and cut out as the network was trained to see them; in videos they are followed and
numbered. Pictures that are cut-out faces already, such as those of FER2013, want `--detector none`.
Without RUN the most accurate of the shipped runs under --runs is taken.
"""

import argparse
import functools
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.cli.command import add_run_argument, load_tensorflow
from ferkeras.errors import InputError
from ferkeras.rows import check_format, open_writer
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    from ferkeras.annotation.outputs import Outputs
    from ferkeras.prediction.inputs import Input
    from ferkeras.prediction.predictor import Filter, Predictor
    from ferkeras.prediction.result import FrameResult

FACES = ("all", "largest", "central", "best")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_run_argument(parser, optional=True)
    parser.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="pictures, videos, folders of them, or quoted patterns, in any mixture",
    )
    parser.add_argument("--webcam", type=int, metavar="N", help="camera N of this machine, until Ctrl-C")

    what = parser.add_argument_group("what is written")
    what.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="the table: .csv, .json, .jsonl or .parquet (default: CSV on standard output)",
    )
    what.add_argument(
        "--annotate",
        type=Path,
        metavar="DIR|FILE",
        help="copies of the pictures and videos with boxes, emotions and bars; a FILE for a single input",
    )
    what.add_argument(
        "--timeline", type=Path, metavar="DIR", help="of each video a plot over time and a summary by face as JSON"
    )
    what.add_argument(
        "--prompt",
        type=Path,
        metavar="FILE",
        help="the emotions of each video over time as plain text, for a language model that describes it",
    )
    what.add_argument(
        "--scores-by-folder",
        type=Path,
        metavar="DIR|FILE",
        help="a row for each picture, its path and a column per class; in a DIR a .csv for each folder of pictures",
    )
    what.add_argument("--dry-run", action="store_true", help="say what would be read and written, and write nothing")

    where = parser.add_argument_group("which faces")
    where.add_argument("--detector", default="mtcnn", metavar="NAME", help="mtcnn (default), haar, ssd, yunet or none")
    where.add_argument("--detector-file", type=Path, metavar="FILE", help="the network of ssd and yunet")
    where.add_argument("--boxes", type=Path, metavar="FILE.csv", help="faces from a file in the place of a detector")
    where.add_argument("--min-face", type=int, default=40, metavar="PIXELS", help="side of the smallest face (40)")
    where.add_argument("--faces", choices=FACES, default="all", help="which of several faces (default: all)")
    where.add_argument(
        "--key-interval",
        type=int,
        default=5,
        metavar="FRAMES",
        help="videos: look for faces in every so many frames (5)",
    )
    where.add_argument(
        "--margin", type=float, help="what is seen around a face, as a fraction of it (default: as in training)"
    )

    how = parser.add_argument_group("how they are judged")
    how.add_argument(
        "--artifact", default="keras", metavar="keras|saved_model|FILE.tflite", help="what to run (default: keras)"
    )
    how.add_argument("--batch-size", type=int, default=32, help="faces that the network sees at once (32)")
    how.add_argument(
        "--threshold", type=float, default=0.0, metavar="P", help="emotions less probable than this are `uncertain`"
    )
    how.add_argument(
        "--smooth",
        metavar="exponential[:SECONDS]|one-euro[:HZ,BETA]",
        help="smooth the scores of each face over time (0.5 seconds; 1 Hz and 1)",
    )
    how.add_argument(
        "--baseline",
        type=float,
        metavar="SECONDS",
        help="take this long from the beginning of each face for its neutral expression, and judge relative to it",
    )


def run(args: argparse.Namespace) -> None:
    from ferkeras.cli.run_choice import choose_run

    folder, args.inputs = choose_run([args.run_name, *args.inputs], root=args.runs)
    check_format(args.output)
    inputs = _inputs(args)
    labels = tuple(folder.heads().get("emotion", ()))
    filters = _filters(args.smooth, args.baseline, labels)
    if args.dry_run:
        _print_plan(args, inputs)
        return
    load_tensorflow()
    from ferkeras.annotation.outputs import Outputs
    from ferkeras.prediction.score_table import open_score_tables

    predictor = _predictor(args, folder, filters)
    outputs = Outputs(
        labels,
        annotate=args.annotate,
        timeline=args.timeline,
        prompt=args.prompt,
        network=folder.path.name,
        single=len(inputs) + (args.webcam is not None) == 1,
        stages=predictor.stages,
    )
    tally = _Tally()
    with ExitStack() as stack:
        write = stack.enter_context(open_writer(args.output, classes=labels))
        stack.enter_context(outputs)
        takers: list[Callable[[FrameResult], object]] = [tally.add]
        if args.scores_by_folder is not None:
            tables = open_score_tables(args.scores_by_folder, inputs=inputs, classes=labels)
            takers.append(stack.enter_context(tables))
        results = stack.enter_context(closing(_results(predictor, inputs, args.webcam, outputs)))
        for result in results:
            with predictor.stages.timed("write"):
                for row in result.rows(labels):
                    write(row)
                for take in takers:
                    take(result)
    tally.finish()


def _inputs(args: argparse.Namespace) -> list["Input"]:
    if not args.inputs and args.webcam is None:
        raise InputError("There is nothing to look at", action="Name pictures, videos or folders, or --webcam 0.")
    if args.boxes is not None and args.detector != "mtcnn":
        raise InputError("--boxes stands in the place of a detector", received=f"--detector {args.detector}")
    if args.webcam is not None and args.scores_by_folder is not None:
        raise InputError("Scores by folder are for pictures", received=f"--webcam {args.webcam}")
    if not args.inputs:
        return []
    from ferkeras.prediction.inputs import find_inputs

    return find_inputs(args.inputs)


def _print_plan(args: argparse.Namespace, inputs: Sequence["Input"]) -> None:
    for given in inputs:
        print(
            f"would read the {given.kind} {given.name}"
            if given.problem is None
            else f"would leave out: {given.problem}"
        )
    targets = (args.output, args.annotate, args.timeline, args.prompt, args.scores_by_folder)
    print(f"would write {', '.join(str(path) for path in targets if path) or 'CSV to standard output'}")


def _predictor(args: argparse.Namespace, folder: RunFolder, filters: "Callable[[], Sequence[Filter]]") -> "Predictor":
    from ferkeras.faces.given import GivenFaces
    from ferkeras.prediction.predictor import Predictor

    return Predictor(
        folder.path,
        artifact=args.artifact,
        detector=args.detector if args.boxes is None else GivenFaces(args.boxes),
        detector_file=args.detector_file,
        min_face=args.min_face,
        faces=args.faces,
        key_interval=args.key_interval,
        margin=args.margin,
        threshold=args.threshold,
        filters=filters,
        batch_size=args.batch_size,
    )


def _filters(smooth: str | None, baseline: float | None, labels: Sequence[str]) -> "Callable[[], Sequence[Filter]]":
    """Makes the baseline and the smoothing of one video; wrong values are told at once."""
    from ferkeras.prediction.baseline import NeutralBaseline
    from ferkeras.prediction.smoothing import Exponential, OneEuro, smooth_scores

    makers: list[Callable[[], Filter]] = []
    if baseline is not None:
        makers.append(lambda: NeutralBaseline(baseline, labels))
    if smooth is not None:
        name, _, text = smooth.partition(":")
        kinds = {"exponential": (Exponential, (0.5,)), "one-euro": (OneEuro, (1.0, 1.0))}
        if name not in kinds:
            raise InputError("--smooth takes exponential[:SECONDS] or one-euro[:HZ,BETA]", received=smooth)
        kind, values = kinds[name]
        try:
            values = tuple(float(value) for value in text.split(",")) if text else values
        except ValueError:
            raise InputError("--smooth takes numbers after the colon", received=smooth) from None
        if len(values) != len(kinds[name][1]):
            raise InputError(f"--smooth {name} takes {len(kinds[name][1])} numbers", received=smooth)
        makers.append(lambda: functools.partial(smooth_scores, kind(*values)))

    def make() -> list["Filter"]:
        return [maker() for maker in makers]

    make()
    return make


def _results(
    predictor: "Predictor", inputs: Sequence["Input"], webcam: int | None, outputs: "Outputs"
) -> Generator["FrameResult", None, None]:
    """All results in the order of the inputs, those of the camera last; what else is wanted of them is written."""
    from ferkeras.prediction.result import FrameResult

    for (kind, readable), group in groupby(inputs, key=lambda given: (given.kind, given.problem is None)):
        if not readable:
            yield from (FrameResult(given.name, 0, None, None, (), problem=given.problem) for given in group)
        elif kind == "picture":
            for result in predictor.pictures(given.name for given in group):
                outputs.picture(result)
                yield result
        else:
            for given in group:
                try:
                    yield from _video(predictor, given, outputs)
                except InputError as error:
                    yield FrameResult(given.name, 0, None, None, (), problem=error)
    if webcam is not None:
        yield from _camera(predictor, webcam, outputs)


def _video(predictor: "Predictor", given: "Input", outputs: "Outputs") -> Iterator["FrameResult"]:
    from tqdm import tqdm

    from ferkeras.video import open_video

    with open_video(given.path) as video:
        # Only a terminal shows the bar.
        bar = tqdm(total=video.info.frames, desc=given.path.name, unit=" frames", disable=None)
        with outputs.video(given.path, name=given.path.stem) as take, bar:
            for result in predictor.stream(video.frames(), source=given.name, fps=video.info.fps):
                take(result)
                yield result
                bar.update()
        for problem in [*video.problems, *outputs.problems]:
            print(f"ferkeras: {given.name}: {problem}", file=sys.stderr)
        outputs.problems.clear()


def _camera(predictor: "Predictor", number: int, outputs: "Outputs") -> Iterator["FrameResult"]:
    """Until Ctrl-C, which is how a camera is left and no failure."""
    from ferkeras.prediction.camera import camera_frames

    name = f"camera:{number}"
    with (
        suppress(KeyboardInterrupt),
        closing(camera_frames(number)) as frames,
        outputs.video(None, name=f"camera-{number}") as take,
    ):
        for result in predictor.stream(frames, source=name, live=True):
            take(result)
            yield result


class _Tally:
    """Counts for the user, and tells of what could not be read as it comes."""

    def __init__(self) -> None:
        self._sources = self._pictures = self._without_face = 0
        self._problems: list[InputError] = []
        self._last = ""

    def add(self, result: "FrameResult") -> None:
        if result.problem is not None:
            self._problems.append(result.problem)
            print(f"ferkeras: {result.problem}", file=sys.stderr)
        elif result.time_s is None:
            self._pictures += 1
            self._without_face += not result.faces
        self._sources += result.source != self._last
        self._last = result.source

    def finish(self) -> None:
        """Raises `InputError` where inputs could not be read."""
        if self._without_face and self._without_face == self._pictures:
            print(
                "ferkeras: No face was found in any picture. If they are cut-out faces already, add --detector none; "
                "for small faces, lower --min-face.",
                file=sys.stderr,
            )
        if self._problems:
            raise InputError(
                f"{len(self._problems)} of {self._sources} inputs could not be read; their rows have face_found=0 and "
                "the lines above say why"
            )
