"""Emotions of faces, from a run folder, in three lines."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from ferkeras.aggregation import AGGREGATION_FILE
from ferkeras.artifacts import open_artifact
from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.faces.align import Alignment
from ferkeras.faces.choice import FaceChoice, choose
from ferkeras.faces.detection import Detector, Faces, create_detector
from ferkeras.faces.framing import margin_of
from ferkeras.faces.given import GivenFaces
from ferkeras.faces.track import Embed, TrackedFace, TrackedFrame, track
from ferkeras.inference import keras_runner
from ferkeras.pictures import read_picture
from ferkeras.prediction.boxes import BoxReader
from ferkeras.prediction.crops import Cropper
from ferkeras.prediction.network import Crop, Network, StillNetwork, clip_network
from ferkeras.prediction.result import UNCERTAIN, FaceResult, FrameResult, Scores
from ferkeras.prediction.stages import Stages, TimedDetector
from ferkeras.runs import RunFolder
from ferkeras.video import Frame, open_video

#: Changes the scores of a person over time: track_id, seconds, scores.
Filter = Callable[[int, float, Scores], Scores]
#: Pictures that are read before their faces are looked for together.
PICTURES_AT_ONCE = 8

T = TypeVar("T")


class Predictor:
    """Finds faces, follows them, and says what a trained network makes of them.

    >>> from ferkeras import Predictor
    >>> predictor = Predictor("saved_models/quickstart", detector="none")  # its pictures are cut-out faces
    >>> [face.emotion for face in predictor(image)]  # image (H, W, 3) uint8
    ['...']
    >>> for result in predictor.pictures(["a.png", "b.png"]):
    ...     print(result.source, [round(float(face.scores.probabilities.max()), 2) for face in result.faces])
    a.png [...]
    b.png [...]
    >>> [len(result.faces) for result in predictor.video("film.mp4")]
    [1, 1, 1, 1]

    What comes back holds each picture and, for every face in it, place, probabilities and emotion.

    Args:
        run: A run folder, or the name of one under `runs`.
        runs: The folder of runs.
        artifact: What is run: `keras`, `saved_model` or a `.tflite` file.
        detector: A name in `ferkeras.faces.detection.DETECTORS`, a detector, or boxes from a file. With `none` a
            picture is one face, framed as in training.
        detector_file: Weights, for the detectors that bring none.
        min_face: Side in pixels of the smallest face that is looked for.
        faces: Which of the faces in a picture.
        key_interval: In a video, faces are looked for in every so many frames, see `ferkeras.faces.track`.
        margin: What is seen around a face, see `Alignment`; None is as in training.
        threshold: An emotion less probable than this is `uncertain`.
        filters: Makes what changes the scores over time, in order, for each video anew: smoothing and baseline.
        embed: Describes faces, so that people are recognised after a cut or behind each other, see `track`.
        batch_size: Faces that the network sees at once.

    Attributes:
        folder: The run.
        labels: K names of the emotions; none for a network of valence and arousal alone.
        takes_clips: Whether the network looks at faces over time.
        stages: Where the time went so far.

    Raises:
        InputError: for a run, artefact or detector that is not there or cannot be used.
    """

    def __init__(
        self,
        run: str | Path,
        *,
        runs: Path = Path("saved_models"),
        artifact: str = "keras",
        detector: str | Detector | GivenFaces = "mtcnn",
        detector_file: Path | None = None,
        min_face: int = 40,
        faces: FaceChoice = "all",
        key_interval: int = 5,
        margin: float | None = None,
        threshold: float = 0.0,
        filters: Callable[[], Sequence[Filter]] = tuple,
        embed: Embed | None = None,
        batch_size: int = 32,
    ) -> None:
        if batch_size < 1:
            raise InputError("batch_size must be at least 1", received=batch_size)
        if key_interval < 1:
            raise InputError("key_interval must be at least 1", received=key_interval)
        if not 0 <= threshold <= 1:
            raise InputError("threshold must be a probability in [0, 1]", received=threshold)
        self.folder = RunFolder.find(run, root=runs)
        heads, settings = self.folder.heads(), self.folder.preprocessing()
        self.labels = tuple(heads.get("emotion", ()))
        self.takes_clips = "frames" in settings
        preprocessing = Preprocessing(settings["height"], settings["width"], settings["channels"])
        size = max(preprocessing.height, preprocessing.width)
        alignment = Alignment(size, _margin(self.folder) if margin is None else margin)
        self._detector = _detector(detector, detector_file, min_face)
        self.crop = Cropper(preprocessing, alignment, whole=self._detector.name == "none")
        self._rule, self._threshold, self._filters, self._batch_size = faces, threshold, filters, batch_size
        self._embed = embed
        # Given boxes are for each frame; a picture that is a face is not followed.
        self._key_interval = 1 if self._detector.name in ("boxes", "none") else key_interval
        self._new_network = self._open(artifact, settings)
        self.stages = Stages()
        self._timed = TimedDetector(self._detector, self.stages)

    def __call__(self, image: np.ndarray | Sequence[np.ndarray], *, fps: float = 25.0) -> list:
        """The faces of a picture (H, W, 1 or 3) uint8, a `FaceResult` each; or of the frames of one scene (T, H, W, 3),
        or a list of such pictures, a `FrameResult` each, with `fps` frames a second.

        Raises:
            InputError: for anything else, and for a picture where the network takes clips.
        """
        if isinstance(image, np.ndarray) and image.ndim in (2, 3):
            if self.takes_clips:
                raise _not_still("a picture")
            (result,) = self._stills([("image", _rgb(image))])
            return list(result.faces)
        frames = (Frame(index, index / fps, _rgb(frame)) for index, frame in enumerate(image))
        return list(self.stream(frames, source="frames"))

    def pictures(self, paths: Iterable[str | Path]) -> Iterator[FrameResult]:
        """The faces of picture files, in order; a file that cannot be read gives a result with a `problem`, and so does
        any where the network takes clips."""
        paths = iter(paths)
        while batch := list(islice(paths, PICTURES_AT_ONCE)):
            with self.stages.timed("read"):
                read = [(str(path), _not_still(path) if self.takes_clips else _read(Path(path))) for path in batch]
            yield from self._stills(read)

    def video(self, path: str | Path) -> Iterator[FrameResult]:
        """The faces in each frame of a video, in order and in constant memory.

        Raises:
            InputError: if the file cannot be read as a video.
        """
        with open_video(Path(path)) as video:
            yield from self.stream(video.frames(), source=str(path), fps=video.info.fps)

    def stream(
        self, frames: Iterable[Frame], *, source: str, fps: float = 25.0, live: bool = False
    ) -> Iterator[FrameResult]:
        """The faces in each of `frames`, in order and in constant memory.

        Args:
            frames: Of one video or camera.
            source: Its name in the results.
            fps: About how many frames make a second; for as long a hidden person is waited for.
            live: Answer each frame before the next one is taken.
        """
        network, filters = self._new_network(), list(self._filters())
        interval, batch = (1, 1) if live else (self._key_interval, 4)
        given = isinstance(self._detector, BoxReader)
        decoded: Iterable[Frame] = self.stages.each("decode", frames)
        if isinstance(self._detector, BoxReader):
            decoded = self._detector.announce(decoded, source=source, held=2 * interval * batch)
        tracked = track(
            decoded,
            self._timed,
            rule=self._rule,
            key_interval=interval,
            batch=batch,
            patience=max(round(fps), 1),
            min_detections=1 if given else 2,
            embed=self._embed,
        )
        followed = self.stages.each("track", tracked)
        numbers = count() if live else None
        for chunk in _chunks(followed, lambda frame: len(frame.faces), self._batch_size, at_most=1 if live else 16):
            for frame, results in zip(chunk, self._judge(network, chunk, numbers), strict=True):
                picture = frame.frame
                scores = [self._filtered(filters, picture.time_s, face, found) for face, found in results]
                faces = tuple(self._result(face, found) for (face, _), found in zip(results, scores, strict=True))
                yield FrameResult(source, picture.index, picture.time_s, picture.image, faces, frame.cut)

    def _stills(self, pictures: Sequence[tuple[str, np.ndarray | InputError]]) -> Iterator[FrameResult]:
        frames = [Frame(0, 0.0, image) for _, image in pictures if not isinstance(image, InputError)]
        names = [name for name, image in pictures if not isinstance(image, InputError)]
        if isinstance(self._detector, BoxReader):
            for name, frame in zip(names, frames, strict=True):
                list(self._detector.announce([frame], source=name, held=len(frames)))
        found = self._timed([frame.image for frame in frames]) if frames else []
        chosen = [choose(faces, self._rule, image_shape=f.image.shape) for f, faces in zip(frames, found, strict=True)]
        tracked = [TrackedFrame(frame, _numbered(faces), False) for frame, faces in zip(frames, chosen, strict=True)]
        judged = iter(self._judge(self._new_network(), tracked))
        for name, image in pictures:
            if isinstance(image, InputError):
                yield FrameResult(name, 0, None, None, (), problem=image)
            else:
                yield FrameResult(name, 0, None, image, tuple(self._result(*pair) for pair in next(judged)))

    def _judge(
        self, network: Network, frames: Sequence[TrackedFrame[Frame]], numbers: Iterator[int] | None = None
    ) -> Iterator[list[tuple[TrackedFace, Scores | None]]]:
        """Each frame's faces with what the network says of them.

        `numbers` are those by which a network of clips counts: of a camera, whose own have gaps where a picture came
        too soon, those that are looked at make the clip.
        """
        with self.stages.timed("crop"):
            crops = []
            for frame in frames:
                number = frame.frame.index if numbers is None else next(numbers)
                pixels = frame.frame.image
                crops += [Crop(face.track_id, number, self.crop(pixels, face)) for face in frame.faces]
        with self.stages.timed("classify"):
            batches = range(0, len(crops), self._batch_size)
            scores = iter([found for start in batches for found in network(crops[start : start + self._batch_size])])
        for frame in frames:
            yield [(face, next(scores)) for face in frame.faces]

    def _filtered(
        self, filters: Sequence[Filter], time_s: float, face: TrackedFace, scores: Scores | None
    ) -> Scores | None:
        if scores is None:
            return None
        for change in filters:
            scores = change(face.track_id, time_s, scores)
        return scores

    def _result(self, face: TrackedFace, scores: Scores | None) -> FaceResult:
        if scores is None or scores.probabilities is None:
            return FaceResult(face, scores, None)
        best = int(scores.probabilities.argmax())
        sure = scores.probabilities[best] >= self._threshold
        return FaceResult(face, scores, self.labels[best] if sure else UNCERTAIN)

    def _open(self, artifact: str, settings: dict) -> Callable[[], Network]:
        """Makes the network for one video, or for one set of pictures: what it remembers of faces begins anew."""
        if not self.takes_clips:
            run = open_artifact(self.folder, artifact)
            return lambda: StillNetwork(run)
        plain = artifact == "keras" and not (self.folder.path / AGGREGATION_FILE).is_file()
        model = self.folder.load_model() if plain else None
        run = open_artifact(self.folder, artifact) if model is None else keras_runner(model)
        clips = self.folder.recipe().data.clips
        return lambda: clip_network(
            run,
            model,
            frames=settings["frames"],
            stride=settings["stride"],
            min_frames=1 if clips is None else clips.min_frames,
        )


def _detector(detector: str | Detector | GivenFaces, file: Path | None, min_face: int) -> Detector:
    if isinstance(detector, GivenFaces):
        return BoxReader(detector)
    return create_detector(detector, model_file=file, min_face=min_face) if isinstance(detector, str) else detector


def _margin(folder: RunFolder) -> float:
    """That of the training pictures; runs that did not record it yet tell the name of their data set."""
    known = folder.preprocessing().get("margin")
    return margin_of(folder.recipe().data.dataset) if known is None else float(known)


def _numbered(faces: Faces) -> tuple[TrackedFace, ...]:
    return tuple(
        TrackedFace(number, box, landmarks, float(score), True)
        for number, (box, landmarks, score) in enumerate(zip(faces.boxes, faces.landmarks, faces.scores, strict=True))
    )


def _not_still(received: object) -> InputError:
    return InputError(
        "The network of this run looks at faces over time",
        received=str(received),
        action="Give videos, or take a run that was trained on pictures.",
    )


def _read(path: Path) -> np.ndarray | InputError:
    try:
        return _rgb(read_picture(path))
    except InputError as error:
        return error


def _rgb(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of a picture with one channel or three."""
    image = np.asarray(image)
    image = image[..., None] if image.ndim == 2 else image
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3) or 0 in image.shape:
        received = f"{image.dtype}, shape {image.shape}"
        raise InputError("A picture is uint8 of (height, width, 1 or 3)", received=received)
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image


def _chunks(items: Iterable[T], weight: Callable[[T], int], enough: int, *, at_most: int) -> Iterator[list[T]]:
    """Runs of `items` that together weigh `enough`, of `at_most` items."""
    chunk: list[T] = []
    total = 0
    for item in items:
        chunk.append(item)
        total += weight(item)
        if total >= enough or len(chunk) >= at_most:
            yield chunk
            chunk, total = [], 0
    if chunk:
        yield chunk
