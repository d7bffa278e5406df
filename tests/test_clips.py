"""Windows of clips: which frames they hold, and the batches that come of them."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from hypothesis import given
from hypothesis import strategies as st

from ferkeras.data import clip_pipeline, pipeline, sources
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.clips import windows
from ferkeras.data.opening import open_clips, open_data
from ferkeras.data.preparation import prepare
from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from ferkeras.recipe import Augment, Data, Model, Recipe, resolve
from ferkeras.recipe_data import ClipWindows
from tests.tiny_clips import clip_features

CLASSES = ("happy", "neutral")
#: Length and class of each clip; the numbers of frames without a face and without labels follow from the length.
CLIPS = [(16, 0), (24, 0), (24, 1), (7, 1), (40, 1), (9, 0), (12, 1), (20, 0)]
SIDE = 8


def face_found(length: int) -> np.ndarray:
    """Every seventh frame shows no face, and none of the clips of 12 frames does."""
    return (np.arange(length) % 7 != 6) & (length != 12)


def affect(length: int) -> np.ndarray:
    """(T,) valence; the first frame is not labelled."""
    values = np.arange(length, dtype=np.int32) % 21 - 10
    values[0] = UNLABELLED
    return values


class TinyClips(tfds.core.GeneratorBasedBuilder):
    """The first pixel of a frame is its number, the second that of the clip."""

    name = "tiny_clips"
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="default", description="All.")]  # noqa: RUF012

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(builder=self, features=clip_features(SIDE, CLASSES))

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Any]:
        return {"train": self._generate_examples(), "test": self._generate_examples()}

    def _generate_examples(self) -> Any:
        for number, (length, label) in enumerate(CLIPS):
            frames = np.full((length, SIDE, SIDE, 1), 128, np.uint8)
            frames[:, 0, 0, 0], frames[:, 0, 1, 0] = np.arange(length), number
            yield (
                f"clip{number}",
                {
                    "frames": frames,
                    "face_found": face_found(length),
                    "valence": affect(length),
                    "arousal": -np.abs(affect(length)),
                    "label": label,
                    "clip_id": f"clip{number}",
                    "subject": f"s{number // 2}",
                },
            )


Builder = TinyClips


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.DATASETS, "tiny_clips", "tests.test_clips")
        prepare("tiny_clips", data_dir=folder)
    return folder


def open_tiny(data_dir: Path, **changes: Any) -> ClipPipeline:
    options = {"image_size": (SIDE, SIDE), "clips": ClipWindows(overlap={"happy": 0.5}), **changes}
    augment = options.pop("augment", Augment(flip=False))
    data = Data("tiny_clips", "train", "train", "test", **options)
    recipe = resolve(Recipe("tiny", Model("vgg11"), data, augment=augment, batch_size=3, seed=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.DATASETS, "tiny_clips", "tests.test_clips")
        return open_clips(recipe, data_dir=data_dir)


def rows(batches: Any) -> list[tuple[int, list[int], list[bool], Any]]:
    """Clip, frame numbers, mask and label of each window."""
    found = []
    for inputs, labels in batches.as_numpy_iterator():
        for index, (frames, mask) in enumerate(zip(inputs["frames"], inputs["frame_mask"], strict=True)):
            label = tuple(value[index] for value in labels.values()) if isinstance(labels, dict) else int(labels[index])
            found.append((int(frames[0, 0, 1, 0]), frames[:, 0, 0, 0].tolist(), mask.tolist(), label))
    return found


# Windows


@pytest.mark.parametrize(
    ("count", "stride", "overlap", "starts", "lengths"),
    [
        (16, 1, 0.0, [0], [16]),
        (8, 1, 0.0, [0], [8]),
        (7, 1, 0.0, [], []),
        (24, 1, 0.0, [0, 16], [16, 8]),
        (23, 1, 0.0, [0], [16]),
        (24, 1, 0.5, [0, 8], [16, 16]),
        (30, 1, 0.5, [0, 8, 16], [16, 16, 14]),
        (40, 1, 0.3, [0, 11, 22, 33], [16, 16, 16]),
        (32, 2, 0.0, [0], [16]),
        (50, 2, 0.0, [0, 32], [16, 9]),
        (0, 1, 0.0, [], []),
    ],
)
def test_windows_by_hand(count: int, stride: int, overlap: float, starts: list[int], lengths: list[int]) -> None:
    found = windows(count, frames=16, min_frames=8, stride=stride, overlap=overlap)
    assert [len(window) for window in found] == lengths
    assert [int(window[0]) for window in found] == starts[: len(lengths)]
    assert all((np.diff(window) == stride).all() for window in found)


@given(st.integers(0, 90), st.integers(1, 20), st.integers(1, 20), st.integers(1, 4), st.floats(0, 0.95))
def test_windows_cover_a_clip_and_stay_in_it(count: int, frames: int, least: int, stride: int, overlap: float) -> None:
    least = min(least, frames)
    found = windows(count, frames=frames, min_frames=least, stride=stride, overlap=overlap)
    used = set(range(0, count, stride))
    seen = {int(position) for window in found for position in window}
    assert seen <= used
    assert len(used - seen) < least, "only a remainder that is too short is left out"
    assert all(least <= len(window) <= frames for window in found)
    if overlap == 0:
        assert sum(map(len, found)) == len(seen), "no frame twice"


# Batches


def test_windows_of_the_training_split(data_dir: Path) -> None:
    data = open_tiny(data_dir)
    found = rows(data.evaluation("train"))
    expected = []
    for clip, (length, label) in enumerate(CLIPS):
        for window in windows(length, frames=16, min_frames=8, overlap=0.5 if label == 0 else 0.0):
            valid = face_found(length)[window]
            if valid.any():
                padding = 16 - len(window)
                expected.append((clip, [*window, *[0] * padding], [*valid, *[False] * padding], label))
    assert sorted(found) == sorted(expected)
    assert data.size("train") == data.epoch_size == len(expected)
    assert data.class_counts("train") == [sum(e[3] == k for e in expected) for k in (0, 1)]
    subjects = data.subjects("train")
    assert subjects is not None
    assert sorted(subjects.tolist()) == sorted(f"s{clip // 2}".encode() for clip, *_ in expected)


def test_windows_of_the_test_split_do_not_overlap(data_dir: Path) -> None:
    frames = [(clip, n) for clip, ns, mask, _ in rows(open_tiny(data_dir).evaluation("test"))
              for n, valid in zip(ns, mask, strict=True) if valid]  # fmt: skip
    assert len(frames) == len(set(frames))


def test_training_batches_depend_on_seed_and_epoch_alone(data_dir: Path) -> None:
    first, again = open_tiny(data_dir), open_tiny(data_dir)
    orders = [rows(first.training(epoch)) for epoch in (0, 1)]
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(rows(first.evaluation("train")))
    assert rows(again.training(1)) == orders[1]
    assert len(list(first.training(0))) == first.steps_per_epoch


def test_all_frames_of_a_clip_change_alike(data_dir: Path) -> None:
    settings = Augment(flip=True, brightness=0.2, rotation=20, translation=0.1)
    plain, changed = inputs(open_tiny(data_dir)), inputs(open_tiny(data_dir, augment=settings))
    assert any((before != after).any() for (before, _), (after, _) in zip(plain, changed, strict=True))
    lights = set()
    for (before, mask), (after, _) in zip(plain, changed, strict=True):
        shown = after[mask][:, 3:5, 3:5, 0]  # of one grey in all frames
        assert (shown == shown[0]).all()
        np.testing.assert_array_equal(before[~mask], after[~mask])
        lights.add(int(shown[0, 0, 0]))
    assert len(lights) > 3, "and each clip in its own way"


def inputs(data: ClipPipeline) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames and mask of the windows of an epoch, whose order does not depend on the augmentation."""
    batches = [batch for batch, _ in data.training(0).as_numpy_iterator()]
    return [pair for batch in batches for pair in zip(batch["frames"], batch["frame_mask"], strict=True)]


