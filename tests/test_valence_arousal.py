"""Conversions, scores, report and table of folds of valence and arousal: by hand, against SciPy, and their laws."""

import json

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ferkeras.affect_metrics import SCORES, affect_scores, value_scores
from ferkeras.affect_report import affect_report, folds_table
from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED, VALENCE_AROUSAL_BINS
from ferkeras.valence_arousal import (
    bins_to_classes,
    bins_to_values,
    classes_to_bins,
    expected_values,
    mean_value,
    values_to_bins,
)

few = settings(max_examples=60, deadline=None, derandomize=True)
value = st.floats(-1, 1)
pairs = st.lists(st.tuples(value, value), min_size=2, max_size=30).map(lambda rows: np.array(rows).T)


def sure(bins):
    """Logits whose class and expectation are these bins."""
    return np.where(np.arange(-10, 11) == np.asarray(bins)[..., None], 200.0, 0.0)


def spread_out(rows):
    """Both variables vary by more than rounding."""
    return min(np.std(rows, axis=1)) > 1e-3


def random_clips(seed, clips=12, frames=5):
    """Labels (clips, frames) with gaps, logits that follow them, and four subjects."""
    rng = np.random.default_rng(seed)
    subjects = np.array([f"s{k % 4}" for k in range(clips)])
    true = np.clip(np.rint(rng.normal(scale=3, size=(clips, 1)) + rng.normal(scale=2, size=(clips, frames))), -10, 10)
    centre = 0.7 * true + rng.normal(scale=1.5, size=true.shape)
    logits = -0.2 * (np.arange(-10, 11) - centre[..., None]) ** 2
    true[rng.random(true.shape) < 0.2] = UNLABELLED
    return true.astype(int), logits, subjects


def test_bins_classes_and_values():
    bins = np.array([*VALENCE_AROUSAL_BINS, UNLABELLED])
    assert bins_to_classes(bins).tolist() == [*range(21), UNLABELLED]
    assert classes_to_bins(bins_to_classes(bins)).tolist() == bins.tolist()
    np.testing.assert_allclose(bins_to_values(bins)[:-1], np.linspace(-1, 1, 21), atol=1e-15)
    assert np.isnan(bins_to_values(bins)[-1])
    assert values_to_bins(bins_to_values(bins)).tolist() == bins.tolist()
    assert mean_value([[1, 2], [UNLABELLED, 6]]) == pytest.approx(0.3)


def test_halves_go_to_the_even_bin():
    assert values_to_bins([0.25, 0.75, -0.25, -0.75, 0.05, -0.05]).tolist() == [2, 8, -2, -8, 0, 0]
    assert values_to_bins([0.2501, -0.7499, 0.049, 1, -1, np.nan]).tolist() == [3, -7, 0, 10, -10, UNLABELLED]
    assert values_to_bins(0.31) == 3


def test_the_expectation():
    logits = np.random.default_rng(0).normal(scale=5, size=(4, 3, 21))
    expected = scipy.special.softmax(logits, axis=-1) @ np.linspace(-1, 1, 21)
    np.testing.assert_allclose(expected_values(logits), expected, rtol=1e-12)
    np.testing.assert_allclose(expected_values(1e6 * sure([3, -10])), [0.3, -1])
    # 3/4 at bin 10 and 1/4 at bin -2.
    logits = np.full(21, -1e9)
    logits[[20, 8]] = np.log([3, 1])
    assert expected_values(logits) == pytest.approx(0.75 - 0.05)


def test_scores_by_hand():
    # In tenths: x = 1, 2, 3, 4 and y = 2, 2, 3, 5; the fifth is not labelled.
    scores = affect_scores([2, 2, 3, 5, UNLABELLED], sure([1, 2, 3, 4, -9]))
    expected = {
        "n": 4,
        "accuracy": 0.5,
        "within_one": 1.0,
        "rmse": np.sqrt(0.5) / 10,
        "mae": 0.05,
        "pearson": 1.25 / np.sqrt(1.25 * 1.5),
        "ccc": 2.5 / 3,
        "sagr": 1.0,
    }
    assert scores == pytest.approx(expected, rel=1e-12)


def test_the_class_is_the_most_probable_one_and_not_the_expectation():
    logits = np.full((1, 21), -1e9)
    logits[0, [0, 19, 20]] = np.log([0.4, 0.3, 0.3])  # the class is -10, the expectation 1.7
    scores = affect_scores([2], logits)
    assert scores["accuracy"] == scores["within_one"] == 0
    assert scores["mae"] == pytest.approx(0.03)
    assert affect_scores([-9], logits)["within_one"] == 1
    assert affect_scores([-10], np.zeros((1, 21)))["accuracy"] == 1, "the first in a tie"


