"""Several data sets in one recipe: classes by name, weights, soft targets, folds of subjects."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ferkeras.data import sources
from ferkeras.data.opening import all_prepared, fingerprints, open_data
from ferkeras.data.pipeline import StillPipeline
from ferkeras.data.preparation import prepare
from ferkeras.errors import InputError
from ferkeras.recipe import Augment, Data, Recipe, resolve
from ferkeras.recipe_data import Part
from ferkeras.training import loop
from tests import tiny_faces, tiny_votes

CLASSES = ("neutral", "angry")
FACES = [index for index in range(50) if tiny_faces.label(index) != 1]  # happy is left out
VOTES = [index for index in range(12) if tiny_votes.label(index) != 1]  # contempt too


@pytest.fixture(autouse=True)
def _votes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sources.DATASETS, "tiny_votes", "tests.tiny_votes")


@pytest.fixture(scope="module")
def data_dir(tiny_data_dir: Path) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.DATASETS, "tiny_votes", "tests.tiny_votes")
        prepare("tiny_votes", data_dir=tiny_data_dir)
    return tiny_data_dir


def mixture(
    tiny_recipe: Recipe, *, weight: float = 1.0, classes: tuple[str, ...] = CLASSES, **options: object
) -> Recipe:
    part = Part("tiny_votes", validation="", weight=weight)
    settings = Data("tiny_faces/subjects", parts=(part,), classes=classes, image_size=(32, 32), **options)  # type: ignore[arg-type]
    return resolve(dataclasses.replace(tiny_recipe, data=settings, augment=Augment(flip=False)))


def drawn(data: StillPipeline, epoch: int = 0) -> Counter[tuple[int, int]]:
    """How often each (pixel 0, 0; label) is drawn in an epoch; the pixel tells which image it is."""
    found: Counter[tuple[int, int]] = Counter()
    for images, labels in data.training(epoch).as_numpy_iterator():
        found.update(zip(images[:, 0, 0, 0].tolist(), labels.tolist(), strict=True))
    return found


def expected() -> dict[tuple[int, int], int]:
    faces = {(index, 0 if tiny_faces.label(index) == 2 else 1): 1 for index in FACES}
    return faces | {(100 + index, 0 if tiny_votes.label(index) == 0 else 1): 1 for index in VOTES}


def test_classes_are_matched_by_name(tiny_recipe: Recipe, data_dir: Path) -> None:
    data = open_data(mixture(tiny_recipe), data_dir=data_dir)
    assert data.class_names == CLASSES
    assert dict(drawn(data)) == expected()
    assert data.size("train") == data.epoch_size == len(FACES) + len(VOTES)
    assert data.class_counts("train") == [
        sum(tiny_faces.label(i) == 2 for i in FACES) + sum(tiny_votes.label(i) == 0 for i in VOTES),
        sum(tiny_faces.label(i) == 0 for i in FACES) + sum(tiny_votes.label(i) == 2 for i in VOTES),
    ]
    assert data.dataset == "tiny_faces/subjects + tiny_votes/default"


def test_equal_ids_of_two_sets_are_two_people(tiny_recipe: Recipe, data_dir: Path) -> None:
    subjects = open_data(mixture(tiny_recipe), data_dir=data_dir).subjects("train")
    assert subjects is not None
    assert {s.split(b"/")[0] for s in subjects} == {b"tiny_faces", b"tiny_votes"}
    assert {b"tiny_faces/train_0", b"tiny_votes/train_0"} <= set(subjects)


def test_a_part_without_a_split_has_no_share_in_it(tiny_recipe: Recipe, data_dir: Path) -> None:
    data = open_data(mixture(tiny_recipe), data_dir=data_dir)
    assert data.size("validation") == sum(tiny_faces.label(index) != 1 for index in range(13))
    images = np.concatenate([images for images, _ in data.evaluation("validation").as_numpy_iterator()])
    assert images[:, 0, 0, 0].max() < 100
    assert data.size("test") > data.size("test[:50%]") > 0


@pytest.mark.parametrize("weight", [0.5, 1.5, 3.0])
def test_weights_draw_so_many(tiny_recipe: Recipe, data_dir: Path, weight: float) -> None:
    data = open_data(mixture(tiny_recipe, weight=weight), data_dir=data_dir)
    first, second = drawn(data, 0), drawn(data, 1)
    for counts in (first, second):
        votes = Counter({key: count for key, count in counts.items() if key[0] >= 100})
        assert votes.total() == round(weight * len(VOTES))
        assert max(votes.values()) <= np.ceil(weight)
        assert all(counts[key] == 1 for key in expected() if key[0] < 100)
    assert data.epoch_size == first.total()
    assert weight == 3.0 or first != second, "other ones each epoch"
    assert drawn(open_data(mixture(tiny_recipe, weight=weight), data_dir=data_dir), 1) == second, "as after a resume"


def test_balanced_sampling_goes_over_all_sets(tiny_recipe: Recipe, data_dir: Path) -> None:
    data = open_data(mixture(tiny_recipe, sampling="balanced"), data_dir=data_dir)
    labels = Counter(label for epoch in range(10) for (_, label), n in drawn(data, epoch).items() for _ in range(n))
    assert labels[0] / labels.total() == pytest.approx(0.5, abs=0.07)


def test_soft_targets(tiny_recipe: Recipe, data_dir: Path) -> None:
    recipe = dataclasses.replace(
        tiny_recipe, data=Data("tiny_votes", target="distribution", image_size=(32, 32)), augment=Augment(flip=False)
    )
    data = open_data(recipe, data_dir=data_dir)
    for images, targets in data.training(0).as_numpy_iterator():
        wanted = [tiny_votes.target(int(pixel) - 100) for pixel in images[:, 0, 0, 0]]
        np.testing.assert_allclose(targets, wanted)
    for images, labels in data.evaluation("test").as_numpy_iterator():
        assert labels.tolist() == [tiny_votes.label(int(pixel) - 100) for pixel in images[:, 0, 0, 0]]

    fewer = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, classes=("contempt", "neutral")))
    for images, targets in open_data(fewer, data_dir=data_dir).training(0).as_numpy_iterator():
        for pixel, shares in zip(images[:, 0, 0, 0], targets, strict=True):
            # neutral is 3/4 neutral and 1/4 contempt; contempt is 3/4 contempt and 1/4 of what is left out
            np.testing.assert_allclose(shares, [0.25, 0.75] if tiny_votes.label(int(pixel) - 100) == 0 else [1, 0])


def test_drawn_labels_follow_the_target(tiny_recipe: Recipe, data_dir: Path) -> None:
    recipe = dataclasses.replace(
        tiny_recipe, data=Data("tiny_votes", target="drawn", image_size=(32, 32)), augment=Augment(flip=False)
    )
    data = open_data(recipe, data_dir=data_dir)
    epochs = [drawn(data, epoch) for epoch in range(25)]
    kept = sum(n for counts in epochs for (pixel, label), n in counts.items() if label == tiny_votes.label(pixel - 100))
    assert kept / (25 * 12) == pytest.approx(0.75, abs=0.08)
    assert drawn(open_data(recipe, data_dir=data_dir), 7) == epochs[7]


def test_folds_keep_subjects_whole(tiny_recipe: Recipe, data_dir: Path) -> None:
    settings = Data("tiny_faces/subjects", "train@0-1/3", "train@2/3", "test@0/2", image_size=(32, 32))
    data = open_data(dataclasses.replace(tiny_recipe, data=settings), data_dir=data_dir)
    parts = [data.subjects(name) for name in ("train@0-1/3", "train@2/3")]
    train, validation = (set(part.tolist()) for part in parts if part is not None)
    assert not train & validation
    assert train | validation == {f"train_{index // 4}".encode() for index in range(50)}
    assert validation == set(sorted(train | validation)[2::3])
    assert data.size("train@0-1/3") + data.size("train@2/3") == 50
    images = np.concatenate([images for images, _ in data.evaluation("train@2/3").as_numpy_iterator()])
    assert all(f"train_{pixel // 4}".encode() in validation for pixel in images[:, 0, 0, 0])


def test_mistakes(tiny_recipe: Recipe, data_dir: Path) -> None:
    with pytest.raises(InputError, match=r"No data set of the recipe has these classes\. Received: joy\. Known: angry"):
        open_data(mixture(tiny_recipe, classes=("neutral", "joy")), data_dir=data_dir)
    soft = Data("tiny_faces/subjects", target="drawn", image_size=(32, 32))
    with pytest.raises(InputError, match="has no soft targets"):
        open_data(dataclasses.replace(tiny_recipe, data=soft), data_dir=data_dir).training(0)
    nobody = Data("tiny_faces/anonymous", "train@0/2", image_size=(32, 32))
    with pytest.raises(InputError, match="has no feature subject"):
        open_data(dataclasses.replace(tiny_recipe, data=nobody), data_dir=data_dir).size("train@0/2")
    for change in ({"parts": (Part("tiny_votes", weight=0.0),)}, {"classes": ("neutral", "neutral")}):
        with pytest.raises(InputError, match=r"data\.(parts\[0\]\.weight|classes) must be"):
            resolve(dataclasses.replace(tiny_recipe, data=dataclasses.replace(tiny_recipe.data, **change)))  # type: ignore[arg-type]


def test_every_data_set_is_asked_for(tiny_recipe: Recipe, data_dir: Path, tmp_path: Path) -> None:
    recipe = mixture(tiny_recipe)
    assert all_prepared(recipe, data_dir=data_dir)
    assert not all_prepared(recipe, data_dir=tmp_path)
    marks = fingerprints(open_data(recipe, data_dir=data_dir))
    assert {"tiny_faces/subjects: train", "tiny_votes/default: train"} <= set(marks)
    missing = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, parts=(Part("fer2013"),)))
    with pytest.raises(InputError, match=r"have no official files\. Received: fer2013\."):
        open_data(missing, data_dir=data_dir, manual_dir=tmp_path)


def test_a_recipe_with_parts_survives_json(tiny_recipe: Recipe) -> None:
    recipe = mixture(tiny_recipe, weight=0.25)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_training_on_a_mixture_and_on_distributions(tiny_recipe: Recipe, data_dir: Path, tmp_path: Path) -> None:
    """Two sets whose classes stand in another order, resumed to the same weights; then soft targets."""
    recipe = mixture(tiny_recipe, weight=1.5)
    whole = loop.run(recipe, tmp_path / "whole", data_dir=data_dir)
    assert whole.labels() == CLASSES
    loop.run(dataclasses.replace(recipe, duration="1ep"), tmp_path / "parts", data_dir=data_dir)
    parts = loop.run(recipe, tmp_path / "parts", data_dir=data_dir, resume=True)
    assert [row["loss"] for row in parts.history()] == [row["loss"] for row in whole.history()]
    assert min(float(row["val_loss"]) for row in whole.history()) < np.log(2), "both sets teach the same classes"

    soft = Data("tiny_votes", validation="test", target="distribution", image_size=(32, 32))
    recipe = dataclasses.replace(tiny_recipe, data=soft, augment=Augment(flip=False), duration="1ep")
    row = loop.run(recipe, tmp_path / "soft", data_dir=data_dir).history()[0]
    assert 0 <= float(row["accuracy"]) <= 1


def test_one_data_set_in_two_parts(tiny_recipe: Recipe, data_dir: Path) -> None:
    other = Part("tiny_faces/subjects", "train[50%:]", "")
    halves = Data("tiny_faces/subjects", "train[:50%]", parts=(other,), image_size=(32, 32))
    data = open_data(resolve(dataclasses.replace(tiny_recipe, data=halves)), data_dir=data_dir)
    assert data.size("train[:50%]") == 50
    assert sorted(index for index, _ in drawn(data)) == list(range(50))
