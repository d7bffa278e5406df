"""The report of valence and arousal with intervals and baseline, and the table of the folds of a cross-validation."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ferkeras.affect_metrics import SCORES, SUMS, intervals, labelled, logit_sums, plain_scores, value_sums
from ferkeras.errors import InputError
from ferkeras.labels import UNLABELLED
from ferkeras.valence_arousal import BINS, bins_to_values, classes_to_bins

OUTPUTS = ("valence", "arousal")
#: Stands in `sums` for all examples, where there are no subjects.
EVERYBODY = "*"


def affect_report(
    valence_true: ArrayLike,
    arousal_true: ArrayLike,
    valence_logits: ArrayLike,
    arousal_logits: ArrayLike,
    *,
    groups: ArrayLike | None,
    clips: ArrayLike | None = None,
    training_means: Mapping[str, float] | None = None,
    bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of valence and arousal, all labels together, with 95 % intervals and those of a constant beside them.

    The scores are defined in `ferkeras.affect_metrics`.

    Args:
        valence_true, arousal_true: (N,) or (N, T) integer bins -10 to 10; `UNLABELLED` ones are left out, each output
            for itself.
        valence_logits, arousal_logits: (N, 21) or (N, T, 21).
        groups: (N,) subject ids: the bootstrap draws subjects, whose examples are not independent. With None it draws
            single labels, which makes the intervals of frames far too narrow.
        clips: (N,) clip ids, for the scores of each clip.
        training_means: The mean label of the training split under `valence` and `arousal`, in [-1, 1], as
            `ferkeras.valence_arousal.mean_value` gives it, for the constant-mean baseline.
        bootstrap: Number of resamples; 0 for no intervals.
        seed: Of the bootstrap.

    Returns:
        A dict that `json.dumps` takes, without NaN: `mean_ccc`, the mean of both outputs, and under `valence` and
        `arousal` each: `n`, the number of labels; the scores; `zeros`, the share of labels of 0, which bounds `sagr` at
        about 1 - `zeros`; `confidence_intervals` {score: [low, high]}, None with fewer than two groups; `baseline`,
        `n` and scores of the training mean as the prediction, None without it; `confusion_matrix`, 21 rows (true) of
        21 counts; `per_clip` {clip: `n` and scores} where `clips` are given; `sums`, what `folds_table` pools.

    Raises:
        InputError: Arrays of the wrong shape or range, or an output without any label.
    """
    if bootstrap < 0:
        raise InputError("`bootstrap` must be a number of resamples of at least 0", received=f"{bootstrap=}")
    outputs = {}
    given = zip(OUTPUTS, (valence_true, arousal_true), (valence_logits, arousal_logits), strict=True)
    for name, true, logits in given:
        labels, z = labelled(true, logits, name=name)
        known = labels != UNLABELLED
        examples = logit_sums(labels, z)
        subjects = {EVERYBODY: examples[known].sum(axis=0)} if groups is None else _by_id(examples, groups)
        constant = None if training_means is None else _constant_sums(labels[known], training_means[name])
        outputs[name] = _summary(
            examples[known] if groups is None else np.stack(list(subjects.values())),
            constant,
            bootstrap=bootstrap,
            seed=seed,
        )
        cells = labels[known] * BINS + z[known].argmax(axis=-1)
        outputs[name]["confusion_matrix"] = np.bincount(cells, minlength=BINS**2).reshape(BINS, BINS).tolist()
        if clips is not None:
            outputs[name]["per_clip"] = {clip: plain_scores(sums) for clip, sums in _by_id(examples, clips).items()}
        outputs[name]["sums"] = {subject: sums.tolist() for subject, sums in subjects.items()}
    return {"mean_ccc": sum(output["ccc"] for output in outputs.values()) / len(OUTPUTS), **outputs}