def test_what_zero_counts_as():
    assert value_scores([0, 0, 0], [0, 1e-7, 0.01])["sagr"] == pytest.approx(2 / 3)
    assert value_scores([0.1, -0.1, 0.1, -0.1], [0.01, -0.9, -0.01, 0])["sagr"] == 0.5
    assert affect_scores([0], np.zeros((1, 21)))["sagr"] == 1, "uniform logits are 0 but for rounding"


@pytest.mark.parametrize("seed", range(3))
def test_against_scipy(seed):
    true, logits, _ = random_clips(seed)
    known = true != UNLABELLED
    y, x = true[known] / 10, scipy.special.softmax(logits[known], axis=-1) @ np.linspace(-1, 1, 21)
    scores = affect_scores(true, logits)
    assert scores["pearson"] == pytest.approx(scipy.stats.pearsonr(x, y).statistic, rel=1e-9)
    # CCC as correlation times bias correction, 2 / (v + 1/v + u^2), with scale shift v and location shift u.
    v, u = x.std() / y.std(), (x.mean() - y.mean()) / np.sqrt(x.std() * y.std())
    assert scores["ccc"] == pytest.approx(np.corrcoef(x, y)[0, 1] * 2 / (v + 1 / v + u**2), rel=1e-9)
    assert scores["rmse"] == pytest.approx(np.linalg.norm(x - y) / np.sqrt(known.sum()), rel=1e-9)
    classes = logits[known].argmax(axis=-1) - 10
    assert scores["accuracy"] == pytest.approx(np.mean(classes == true[known]))
    assert scores["within_one"] == pytest.approx(np.mean(np.abs(classes - true[known]) < 1.5))


@few
@given(rows=pairs)
def test_concordance_lies_below_the_correlation_and_is_symmetric(rows):
    assume(spread_out(rows))
    true, predicted = rows
    scores = value_scores(true, predicted)
    assert abs(scores["ccc"]) <= abs(scores["pearson"]) + 1e-9
    assert abs(scores["pearson"]) <= 1
    assert value_scores(predicted, true)["ccc"] == pytest.approx(scores["ccc"], abs=1e-12)
    assert value_scores(-true, predicted)["ccc"] * scores["pearson"] <= 0
    assert value_scores(true, true)["ccc"] == pytest.approx(1)


@few
@given(rows=pairs, shift=st.floats(0.05, 0.5))
def test_a_shift_and_a_scale_lower_concordance_and_leave_correlation(rows, shift):
    assume(spread_out(rows))
    true = rows[0] / 2
    assert value_scores(true, true + shift)["ccc"] < 1
    assert value_scores(true, true + shift)["pearson"] == pytest.approx(1)
    centred = true - true.mean()
    assert value_scores(centred, centred * shift)["ccc"] == pytest.approx(2 / (shift + 1 / shift), rel=1e-6)


@few
@given(rows=pairs)
def test_the_order_does_not_matter_and_repetition_changes_nothing(rows):
    true, predicted = rows
    scores = value_scores(true, predicted)
    twice = value_scores(np.tile(true, 2)[::-1], np.tile(predicted, 2)[::-1])
    assert twice.pop("n") == 2 * scores.pop("n")
    assume(spread_out(rows))
    assert twice == pytest.approx(scores, abs=1e-9)


@pytest.mark.parametrize("constant", [0.3, 0.1 + 0.2, -1.0, 0.0])
def test_a_constant_has_neither_correlation_nor_concordance(constant):
    varying = np.linspace(-0.7, 0.9, 997)
    for true, predicted in ((varying, np.full(997, constant)), (np.full(997, constant), varying)):
        scores = value_scores(true, predicted)
        assert scores["ccc"] == scores["pearson"] == 0
    scores = value_scores(np.full(997, constant), np.full(997, constant))
    assert (scores["ccc"], scores["pearson"], scores["rmse"], scores["accuracy"]) == (0, 0, 0, 1)
    # The noise of float32 is no variation.
    noisy = np.float32(0.3) + np.random.default_rng(0).normal(scale=1e-7, size=997).astype("float32")
    assert value_scores(varying, noisy)["ccc"] == 0
    assert value_scores([0.4], [0.5])["pearson"] == 0


