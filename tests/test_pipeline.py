"""The input pipeline: every example once an epoch, in an order that seed and epoch number decide."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from ferkeras.data import pipeline as pipeline_module
from ferkeras.data.columns import read_column
from ferkeras.data.pipeline import StillPipeline, epoch_seed, sample_counts
from ferkeras.data.preparation import prepare
from ferkeras.errors import InputError
from ferkeras.recipe import Augment, Recipe
from tests.tiny_faces import CLASSES, SPLITS, image, label, subject

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_datasets as tfds


@pytest.fixture
def data(tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe) -> StillPipeline:
    return StillPipeline(tiny_dataset, tiny_recipe)


def batches(dataset: "tf.data.Dataset") -> list[tuple[np.ndarray, np.ndarray]]:
    return list(dataset.as_numpy_iterator())


def order(dataset: "tf.data.Dataset | Iterable[Any]") -> list[int]:
    """The indices of the images, which their first pixel tells."""
    return [int(index) for images, _ in dataset for index in np.asarray(images)[:, 0, 0, 0]]


def subjects(indices: Iterable[int], *, split: str) -> list[bytes]:
    return [subject(split, index).encode() for index in indices]


# What is in a batch


def test_batches_hold_the_examples_as_they_were_written(data: StillPipeline) -> None:
    read = batches(data.training(0))
    assert [len(labels) for _, labels in read] == [16, 16, 16, 2]
    for images, labels in read:
        assert images.dtype == np.uint8
        assert labels.dtype == np.int64
        for one_image, one_label in zip(images, labels, strict=True):
            index = int(one_image[0, 0, 0])
            np.testing.assert_array_equal(one_image, image("train", index))
            assert one_label == label(index)


def test_reading_does_not_tune_itself(data: StillPipeline) -> None:
    """The end of a data set that does waits for a thread that sleeps for up to a minute."""
    for dataset in (data.training(0), data.evaluation("test")):
        assert dataset.options().autotune.enabled is False


def test_the_model_is_given_static_shapes(data: StillPipeline) -> None:
    for dataset in (data.training(0), data.evaluation("test")):
        images, labels = dataset.element_spec
        assert images.shape.as_list() == [None, 32, 32, 1]
        assert labels.shape.as_list() == [None]


def test_size_and_colour_follow_the_recipe(tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe) -> None:
    settings = dataclasses.replace(tiny_recipe.data, image_size=(20, 24), channels=3)
    data = StillPipeline(tiny_dataset, dataclasses.replace(tiny_recipe, data=settings))
    images, _ = batches(data.evaluation("validation", batch_size=100))[0]
    assert images.shape == (13, 20, 24, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images[..., 0], images[..., 2])
    expected = [data.preprocessing(image("validation", index)) for index in range(13)]
    np.testing.assert_array_equal(np.unique(images, axis=0), np.unique(expected, axis=0))


# The order of training


def test_an_epoch_holds_every_example_once(data: StillPipeline) -> None:
    for epoch in range(3):
        assert sorted(order(data.training(epoch))) == list(range(50))
    assert data.steps_per_epoch == 4 == len(batches(data.training(0)))


def test_epochs_differ_in_order(data: StillPipeline) -> None:
    orders = {tuple(order(data.training(epoch))) for epoch in range(5)}
    orders |= {tuple(order(data.evaluation("train"))), tuple(range(50))}
    assert len(orders) == 7


def test_an_epoch_is_the_same_whatever_was_read_before(
    tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe
) -> None:
    """So a resumed run sees what it would have seen."""
    settings = Augment(flip=True, rotation=20.0, brightness=0.2)
    recipe = dataclasses.replace(tiny_recipe, augment=settings)
    uninterrupted = StillPipeline(tiny_dataset, recipe)
    for epoch in range(3):
        batches(uninterrupted.training(epoch))
        batches(uninterrupted.evaluation("validation"))
    next(iter(uninterrupted.training(3)))
    resumed = StillPipeline(tiny_dataset, recipe)
    again = uninterrupted.training(3)
    for dataset in (again, again, uninterrupted.training(3)):
        for (images, labels), (same_images, same_labels) in zip(
            batches(dataset), batches(resumed.training(3)), strict=True
        ):
            np.testing.assert_array_equal(images, same_images)
            np.testing.assert_array_equal(labels, same_labels)


def test_the_epoch_of_a_resumed_run_with_everything_on(
    tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe
) -> None:
    settings = Augment(rotation=20.0, crop=0.9, ten_crop=True, randaugment=2, erasing=0.5, mixup=0.4, cutmix=1.0)
    sampled = dataclasses.replace(tiny_recipe.data, sampling="balanced")
    recipe = dataclasses.replace(tiny_recipe, augment=settings, data=sampled)
    uninterrupted = StillPipeline(tiny_dataset, recipe)
    batches(uninterrupted.training(0))
    read, again = batches(uninterrupted.training(1)), batches(StillPipeline(tiny_dataset, recipe).training(1))
    assert [len(images) for images, _ in read] == [160, 160, 160, 20]
    for left, right in zip(read, again, strict=True):
        for value, same in zip(left, right, strict=True):
            np.testing.assert_array_equal(value, same)
        assert (left[0].dtype, left[1].dtype, left[1].shape[1]) == (np.uint8, np.float32, 3)
        np.testing.assert_allclose(left[1].sum(axis=1), 1.0, atol=1e-6)


def test_the_seed_of_the_recipe_changes_the_order(
    data: StillPipeline, tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe
) -> None:
    other = StillPipeline(tiny_dataset, dataclasses.replace(tiny_recipe, seed=1))
    assert order(other.training(0)) != order(data.training(0))
    assert order(other.evaluation("train")) == order(data.evaluation("train"))


@pytest.mark.parametrize(("name", "value"), [("CACHE_BYTES", 0), ("SHUFFLE_EXAMPLES", 10)])
def test_small_memory(data: StillPipeline, monkeypatch: pytest.MonkeyPatch, name: str, value: int) -> None:
    usual = order(data.training(1))
    monkeypatch.setattr(pipeline_module, name, value)
    small = StillPipeline(data.builders, data._recipe)
    assert sorted(order(small.training(1))) == list(range(50))
    assert (order(small.training(1)) == usual) == (name == "CACHE_BYTES"), "a smaller buffer gives another order"


def test_every_image_of_every_epoch_gets_its_own_augmentation(
    tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe
) -> None:
    data = StillPipeline(tiny_dataset, dataclasses.replace(tiny_recipe, augment=Augment(flip=False, brightness=0.2)))
    shifts = []
    for epoch in (0, 1):
        plain = StillPipeline(tiny_dataset, tiny_recipe).training(epoch)
        for (images, _), (originals, _) in zip(batches(data.training(epoch)), batches(plain), strict=True):
            differences = images.astype(int) - originals
            unclipped = (originals > 60) & (originals < 190)
            shifts += [int(np.median(d[u])) for d, u in zip(differences, unclipped, strict=True)]
    first, second = shifts[:50], shifts[50:]
    assert first != second
    assert len(set(first[:16])) > 8, "images of a batch differ"
    assert first[:16] != first[16:32], "batches differ"


# Evaluation


@pytest.mark.parametrize("split", SPLITS)
def test_evaluation_reads_every_example_once_in_one_order(data: StillPipeline, split: str) -> None:
    first = order(data.evaluation(split))
    assert sorted(first) == list(range(SPLITS[split]))
    for batch_size in (1, 7, 100):
        assert order(data.evaluation(split, batch_size=batch_size)) == first
    assert order(StillPipeline(data.builders, data._recipe).evaluation(split)) == first


def test_the_last_batch_of_an_evaluation_is_smaller(data: StillPipeline) -> None:
    assert [len(labels) for _, labels in data.evaluation("test", batch_size=8)] == [8, 8, 4]
    assert [len(labels) for _, labels in data.evaluation("test")] == [16, 4]


def test_evaluation_images_are_not_augmented(
    tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe, data: StillPipeline
) -> None:
    recipe = dataclasses.replace(tiny_recipe, augment=Augment(flip=True, rotation=30.0, contrast=0.5))
    augmented = batches(StillPipeline(tiny_dataset, recipe).evaluation("test"))
    for (images, _), (expected, _) in zip(augmented, batches(data.evaluation("test")), strict=True):
        np.testing.assert_array_equal(images, expected)


# Sampling


@pytest.mark.parametrize("rule", ["balanced", "sqrt"])
def test_classes_are_drawn_as_the_rule_says(rule: Literal["balanced", "sqrt"]) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 3], [1600, 400, 100]))  # class 2 has none
    counts = np.sum([sample_counts(labels, rule=rule, seed=seed) for seed in range(20)], axis=0)
    assert counts.sum() == 20 * 2100
    shares = {"balanced": np.ones(3) / 3, "sqrt": np.array([40, 20, 10]) / 70}[rule]
    by_class = np.bincount(labels, weights=counts)[[0, 1, 3]]
    np.testing.assert_allclose(by_class / counts.sum(), shares, atol=5 * 0.5 / np.sqrt(counts.sum()))
    for k, size in ((0, 1600), (1, 400), (3, 100)):
        own = counts[labels == k]
        assert np.abs(own - own.mean()).max() < 6 * np.sqrt(own.mean()) + 1, f"examples alike, of {size}"


def test_counts_depend_on_the_seed_alone() -> None:
    labels = np.arange(60) % 5 // 2
    first = sample_counts(labels, rule="balanced", seed=3)
    assert first.tolist() == sample_counts(labels, rule="balanced", seed=3).tolist()
    assert first.tolist() != sample_counts(labels, rule="balanced", seed=4).tolist()


def test_a_sampled_epoch_has_its_counts_shuffled_and_its_own_labels(
    tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe
) -> None:
    settings = dataclasses.replace(tiny_recipe.data, sampling="balanced")
    data = StillPipeline(tiny_dataset, dataclasses.replace(tiny_recipe, data=settings))
    reading = order(data.evaluation("train"))
    labels = np.array([label(index) for index in reading])
    orders = []
    for epoch in range(3):
        read = batches(data.training(epoch))
        assert [len(values) for _, values in read] == [16, 16, 16, 2], "an epoch is as long as ever"
        assert data.training(epoch).cardinality() == 4, "known beforehand, or Keras looks for a fifth batch"
        orders.append(order(read))
        counts = sample_counts(labels, rule="balanced", seed=epoch_seed(0, epoch))
        assert [orders[-1].count(index) for index in reading] == counts.tolist()
        assert [label(index) for index in orders[-1]] == [int(value) for _, values in read for value in values]
        assert orders[-1] != sorted(orders[-1], key=reading.index)
    assert orders[0] != orders[1]
    assert data.class_counts("train") == [20, 20, 10], "what there is, not what is drawn"
    assert sorted(order(data.evaluation("train"))) == list(range(50)), "evaluation is not sampled"


def test_the_side_of_ten_crops_is_the_recipe_s(
    tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe, data: StillPipeline
) -> None:
    assert data.ten_crop_fraction == 40 / 48
    recipe = dataclasses.replace(tiny_recipe, augment=Augment(crop=0.9))
    assert StillPipeline(tiny_dataset, recipe).ten_crop_fraction == 0.9


# Splits


@pytest.mark.parametrize(
    ("split", "size"),
    [("train", 50), ("validation", 13), ("test", 20), ("train[:50%]", 25), ("train[10:15]", 5), ("train+test", 70)],
)
def test_sizes(data: StillPipeline, split: str, size: int) -> None:
    assert data.size(split) == size
    assert sum(len(labels) for _, labels in data.evaluation(split)) == size


def test_slices_are_parts_of_the_whole_in_its_order(data: StillPipeline) -> None:
    whole = order(data.evaluation("train"))
    assert order(data.evaluation("train[:50%]")) == whole[:25]
    assert order(data.evaluation("train[50%:]")) == whole[25:]
    assert read_column(data.builders[0], "train[:50%]", "label").tolist() == [label(index) for index in whole[:25]]


def test_a_slice_can_be_trained_on(tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe) -> None:
    settings = dataclasses.replace(tiny_recipe.data, train="train[:50%]")
    data = StillPipeline(tiny_dataset, dataclasses.replace(tiny_recipe, data=settings))
    assert data.steps_per_epoch == 2
    assert sorted(order(data.training(0))) == sorted(order(data.evaluation("train"))[:25])


@pytest.mark.parametrize("split", ["dev", "", "train[:many]", "train[100:]", "train[:51]"])
def test_an_unknown_split_is_told(data: StillPipeline, split: str) -> None:
    for read in (data.size, data.evaluation):
        with pytest.raises(InputError, match=r"tiny_faces/subjects.* no split.*Known: train, validation, test\."):
            read(split)


def test_an_empty_split_is_told(data: StillPipeline) -> None:
    with pytest.raises(InputError, match=r"The split is empty\. Received: train\[:0%\]\."):
        data.evaluation("train[:0%]")


# What else is known of the examples


def test_class_names_and_counts(data: StillPipeline) -> None:
    assert data.class_names == CLASSES
    assert data.class_counts("train") == [20, 20, 10]
    assert data.class_counts("validation") == [6, 5, 2]
    halves = [data.class_counts("train[:50%]"), data.class_counts("train[50%:]")]
    assert np.sum(halves, axis=0).tolist() == [20, 20, 10]


def test_a_class_without_examples_counts_zero(data: StillPipeline) -> None:
    first = int(read_column(data.builders[0], "train", "label")[0])
    assert data.class_counts("train[:1]") == [int(k == first) for k in range(3)]


def test_subjects_are_in_reading_order(data: StillPipeline) -> None:
    for split in ("validation", "train[:50%]"):
        read = data.subjects(split)
        assert read is not None
        assert read.tolist() == subjects(order(data.evaluation(split)), split=split.partition("[")[0])


def test_a_data_set_without_subjects(tiny_data_dir: Path, tiny_recipe: Recipe) -> None:
    data = StillPipeline(prepare("tiny_faces/anonymous", data_dir=tiny_data_dir), tiny_recipe)
    assert data.subjects("train") is None
    assert data.dataset == "tiny_faces/anonymous"
    assert sorted(order(data.training(0))) == list(range(50))


# Seeds


def test_epoch_seeds_are_distinct_and_reproducible() -> None:
    seeds = [epoch_seed(seed, epoch) for seed in range(20) for epoch in range(200)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert epoch_seed(0, 1) != epoch_seed(1, 0)
    assert epoch_seed(7, 3) == epoch_seed(7, 3)
    assert (epoch_seed(0, 0), epoch_seed(0, 1), epoch_seed(1, 0)) == (1484405855, 1982462498, 917752063), (
        "a resumed run needs the same seeds"
    )
