"""Windows of clips: annotated segments of any length become sequences of T frames.

The published recipes on conversational video take 16 frames, leave out segments of under 8, and let the windows of
rare classes overlap in training and validation, never in the test split.
"""

import functools
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from ferkeras.data.columns import ordered, read_column
from ferkeras.data.folds import in_folds, parse_split
from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from ferkeras.recipe_data import ClipWindows, Target

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def windows(count: int, *, frames: int, min_frames: int, stride: int = 1, overlap: float = 0.0) -> list[np.ndarray]:
    """Positions, in a clip of `count` frames, of the frames of each window.

    Every `stride`-th frame is used. Windows of `frames` of those begin every max(1, round(frames (1 - overlap))) of
    them, until one reaches the end of the clip. A window with fewer than `frames`, which is then the last one, is kept
    if it has at least `min_frames`.
    """
    used = np.arange(0, count, stride)
    step = max(1, round(frames * (1 - overlap)))
    found = []
    for start in range(0, len(used), step):
        window = used[start : start + frames]
        if len(window) >= min_frames:
            found.append(window)
        if start + frames >= len(used):
            break
    return found


class ClipSelection:
    """Windows of the clips of `split` (see `ferkeras.data.folds`), in reading order.

    Windows in which no frame shows a face, or none that is labelled, are left out, as are clips that are too short; a
    warning says how many.

    Args:
        made: Builder of the prepared data set.
        split: Name of the split, with folds or without.
        classes: K names; clips of other classes are left out. Empty for targets that are no class.
        settings: Length, stride and overlap.
        target: What the labels are.
        overlapping: Whether the overlap of `settings` is used.
        group: The feature whose values folds keep whole.

    Raises:
        InputError: if the data set has no valence and arousal, and they are the target; by the methods, if it has no
            such split or feature, or nothing is left.
    """

    def __init__(
        self,
        made: "tfds.core.DatasetBuilder",
        split: str,
        classes: Sequence[str],
        *,
        settings: ClipWindows,
        target: Target,
        overlapping: bool,
        group: str = "subject",
    ) -> None:
        self._made = made
        self._name = parse_split(split)
        self._names = list(made.info.features["label"].names) if "label" in made.info.features else []
        self._classes = np.array([classes.index(n) if n in classes else -1 for n in self._names], np.int64)
        self._settings = settings
        self._target = target
        self._overlapping = overlapping
        self._group = group
        if target != "label" and "valence" not in made.info.features:
            raise InputError(f"{made.info.full_name} has no valence and arousal", action="Set data.target=label.")

    def __len__(self) -> int:
        if not self._rows:
            received = _listed(self.left_out) or "no clip"
            raise InputError(f"{self._name.base} has no window of {self._settings.frames} frames", received=received)
        return len(self._rows)

    @property
    def left_out(self) -> Counter[str]:
        """Reason -> how many clips or windows of the split are not used."""
        return self._cut[1]

    @property
    def _rows(self) -> list[tuple[int, np.ndarray]]:
        """Number of the clip, and positions of the window's frames."""
        return self._cut[0]

    @functools.cached_property
    def _cut(self) -> tuple[list[tuple[int, np.ndarray]], Counter[str]]:
        left_out: Counter[str] = Counter()
        kept = self._clip_is_in
        rows = []
        for clip, found in enumerate(self._face_found):
            if not kept[clip]:
                continue
            own = self._windows(clip, len(found))
            if not own:
                left_out["clips that are too short"] += 1
            for window in own:
                if self._is_usable(clip, window):
                    rows.append((clip, window))
                else:
                    left_out["windows without a labelled face"] += 1
        if left_out:
            split = f"{self._made.info.full_name}, {self._name.base}"
            warnings.warn(f"{split}: {_listed(left_out)} are left out.", stacklevel=1)
        return rows, left_out

    def _windows(self, clip: int, count: int) -> list[np.ndarray]:
        settings, overlap = self._settings, 0.0
        if self._overlapping:
            name = self._names[self._clip_labels[clip]] if self._names else "default"
            overlap = settings.overlap.get(name, settings.overlap.get("default", 0.0))
        return windows(
            count, frames=settings.frames, min_frames=settings.min_frames, stride=settings.stride, overlap=overlap
        )

    def _visible(self, clip: int, window: np.ndarray) -> np.ndarray:
        """Frames of the window that show a face. Labels have no say: there are none when a network is used."""
        return self._face_found[clip][window]

    def _is_usable(self, clip: int, window: np.ndarray) -> bool:
        """Whether there is a face, and with values by frame a label where one is needed."""
        shown = window[self._visible(clip, window)]
        if self._target == "label" or not len(shown):
            return bool(len(shown))
        needed = shown if self._target == "valence_arousal_frames" else shown[-1:]
        return bool((self._affect[clip][needed] != UNLABELLED).all(axis=-1).any())

    @functools.cached_property
    def _face_found(self) -> list[np.ndarray]:
        return read_ragged(self._made, self._name.base, "face_found")

    @functools.cached_property
    def _affect(self) -> list[np.ndarray]:
        """(T, 2) valence and arousal of each clip."""
        columns = [read_ragged(self._made, self._name.base, name) for name in ("valence", "arousal")]
        return [np.stack(pair, axis=-1) for pair in zip(*columns, strict=True)]

    @functools.cached_property
    def _clip_labels(self) -> np.ndarray:
        return read_column(self._made, self._name.base, "label").astype(np.int64)

    @property
    def _clip_is_in(self) -> np.ndarray:
        inside = np.ones(len(self._face_found), bool)
        if self._target == "label":
            inside &= self._classes[self._clip_labels] >= 0
        if self._name.folds:
            inside &= in_folds(self._name, read_column(self._made, self._name.base, self._group))
        return inside

    @property
    def labels(self) -> np.ndarray:
        """(N,) int64 classes, or (N, 2) int32 valence and arousal of the last frame with a face of each window."""
        if self._target == "label":
            return self._classes[self._clip_labels[[clip for clip, _ in self._rows]]]
        return np.stack([self._affect[clip][window[self._visible(clip, window)][-1]] for clip, window in self._rows])

    @property
    def subjects(self) -> np.ndarray | None:
        """(N,) subject ids of the windows, None where the data set names none."""
        if "subject" not in self._made.info.features:
            return None
        return read_column(self._made, self._name.base, "subject")[[clip for clip, _ in self._rows]]

    def dataset(self, prepare: Preprocessing) -> tf.data.Dataset:
        """((frames (T, H, W, C) uint8, mask (T,) bool), label) of each window, in order.

        A frame without a face, or of padding, is False in the mask; padding is black.
        The label is a class, or (2,) valence and arousal, or (T, 2) with `valence_arousal_frames`.
        """
        total = self._settings.frames
        by_clip: dict[int, list[np.ndarray]] = {}
        for clip, window in self._rows:
            by_clip.setdefault(clip, []).append(window)
        wanted = np.array([clip in by_clip for clip in range(len(self._face_found))])
        # All windows of a clip at once: it is read and decoded one time.
        places, valid, labels = [], [], []
        for clip, own in by_clip.items():
            places.append(np.stack([_padded(window, total, fill=-1) for window in own]))
            valid.append(np.stack([_padded(self._visible(clip, window), total, fill=False) for window in own]))
            labels.append(np.stack([self._label(clip, window) for window in own]))
        rows = tf.data.Dataset.from_tensor_slices(
            tuple(tf.ragged.constant([v.tolist() for v in values], ragged_rank=1, inner_shape=values[0].shape[1:])
                  for values in (places, valid, labels))
        )  # fmt: skip
        clips = self._made.as_dataset(
            split=self._name.base, shuffle_files=False, read_config=ordered(), decoders=_encoded_frames()
        )
        chosen = tf.data.Dataset.zip(clips, tf.data.Dataset.from_tensor_slices(wanted)).filter(lambda _, keep: keep)
        image = self._made.info.features["frames"].feature

        def load(clip: dict[str, tf.Tensor], _: tf.Tensor) -> tf.Tensor:
            decode = lambda frame: prepare(image.decode_example(frame))  # noqa: E731
            return tf.map_fn(decode, clip["frames"], fn_output_signature=tf.uint8)

        decoded = chosen.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

        def cut(frames: tf.Tensor, row: tuple[tf.RaggedTensor, ...]) -> tf.data.Dataset:
            place, mask, label = (tf.convert_to_tensor(value) for value in row)
            padded = tf.concat([frames, tf.zeros_like(frames[:1])], axis=0)  # position -1 is the black frame
            at = tf.where(place < 0, tf.shape(frames)[0], place)
            return tf.data.Dataset.from_tensor_slices(((tf.gather(padded, at), mask), label))

        dataset = tf.data.Dataset.zip(decoded, rows).flat_map(lambda frames, row: cut(frames, row))
        shape = (total, prepare.height, prepare.width, prepare.channels)
        return dataset.map(lambda x, label: ((tf.ensure_shape(x[0], shape), x[1]), label)).apply(
            tf.data.experimental.assert_cardinality(len(self))
        )

    def _label(self, clip: int, window: np.ndarray) -> np.ndarray:
        if self._target == "label":
            return np.asarray(self._classes[self._clip_labels[clip]])
        affect, visible = self._affect[clip][window], self._visible(clip, window)
        if self._target == "valence_arousal_frames":
            seen = np.where(visible[:, None], affect, UNLABELLED).astype(affect.dtype)
            return _padded(seen, self._settings.frames, fill=UNLABELLED)
        return affect[visible][-1]


def read_ragged(made: "tfds.core.DatasetBuilder", split: str, name: str) -> list[np.ndarray]:
    """One feature with a value a frame, of all clips of `split`, in reading order; nothing else is decoded."""
    dataset = made.as_dataset(split=split, decoders=tfds_partial((name,)), read_config=ordered())
    return [example[name] for example in dataset.as_numpy_iterator()]


def _encoded_frames() -> Any:
    """Reads the frames alone, and leaves them encoded: those of clips that are not chosen need no decoding."""
    import tensorflow_datasets as tfds

    return tfds.decode.PartialDecoding({"frames": True}, decoders={"frames": tfds.decode.SkipDecoding()})


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))


def tfds_partial(names: Sequence[str]) -> Any:
    """Decodes these features alone."""
    import tensorflow_datasets as tfds

    return tfds.decode.PartialDecoding(dict.fromkeys(names, True))


def _padded(values: np.ndarray, length: int, *, fill: Any) -> np.ndarray:
    rest = np.full((length - len(values), *values.shape[1:]), fill, values.dtype)
    return np.concatenate([values, rest])