def test_the_report():
    true, logits, subjects = random_clips(5)
    clips = [f"c{k:02}" for k in range(12)]
    arousal = np.full_like(true, UNLABELLED)
    arousal[3:5] = 0, 1, 2, 3, 4
    means = {"valence": 0.05, "arousal": 0.2}
    report = affect_report(
        true, arousal, logits, sure(arousal), groups=subjects, clips=clips, training_means=means, bootstrap=200
    )
    json.dumps(report, allow_nan=False)
    valence = report["valence"]
    assert {name: valence[name] for name in ("n", *SCORES)} == pytest.approx(affect_scores(true, logits))
    assert report["mean_ccc"] == pytest.approx((valence["ccc"] + 1) / 2)
    assert report["arousal"]["n"] == 10
    assert report["arousal"]["zeros"] == 0.2
    matrix = np.array(valence["confusion_matrix"])
    assert np.trace(matrix) / matrix.sum() == pytest.approx(valence["accuracy"])
    assert matrix.sum(axis=1).tolist() == np.bincount(true[true != UNLABELLED] + 10, minlength=21).tolist()
    assert list(valence["per_clip"]) == clips
    assert valence["per_clip"]["c07"] == pytest.approx(affect_scores(true[7], logits[7]))
    assert list(report["arousal"]["per_clip"]) == ["c03", "c04"], "clips without a label are left out"
    for name in SCORES:
        low, high = valence["confidence_intervals"][name]
        assert low <= valence[name] <= high
    y = true[true != UNLABELLED] / 10
    assert valence["baseline"]["rmse"] == pytest.approx(np.sqrt(np.mean((y - 0.05) ** 2)))
    assert valence["baseline"]["accuracy"] == pytest.approx(np.mean(y == 0)), "0.05 is in bin 0"
    assert valence["baseline"]["ccc"] == valence["baseline"]["pearson"] == 0
    assert valence["baseline"]["sagr"] == pytest.approx(np.mean(y > 0))


def test_clips_and_their_frames_in_a_row_are_the_same():
    true, logits, subjects = random_clips(6)
    in_clips = affect_report(true, true, logits, logits, groups=subjects, bootstrap=50)
    frames = affect_report(
        *[true.ravel()] * 2, *[logits.reshape(-1, 21)] * 2, groups=np.repeat(subjects, 5).astype(bytes), bootstrap=50
    )
    assert in_clips["valence"]["confusion_matrix"] == frames["valence"]["confusion_matrix"]
    for key in ("sums", "confidence_intervals"):
        assert list(in_clips["valence"][key]) == list(frames["valence"][key])
        for name, numbers in in_clips["valence"][key].items():
            assert numbers == pytest.approx(frames["valence"][key][name])


def test_the_bootstrap_draws_subjects():
    # Ten subjects of 30 frames: five always right, five always off by 5.
    true = np.tile([-3, 0, 3], 100)
    subjects = np.repeat(np.arange(10), 30)
    logits = sure(true + 5 * (subjects % 2))

    def interval(groups, seed=0):
        report = affect_report(true, true, logits, logits, groups=groups, seed=seed)
        return report["valence"]["confidence_intervals"]["accuracy"]

    low, high = interval(subjects)
    half = 1.96 * np.sqrt(0.25 / 10)
    assert (high - low) / 2 == pytest.approx(half, rel=0.2)
    low, high = interval(None)
    assert (high - low) / 2 == pytest.approx(half / np.sqrt(30), rel=0.1)
    assert interval(subjects) == interval(subjects)
    assert interval(None) != interval(None, seed=1)
    assert interval(np.zeros(300)) == [None, None]


def test_the_bootstrap_is_that_of_drawing_the_frames_of_subjects():
    true, logits, _ = random_clips(7, clips=30)
    subjects = np.arange(30) % 10
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(300):
        rows = np.concatenate([np.flatnonzero(subjects == k) for k in rng.integers(0, 10, 10)])
        drawn.append(affect_scores(true[rows], logits[rows])["ccc"])
    report = affect_report(true, true, logits, logits, groups=subjects, bootstrap=2000)
    interval = report["valence"]["confidence_intervals"]["ccc"]
    np.testing.assert_allclose(interval, np.percentile(drawn, [2.5, 97.5]), atol=0.03)


