"""The table of classification scores: a row for each picture, its path and one column per class.

The form in which the SE-CNN report publishes scores. It is narrower than the table of predictions (`ferkeras.rows`),
which has a row for each face: here it is the largest face of the picture that counts.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ferkeras.errors import InputError
from ferkeras.prediction.inputs import Input
from ferkeras.prediction.result import FrameResult
from ferkeras.rows import Row, open_table

#: Takes the result of one picture.
WriteScores = Callable[[FrameResult], object]


@contextmanager
def open_score_table(path: Path, *, classes: Sequence[str]) -> Iterator[WriteScores]:
    """A function that takes results of pictures and writes their rows; the cells of one without a face are empty.

    Args:
        path: `.csv`, `.json`, `.jsonl` or `.parquet`, see `ferkeras.rows.open_writer`.
        classes: K names of the emotions.

    Raises:
        InputError: for another suffix, or a network without classes.
    """
    _check_classes(classes)
    with open_table(path, ("path", *classes)) as write:
        yield lambda result: write(_row(result, classes))


@contextmanager
def open_score_tables(output: Path, *, inputs: Sequence[Input], classes: Sequence[str]) -> Iterator[WriteScores]:
    """The same with a CSV for each folder of pictures, for `--scores-by-folder`.

    The tables have the names of the folders and lie in `output` as the folders lie in the deepest one that holds
    them all: pictures of `photos/monday` and `photos/monday/evening` give `monday.csv` and `monday/evening.csv`.

    Args:
        output: Folder of the tables; those of other folders in it stay.
        inputs: All that will be written, so that the place of the tables is known.
        classes: K names of the emotions.

    Raises:
        InputError: for a network without classes, and for videos: their frames are no files and have no path.
    """
    _check_classes(classes)
    videos = [given.name for given in inputs if given.kind == "video"]
    if videos:
        raise InputError("Scores by folder are for pictures, and this is a video", received=videos[0])
    left = Counter(_folder(given.path) for given in inputs)
    names = table_names(left)
    open_tables: dict[Path, tuple[ExitStack, WriteScores]] = {}
    with ExitStack() as all_tables:

        def write(result: FrameResult) -> None:
            if result.time_s is not None:
                raise InputError("Scores by folder are for pictures, and this is a frame", received=result.source)
            folder = _folder(Path(result.source))
            if folder not in open_tables:
                table = all_tables.enter_context(ExitStack())
                path = output / names[folder]
                open_tables[folder] = table, table.enter_context(open_score_table(path, classes=classes))
            table, write_row = open_tables[folder]
            write_row(result)
            left[folder] -= 1
            if not left[folder]:  # complete; there may be more folders than files that can be open
                table.close()
                del open_tables[folder]

        yield write


def table_names(folders: Iterable[Path]) -> dict[Path, Path]:
    """For each absolute folder the relative path of its table."""
    places = list(folders)
    above = Path(os.path.commonpath([place.parent for place in places])) if places else Path()
    return {place: place.relative_to(above).parent / f"{place.name or 'root'}.csv" for place in places}


def _check_classes(classes: Sequence[str]) -> None:
    if not classes:
        raise InputError("A table of classification scores needs a network with classes")


def _folder(picture: Path) -> Path:
    return Path(os.path.abspath(picture)).parent


def _row(result: FrameResult, classes: Sequence[str]) -> Row:
    scored = [
        (float(face.face.box[2] * face.face.box[3]), face.scores.probabilities)
        for face in result.faces
        if face.scores is not None and face.scores.probabilities is not None
    ]
    row: dict[str, object] = {"path": result.source}
    if scored:
        _, probabilities = max(scored, key=lambda pair: pair[0])
        row |= {name: round(float(value), 6) for name, value in zip(classes, probabilities, strict=True)}
    return row