def folds_table(
    reports: Mapping[str, Mapping[str, Any]], *, bootstrap: int = 1000, seed: int = 0
) -> list[dict[str, Any]]:
    """Rows for `folds.csv`: each fold and then all of them pooled, each output, the model and the baseline.

    The pooled scores are those of all labels of all folds together, not a mean over folds; so are those of the
    baseline, although each fold brings its own constant (why its pooled CCC can differ from 0). The pooled bootstrap
    draws from the subjects of all folds; one who occurs in several is one subject.

    Args:
        reports: {fold: what `affect_report` returned}, in the order of the rows.
        bootstrap, seed: Of the pooled intervals; those of a fold are in its report.

    Returns:
        Dicts of the same keys: `fold`, with "pooled" last; `output`; `predictor`, "model" or "constant mean", the
        latter where the report has it, and in the pooled rows if all have; `n`; each of `SCORES`; `<score>_low` and
        `<score>_high`, None where there is no interval.

    Raises:
        InputError: No report.
    """
    if not reports:
        raise InputError("There must be the report of at least one fold", received=f"{len(reports)} reports")
    pooled = {
        output: _pooled([report[output] for report in reports.values()], bootstrap=bootstrap, seed=seed)
        for output in OUTPUTS
    }
    return [
        _row(fold, output, predictor, scores)
        for fold, report in [*reports.items(), ("pooled", pooled)]
        for output in OUTPUTS
        for predictor, scores in (("model", report[output]), ("constant mean", report[output]["baseline"]))
        if scores is not None
    ]


def _summary(
    units: NDArray[np.float64], constant: NDArray[np.float64] | None, *, bootstrap: int, seed: int
) -> dict[str, Any]:
    """Scores, intervals and baseline from the sums (G, S) of G subjects or examples, and those (S,) of a constant."""
    total = units.sum(axis=0)
    return {
        **plain_scores(total),
        "zeros": float(total[SUMS.index("zeros")] / total[SUMS.index("n")]),
        "confidence_intervals": intervals(units, bootstrap=bootstrap, seed=seed) if bootstrap else {},
        "baseline": None if constant is None else {**plain_scores(constant), "sums": constant.tolist()},
    }


def _pooled(parts: Sequence[Mapping[str, Any]], *, bootstrap: int, seed: int) -> dict[str, Any]:
    """The summary of one output over several reports."""
    subjects: dict[str, NDArray[np.float64]] = {}
    for part in parts:
        for subject, sums in part["sums"].items():
            subjects[subject] = subjects.get(subject, 0) + np.array(sums)
    constants = [part["baseline"]["sums"] for part in parts if part["baseline"]]
    constant = np.sum(constants, axis=0) if len(constants) == len(parts) else None
    units = np.stack([subjects[name] for name in sorted(subjects)])  # the order in which a report has them
    return _summary(units, constant, bootstrap=bootstrap, seed=seed)


def _row(fold: str, output: str, predictor: str, scores: Mapping[str, Any]) -> dict[str, Any]:
    row = {"fold": fold, "output": output, "predictor": predictor, "n": scores["n"]}
    row |= {score: scores[score] for score in SCORES}
    for score in SCORES:
        limits = scores.get("confidence_intervals", {}).get(score, [None, None])
        row[f"{score}_low"], row[f"{score}_high"] = limits
    return row


def _constant_sums(labels: NDArray[Any], mean: float) -> NDArray[np.float64]:
    """(S,) sums of the prediction `mean`, in [-1, 1], for classes (M,)."""
    true = bins_to_values(classes_to_bins(labels))
    return value_sums(true, np.full_like(true, mean)).sum(axis=0)


def _by_id(examples: NDArray[np.float64], ids: ArrayLike) -> dict[str, NDArray[np.float64]]:
    """{id: sums (S,)} in sorted order of sums (N, S) or (N, T, S) and ids (N,); the ids without a label left out."""
    given = np.asarray(ids)
    if given.shape != examples.shape[:1]:
        raise InputError(
            f"Subjects and clips must be one id for each of the {len(examples)} examples",
            received=f"ids of shape {given.shape}",
        )
    names, index = np.unique(given, return_inverse=True)
    totals = np.zeros((len(names), len(SUMS)))
    np.add.at(totals, index, examples.reshape(len(examples), -1, len(SUMS)).sum(axis=1))
    return {
        name.decode() if isinstance(name, bytes) else str(name): sums
        for name, sums in zip(names, totals, strict=True)
        if sums[SUMS.index("n")]
    }