@pytest.mark.parametrize("target", ["valence_arousal", "valence_arousal_frames"])
def test_valence_and_arousal(data_dir: Path, target: str) -> None:
    data = open_tiny(data_dir, target=target, clips=ClipWindows(frames=8, min_frames=4))
    for clip, numbers, mask, (valence, arousal) in rows(data.evaluation("train")):
        length = CLIPS[clip][0]
        count = next((i for i, n in enumerate(numbers) if i and n == 0), 8)
        assert mask == [*face_found(length)[numbers[:count]], *[False] * (8 - count)], "labels have no say"
        if target == "valence_arousal":
            last = [n for n, valid in zip(numbers, mask, strict=True) if valid][-1]
            assert (valence, arousal) == (affect(length)[last], -abs(affect(length)[last]))
        else:
            seen = np.where(face_found(length), affect(length), UNLABELLED)
            assert valence.tolist() == [*seen[numbers[:count]], *[UNLABELLED] * (8 - count)]


def test_mistakes(data_dir: Path, tiny_data_dir: Path, tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"train has no window of 90 frames\. Received: 8 clips that are too short"):
        open_tiny(data_dir, clips=ClipWindows(frames=90, min_frames=80)).size("train")
    with pytest.raises(InputError, match=r"augment\.mixup must be off with data\.clips"):
        open_tiny(data_dir, augment=Augment(mixup=0.2))
    with pytest.raises(InputError, match=r"data\.clips\.overlap\.happy must be in \[0, 1\)"):
        open_tiny(data_dir, clips=ClipWindows(overlap={"happy": 1.0}))
    with pytest.raises(InputError, match=r"data\.target must be one of label"):
        resolve(dataclasses.replace(tiny_recipe, data=Data("tiny_faces", target="valence_arousal")))
    with pytest.raises(InputError, match=r"tiny_faces is no data set of clips\. Received: features image"):
        open_clips(tiny_recipe, data_dir=tiny_data_dir)
    monkeypatch.setitem(sources.DATASETS, "tiny_clips", "tests.test_clips")
    with pytest.raises(InputError, match="tiny_clips is no data set of stills"):
        open_data(dataclasses.replace(tiny_recipe, data=Data("tiny_clips")), data_dir=data_dir)


