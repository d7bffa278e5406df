"""The evaluator by hand-computed answers, and the table for people."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import keras
import numpy as np
import pytest

from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.evaluation import evaluate, table, write_plots
from ferkeras.inference import Runner, gather, keras_runner, log_softmax, softmax
from ferkeras.metrics import INTERVAL_METRICS
from ferkeras.recipe import Recipe
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

NAMES = ("angry", "happy", "neutral", "sad")


@dataclasses.dataclass
class FakeData:
    """Stands in for a `StillPipeline`: images of one pixel, whose value may be the answer, in batches of four."""

    labels: list[int]
    pixels: list[int]
    groups: list[str] | None = None
    class_names: tuple[str, ...] = NAMES
    dataset: str = "fake/data"
    ten_crop_fraction: float = 40 / 48

    def evaluation(self, split: str, *, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        del split, batch_size
        images = np.array(self.pixels, np.uint8).reshape(-1, 1, 1, 1)
        for start in range(0, len(self.labels), 4):
            yield images[start : start + 4], np.array(self.labels[start : start + 4])

    def subjects(self, split: str) -> np.ndarray | None:
        del split
        return None if self.groups is None else np.array(self.groups)


def report(run: Runner, data: FakeData, **options: Any) -> dict[str, Any]:
    return evaluate(run, cast(StillPipeline, data), split="test", **options)


def constant(*probabilities: float) -> Runner:
    """A model that always says the same."""
    return lambda images: {"emotion": np.tile(np.log(probabilities), (len(images), 1)).astype(np.float32)}


def reader(images: np.ndarray) -> dict[str, np.ndarray]:
    """A model that is sure of the class that the first pixel names."""
    return {"emotion": 50 * np.eye(len(NAMES), dtype=np.float32)[np.asarray(images)[:, 0, 0, 0].astype(int)]}


# Nine examples, of class sad none: batches of 4, 4 and 1.
LABELS = [0, 0, 0, 0, 1, 1, 1, 2, 2]


def test_a_constant_model() -> None:
    result = report(constant(0.5, 0.25, 0.125, 0.125), FakeData(LABELS, [0] * 9))
    assert result["n"] == 9
    assert (result["dataset"], result["split"], result["tta"]) == ("fake/data", "test", "none")
    assert result["confusion_matrix"] == [[4, 0, 0, 0], [3, 0, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]]
    assert result["accuracy"] == pytest.approx(4 / 9)
    assert result["balanced_accuracy"] == pytest.approx(1 / 3), "sad has no examples"
    assert result["kappa"] == pytest.approx(0.0)
    assert result["macro_f1"] == pytest.approx(2 * 4 / (4 + 9) / 3)
    assert result["ece"] == pytest.approx(0.5 - 4 / 9)
    assert result["nll"] == pytest.approx(np.log(2) * (4 * 1 + 3 * 2 + 2 * 3) / 9)
    scores = {"precision": pytest.approx(4 / 9), "recall": 1.0, "f1": pytest.approx(8 / 13), "support": 4}
    assert result["per_class"]["angry"] == scores
    assert result["per_class"]["happy"] == {"precision": None, "recall": 0.0, "f1": 0.0, "support": 3}
    assert result["per_class"]["sad"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert list(result["per_class"]) == list(NAMES)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_accuracy_is_not_a_mean_of_batch_means() -> None:
    """The last batch holds one example, which is wrong: 8 of 9, and not (1 + 1 + 0) / 3."""
    result = report(reader, FakeData(LABELS, [*LABELS[:8], 0]))
    assert result["accuracy"] == pytest.approx(8 / 9)
    assert result["confusion_matrix"][2] == [1, 0, 1, 0]


def test_an_absent_class_that_is_predicted() -> None:
    result = report(reader, FakeData(LABELS, [*LABELS[:8], 3]))
    assert result["per_class"]["sad"] == {"precision": 0.0, "recall": None, "f1": 0.0, "support": 0}
    assert result["balanced_accuracy"] == pytest.approx((1 + 1 + 1 / 2) / 3)
    assert result["macro_recall"] == pytest.approx((1 + 1 + 1 / 2 + 0) / 4)


def test_a_perfect_model() -> None:
    result = report(reader, FakeData(LABELS, LABELS))
    assert result["accuracy"] == result["kappa"] == result["balanced_accuracy"] == 1.0
    assert result["confidence_intervals"]["accuracy"] == [1.0, 1.0]
    assert result["nll"] == pytest.approx(0.0)


def test_intervals_are_drawn_over_subjects_where_they_are_known() -> None:
    labels, pixels = [0, 1] * 20, [0, 1] * 10 + [1, 0] * 10
    alone = report(reader, FakeData(labels, pixels))
    grouped = report(reader, FakeData(labels, pixels, groups=["a"] * 20 + ["b"] * 20))
    assert grouped["accuracy"] == alone["accuracy"] == 0.5
    assert grouped["confidence_intervals"]["accuracy"] == [0.0, 1.0], "two subjects, one all right, one all wrong"
    low, high = alone["confidence_intervals"]["accuracy"]
    assert 0.3 < low < 0.5 < high < 0.7


def test_the_seed_of_the_bootstrap() -> None:
    data = FakeData(LABELS * 11, [*LABELS[:8], 0] * 6 + [*LABELS[:6], 0, 1, 2] * 5)
    same = [report(reader, data, seed=seed)["confidence_intervals"] for seed in (1, 1, 2)]
    assert same[0] == same[1] != same[2]


def test_labels_of_another_data_set_are_refused() -> None:
    with pytest.raises(InputError, match="shape"):
        report(constant(0.5, 0.5), FakeData(LABELS, LABELS))


def test_a_real_pipeline(tiny_dataset: "tfds.core.DatasetBuilder", tiny_recipe: Recipe) -> None:
    data = StillPipeline(tiny_dataset, tiny_recipe)
    result = evaluate(constant(0.5, 0.3, 0.2), data, split="validation")
    assert result["confusion_matrix"] == [[6, 0, 0], [5, 0, 0], [2, 0, 0]]
    assert result["accuracy"] == pytest.approx(6 / 13)
    part = evaluate(constant(0.5, 0.3, 0.2), data, split="validation[:5]")
    assert (part["n"], part["split"]) == (5, "validation[:5]")


# Runners


def test_gather_keeps_the_order_and_every_example() -> None:
    def run(images: np.ndarray) -> dict[str, np.ndarray]:
        return {"emotion": np.stack([images[:, 0], -images[:, 0]], axis=1).astype(np.float64)}

    values = np.arange(10)
    batches = [(values[i : i + 3, None], values[i : i + 3] % 2) for i in range(0, 10, 3)]
    logits, labels = gather(run, batches)
    assert logits.dtype == np.float32
    assert labels.dtype == np.int64
    assert logits.tolist() == [[v, -v] for v in range(10)]
    assert labels.tolist() == [v % 2 for v in range(10)]


def test_keras_runner_does_not_depend_on_the_batch() -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((6, 6, 1), name="image")
    x = keras.layers.Flatten()(keras.layers.BatchNormalization()(image))
    x = keras.layers.Dropout(0.5)(x)
    model = keras.Model(image, {"emotion": keras.layers.Dense(3, name="emotion")(x)})
    images = np.random.default_rng(0).integers(0, 256, (9, 6, 6, 1), dtype=np.uint8)
    run = keras_runner(model)
    together = run(images)["emotion"]
    np.testing.assert_allclose(together, model(images, training=False)["emotion"], atol=1e-4)
    apart = np.concatenate([run(images[i : i + 4])["emotion"] for i in range(0, 9, 4)])
    np.testing.assert_allclose(apart, together, atol=1e-4)


def test_softmax_of_extreme_logits() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0], [0.0, 0.0, 0.0]], np.float32)
    np.testing.assert_allclose(softmax(logits), np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3]]))
    np.testing.assert_allclose(log_softmax(logits)[0], [0, -1000, -2000])
    assert softmax(logits).dtype == np.float64


# For people


def test_table_has_every_score_and_class() -> None:
    text = table(report(constant(0.5, 0.25, 0.125, 0.125), FakeData(LABELS, LABELS)))
    lines = text.splitlines()
    assert lines[0] == "fake/data, test: 9 images, test-time augmentation none"
    scores = {line.split()[0]: line.split()[1:] for line in lines if line}
    assert scores["accuracy"][0] == "0.4444"
    assert scores["kappa"][0] == "0.0000"
    assert scores["nll"][0] == "1.2323"
    assert scores["angry"] == ["0.4444", "1.0000", "0.6154", "4"]
    assert scores["happy"] == ["-", "0.0000", "0.0000", "3"]
    assert scores["sad"] == ["-", "-", "-", "0"]
    assert max(map(len, lines)) < 80
    with_interval = [line for line in lines if "95 % interval" in line]
    assert [line.split()[0] for line in with_interval] == list(INTERVAL_METRICS)


def test_table_of_one_subject_has_no_interval() -> None:
    text = table(report(reader, FakeData(LABELS, LABELS, groups=["a"] * 9)))
    assert "interval" not in text
    assert "None" not in text
    assert "nan" not in text


@pytest.mark.parametrize("run", [constant(0.5, 0.25, 0.125, 0.125), reader])
def test_plots(run: Callable[[np.ndarray], dict[str, np.ndarray]], tmp_path: Path) -> None:
    write_plots(RunFolder(tmp_path), report(run, FakeData(LABELS, LABELS)))
    files = sorted((tmp_path / "plots").iterdir())
    assert [file.name for file in files] == ["confusion_matrix.png", "reliability.png"]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
