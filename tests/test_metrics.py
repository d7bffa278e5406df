"""The report against hand-computed answers, scikit-learn and its own laws."""

import json
import warnings

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.metrics import INTERVAL_METRICS, classification_report

NAMES = ("angry", "happy", "neutral")
few = settings(max_examples=40, deadline=None, derandomize=True)


def one_hot(predictions, classes=3):
    return np.eye(classes)[np.asarray(predictions)]


def random_predictions(seed, n=200, classes=5, strength=1.5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    scores = rng.normal(size=(n, classes))
    scores[np.arange(n), labels] += strength
    return labels, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


# Rows true, columns predicted: [[2, 1, 0], [0, 3, 0], [1, 1, 2]]
LABELS = [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]
PREDICTIONS = [0, 0, 1, 1, 1, 1, 0, 1, 2, 2]


def test_by_hand():
    report = classification_report(LABELS, one_hot(PREDICTIONS), NAMES)
    assert set(report) == {
        *(
            "n",
            "accuracy",
            "balanced_accuracy",
            "macro_precision",
            "macro_recall",
            "macro_f1",
            "kappa",
            "ece",
        ),
        *("nll", "per_class", "confusion_matrix", "confidence_intervals", "reliability"),
    }
    assert report["n"] == 10
    assert report["confusion_matrix"] == [[2, 1, 0], [0, 3, 0], [1, 1, 2]]
    assert report["accuracy"] == pytest.approx(0.7)
    assert report["balanced_accuracy"] == report["macro_recall"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert report["macro_precision"] == pytest.approx((2 / 3 + 3 / 5 + 1) / 3)
    assert report["macro_f1"] == pytest.approx((2 / 3 + 3 / 4 + 2 / 3) / 3)
    chance = (3 * 3 + 3 * 5 + 4 * 2) / 100
    assert report["kappa"] == pytest.approx((0.7 - chance) / (1 - chance))
    happy = {"precision": 3 / 5, "recall": 1.0, "f1": 3 / 4, "support": 3}
    assert report["per_class"]["happy"] == pytest.approx(happy)
    # Three of ten wrong at probability 0, held at float32's smallest normal number.
    assert report["nll"] == pytest.approx(0.3 * -np.log(np.finfo("float32").tiny))


def test_calibration_by_hand():
    # Confidence 0.6 falls in (8/15, 9/15], 0.9 in (13/15, 14/15]; upper edges belong to the bin below.
    probabilities = [[0.6, 0.4]] * 4 + [[0.1, 0.9]] * 2
    report = classification_report([0, 0, 0, 1, 1, 0], probabilities, ("no", "yes"))
    bins = report["reliability"]
    assert len(bins) == 15
    assert bins[8] == pytest.approx({"confidence": 0.6, "accuracy": 0.75, "count": 4})
    assert bins[13] == pytest.approx({"confidence": 0.9, "accuracy": 0.5, "count": 2})
    assert bins[0] == {"confidence": None, "accuracy": None, "count": 0}
    assert report["ece"] == pytest.approx((4 * 0.15 + 2 * 0.4) / 6)
    assert report["nll"] == pytest.approx(-np.mean(np.log([0.6, 0.6, 0.6, 0.4, 0.9, 0.1])))


def test_perfect_predictor():
    report = classification_report(LABELS, one_hot(LABELS), NAMES)
    for metric in ("accuracy", "balanced_accuracy", "macro_precision", "macro_recall", "macro_f1", "kappa"):
        assert report[metric] == 1
    assert report["ece"] == report["nll"] == 0
    assert report["confidence_intervals"] == {metric: [1, 1] for metric in INTERVAL_METRICS}


def test_constant_predictor():
    report = classification_report(LABELS, np.tile([0.2, 0.5, 0.3], (10, 1)), NAMES)
    assert report["accuracy"] == pytest.approx(0.3)
    assert report["balanced_accuracy"] == pytest.approx(1 / 3)
    assert report["kappa"] == pytest.approx(0)
    assert report["macro_f1"] == pytest.approx(2 * 0.3 / 1.3 / 3)
    assert report["macro_precision"] == pytest.approx(0.1)
    # A class that is never predicted has no precision; its recall is 0.
    assert report["per_class"]["angry"] == {"precision": None, "recall": 0, "f1": 0, "support": 3}


def test_only_one_class_in_labels_and_predictions():
    report = classification_report([1, 1], one_hot([1, 1]), NAMES)
    assert report["accuracy"] == report["macro_f1"] == report["balanced_accuracy"] == 1
    assert report["kappa"] is None
    assert report["confidence_intervals"]["kappa"] == [None, None]
    assert "NaN" not in json.dumps(report, allow_nan=False)


def test_a_tie_goes_to_the_first_class():
    assert classification_report([0, 1], [[0.5, 0.5]] * 2, ("a", "b"))["confusion_matrix"] == [[1, 0], [1, 0]]


def sklearn_scores(labels, predictions):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(
            labels, predictions, average="macro", zero_division=0
        )
        return {
            "accuracy": sklearn.metrics.accuracy_score(labels, predictions),
            "balanced_accuracy": sklearn.metrics.balanced_accuracy_score(labels, predictions),
            "macro_precision": precision,
            "macro_recall": recall,
            "macro_f1": f1,
            "kappa": sklearn.metrics.cohen_kappa_score(labels, predictions),
        }


@pytest.mark.parametrize(
    ("only_labels", "only_predictions"),
    [(range(5), range(5)), ((0, 1, 2), (0, 1, 2)), ((0, 1, 2), (0, 1, 3)), ((4,), (0, 1))],
    ids=["all", "two absent", "one only true, one only predicted", "nothing right"],
)
def test_absent_classes_as_in_scikit_learn(only_labels, only_predictions):
    rng = np.random.default_rng(0)
    labels, predictions = rng.choice(only_labels, 57), rng.choice(only_predictions, 57)
    names = list("abcde")
    report = classification_report(labels, one_hot(predictions, 5), names, bootstrap=20)
    for metric, value in sklearn_scores(labels, predictions).items():
        assert report[metric] == pytest.approx(value), metric
    for k, row in enumerate(report["per_class"].values()):
        assert row["support"] == np.sum(labels == k)
        assert (row["recall"] is None) == (k not in labels)
        assert (row["precision"] is None) == (k not in predictions)
        assert (row["f1"] is None) == (k not in labels and k not in predictions)
    json.dumps(report, allow_nan=False)


@few
@given(seed=st.integers(0, 10**6), n=st.integers(1, 60))
def test_accuracy_is_trace_over_n_and_order_does_not_matter(seed, n):
    labels, probabilities = random_predictions(seed, n=n, classes=4)
    report = classification_report(labels, probabilities, "abcd", bootstrap=10)
    matrix = np.array(report["confusion_matrix"])
    assert matrix.sum() == n
    assert report["accuracy"] == pytest.approx(np.trace(matrix) / n)
    order = np.random.default_rng(seed).permutation(n)
    shuffled = classification_report(labels[order], probabilities[order], "abcd", bootstrap=10)
    for key in ("confusion_matrix", "per_class", "confidence_intervals", "kappa", "macro_f1"):
        assert shuffled[key] == report[key]
    assert shuffled["ece"] == pytest.approx(report["ece"])
    assert shuffled["nll"] == pytest.approx(report["nll"])


def test_gathered_uneven_batches_differ_from_the_mean_of_their_scores():
    labels, probabilities = np.array([0, 0, 0, 0, 1]), one_hot([0, 0, 0, 0, 0], 2)
    assert classification_report(labels, probabilities, "ab")["accuracy"] == pytest.approx(0.8)
    by_batch = [classification_report(labels[s], probabilities[s], "ab")["accuracy"] for s in (slice(4), slice(4, 5))]
    assert np.mean(by_batch) == pytest.approx(0.5)


def test_bootstrap_has_the_width_of_the_binomial():
    labels, probabilities = random_predictions(1, n=3589, classes=7, strength=2)
    report = classification_report(labels, probabilities, "abcdefg")
    accuracy, (low, high) = report["accuracy"], report["confidence_intervals"]["accuracy"]
    assert low < accuracy < high
    half_width = 1.96 * np.sqrt(accuracy * (1 - accuracy) / 3589)
    assert (high - low) / 2 == pytest.approx(half_width, rel=0.1)
    assert report == classification_report(labels, probabilities, "abcdefg", seed=0)
    assert (
        report["confidence_intervals"]
        != classification_report(labels, probabilities, "abcdefg", seed=1)["confidence_intervals"]
    )


def test_bootstrap_of_examples_agrees_with_drawing_them():
    labels, probabilities = random_predictions(2, n=150)
    predictions = probabilities.argmax(axis=1)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, 150, 150) for _ in range(300)]
    drawn = [sklearn.metrics.f1_score(labels[d], predictions[d], average="macro") for d in draws]
    report = classification_report(labels, probabilities, "abcde", bootstrap=4000)
    np.testing.assert_allclose(report["confidence_intervals"]["macro_f1"], np.percentile(drawn, [2.5, 97.5]), atol=0.02)