def test_the_table_of_folds_pools_all_labels():
    true, logits, subjects = random_clips(8, clips=20)
    folds = {"0": subjects == "s0", "1": (subjects == "s1") | (subjects == "s2"), "2": subjects == "s3"}
    reports = {}
    for fold, rows in folds.items():
        means = {"valence": mean_value(true[~rows]), "arousal": mean_value(true[~rows])}
        report = affect_report(
            true[rows], true[rows], logits[rows], logits[rows], groups=subjects[rows], training_means=means
        )
        reports[fold] = json.loads(json.dumps(report))  # as read from a file
    table = folds_table(reports)
    assert [(row["fold"], row["output"], row["predictor"]) for row in table] == [
        (fold, output, predictor)
        for fold in ("0", "1", "2", "pooled")
        for output in ("valence", "arousal")
        for predictor in ("model", "constant mean")
    ]
    assert len({tuple(row) for row in table}) == 1, "the same columns in all rows"
    whole = affect_report(true, true, logits, logits, groups=subjects)["valence"]
    pooled, baseline = table[12], table[13]
    for name in SCORES:
        assert pooled[name] == pytest.approx(whole[name])
        assert [pooled[f"{name}_low"], pooled[f"{name}_high"]] == pytest.approx(whole["confidence_intervals"][name])
        assert table[0][name] == reports["0"]["valence"][name]
        assert baseline[f"{name}_low"] is None
    assert pooled["n"] == sum(row["n"] for row in table[0:12:4])
    # Each fold has its own constant.
    constants = np.concatenate([np.full(np.sum(true[r] != UNLABELLED), mean_value(true[~r])) for r in folds.values()])
    labels = np.concatenate([true[r][true[r] != UNLABELLED] for r in folds.values()]) / 10
    expected = value_scores(labels, constants)
    assert {name: baseline[name] for name in SCORES} == pytest.approx({name: expected[name] for name in SCORES})
    reports["1"]["valence"]["baseline"] = None
    predictors = [row["predictor"] for row in folds_table(reports) if row["output"] == "valence"]
    assert predictors == ["model", "constant mean", "model", "model", "constant mean", "model"]


def test_folds_without_subjects_have_no_pooled_interval():
    true, logits, _ = random_clips(9)
    report = affect_report(true, true, logits, logits, groups=None)
    assert None not in report["valence"]["confidence_intervals"]["ccc"]
    pooled = folds_table({"a": report, "b": report})[-1]
    assert (pooled["n"], pooled["ccc_low"]) == (2 * report["arousal"]["n"], None)
    assert affect_report(true, true, logits, logits, groups=None, bootstrap=0)["valence"]["confidence_intervals"] == {}


TRUE, LOGITS = np.array([1, 2]), np.zeros((2, 21))


def report_of(true=TRUE, logits=LOGITS, **changes):
    return affect_report(true, TRUE, logits, LOGITS, **({"groups": None} | changes))


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda: bins_to_classes([11]), "from -10 to 10.*Received: int64.*from 11 to 11"),
        (lambda: bins_to_classes([0.5]), "integers.*Received: float64"),
        (lambda: bins_to_classes([np.nan]), "integers.*Received: float64"),
        (lambda: bins_to_classes(["happy"]), "integers.*Received: <U5"),
        (lambda: classes_to_bins([-1]), "from 0 to 20.*Received: "),
        (lambda: values_to_bins([3.0]), r"\[-1, 1\].*Received: values in \[3, 3\]. Divide"),
        (lambda: expected_values(np.zeros((2, 20))), r"21 classes.*Received: shape \(2, 20\)"),
        (lambda: expected_values(np.full(21, np.inf)), "Received: 21 of 21"),
        (lambda: mean_value([UNLABELLED]), r"Received: none in shape \(1,\)"),
        (lambda: value_scores([0.1], [0.1, 0.2]), r"Received: shapes \(1,\) and \(2,\)"),
        (lambda: value_scores([], []), "at least one"),
        (lambda: value_scores([np.nan], [0.0]), "finite"),
        (lambda: value_scores([2.0], [0.0]), r"\[-1, 1\]"),
        (lambda: report_of(true=[1, 2, 3]), r"valence.*Received: labels of shape \(3,\), logits of shape \(2, 21\)"),
        (lambda: report_of(true=[UNLABELLED] * 2), r"a label of valence.*Received: none in shape \(2,\)"),
        (lambda: report_of(groups=["a"]), r"each of the 2 examples.*Received: ids of shape \(1,\)"),
        (lambda: report_of(clips=["a"]), r"Received: ids of shape \(1,\)"),
        (lambda: report_of(bootstrap=-1), "Received: bootstrap=-1"),
        (lambda: folds_table({}), "Received: 0 reports"),
    ],
)
def test_mistakes_are_told(mistake, message):
    with pytest.raises(InputError, match=message):
        mistake()