def test_a_recipe_with_clips_survives_json() -> None:
    data = Data("x", clips=ClipWindows(frames=8, overlap={"happy": 0.5}), target="valence_arousal")
    recipe = Recipe("tiny", Model("vgg11"), data)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_masked_frames_are_out_of_the_light(data_dir: Path) -> None:
    """The grey of 128 is the mean of every clip, so that contrast leaves it as it is."""
    for settings, lights in ((Augment(flip=False, brightness=0.2), 4), (Augment(flip=False, contrast=0.5), 1)):
        seen = set()
        for batch, _ in open_tiny(data_dir, augment=settings).training(0).as_numpy_iterator():
            seen |= set(batch["frames"][batch["frame_mask"]][:, 5, 5, 0].tolist())
        assert len(seen) >= lights
        if lights == 1:
            assert all(abs(value - 128) <= 2 for value in seen)


def test_what_is_left_out_is_told(data_dir: Path) -> None:
    left_out = "train: 1 clips that are too short, 1 windows without a labelled face are left out"
    with pytest.warns(UserWarning, match=left_out):
        open_tiny(data_dir).size("train")


def test_folds_and_targets_without_classes(data_dir: Path) -> None:
    data = open_tiny(data_dir, target="valence_arousal")
    assert (data.class_names, data.class_counts("train")) == ((), [])
    parts = [data.subjects(f"train@{fold}/2") for fold in (0, 1)]
    people = [set(part.tolist()) for part in parts if part is not None]
    assert people == [{b"s0", b"s2"}, {b"s1", b"s3"}]
    by_clip = open_tiny(data_dir, group="clip_id")
    found = [{clip for clip, *_ in rows(by_clip.evaluation(f"train@{fold}/8"))} for fold in (0, 1, 4)]
    assert found == [{0}, {1}, {4}]
    with pytest.raises(InputError, match=r"overlap names a class that there is not\. Received: joy\. Known: happy"):
        open_tiny(data_dir, clips=ClipWindows(overlap={"joy": 0.5}))


def test_small_memory(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = sorted(rows(open_tiny(data_dir).training(1)))
    monkeypatch.setattr(clip_pipeline, "CACHE_BYTES", 3 * 16 * SIDE * SIDE)
    monkeypatch.setattr(pipeline, "CACHE_BYTES", 0)
    small = open_tiny(data_dir)
    assert small._shuffled_examples == 3
    assert sorted(rows(small.training(1))) == usual
    assert rows(small.training(1)) == rows(open_tiny(data_dir).training(1))