def test_groups_widen_the_interval_and_singletons_do_not():
    # Ten subjects of 30 examples: five always right, five always wrong.
    labels = np.tile([0, 1], 150)
    subjects = np.repeat([f"s{k}" for k in range(10)], 30)
    wrong = np.repeat(np.arange(10) % 2, 30)
    probabilities = one_hot((labels + wrong) % 2, 2)

    def width(groups):
        report = classification_report(labels, probabilities, "ab", groups=groups)
        low, high = report["confidence_intervals"]["accuracy"]
        return high - low

    # The standard error of 10 subjects is sqrt(30) times that of 300 examples.
    assert width(subjects) == pytest.approx(np.sqrt(30) * width(None), rel=0.15)
    assert width(np.arange(300)) == pytest.approx(width(None), rel=0.15)


def test_one_subject_gives_no_interval():
    report = classification_report(LABELS, one_hot(PREDICTIONS), NAMES, groups=["x"] * 10)
    assert report["confidence_intervals"] == {metric: [None, None] for metric in INTERVAL_METRICS}
    assert classification_report(LABELS, one_hot(LABELS), NAMES, bootstrap=0)["confidence_intervals"] == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": []}, "at least one.*Received: .*shape"),
        ({"labels": [0.0, 1.0]}, "integers.*Received: float64"),
        ({"labels": [[0, 1]]}, r"Received: int64 of shape \(1, 2\)"),
        ({"labels": [0, 3]}, r"Received: labels in \[0, 3\]"),
        ({"labels": [0, -99]}, "without a label"),
        ({"probabilities": np.eye(2)}, r"\(2, 3\).*Received: probabilities of shape \(2, 2\)"),
        ({"probabilities": [[2.0, 1.0, 0.5]] * 2}, "sum to 1.*softmax"),
        ({"probabilities": [[1.5, -0.5, 0.0]] * 2}, "sum to 1"),
        ({"probabilities": [[np.nan, 0.5, 0.5]] * 2}, "sum to 1.*nan"),
        ({"names": ("a", "a", "b")}, "different class names.*Received: "),
        ({"groups": [1]}, r"Received: shape \(1,\)"),
        ({"bootstrap": -1}, "Received: bootstrap=-1"),
    ],
)
def test_mistakes_are_told(change, message):
    arguments = {"labels": [0, 1], "probabilities": one_hot([0, 1]), "names": NAMES} | change
    with pytest.raises(InputError, match=message):
        classification_report(**arguments)
