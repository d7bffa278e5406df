"""Several networks on the same people: the score of each, and whether its distance from one of them is more than luck.

The bootstrap draws the same subjects for every network, as their scores rise and fall together with who is drawn; the
interval of a difference is therefore narrower than two intervals side by side suggest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ferkeras.affect_metrics import labelled, logit_sums, scores_of
from ferkeras.affect_report import OUTPUTS
from ferkeras.errors import InputError
from ferkeras.evaluation import Predictions

HEAD = ("network", "n", "score", "95 % interval", "difference", "95 % interval")
Limits = tuple[float | None, float | None]


@dataclass(frozen=True)
class Score:
    """One line of a comparison.

    Attributes:
        name: Of the network.
        n: Labels that are counted.
        score: Accuracy of emotions, or mean CCC of valence and arousal.
        interval: 95 % interval of the score, None with fewer than two subjects.
        difference: The score less that of the network that all are held against.
        difference_interval: 95 % interval of the difference; the difference is more than luck where 0 is outside.
    """

    name: str
    n: int
    score: float
    interval: Limits
    difference: float
    difference_interval: Limits


def compare(
    found: Mapping[str, Predictions], *, against: str, bootstrap: int = 1000, seed: int = 0
) -> tuple[str, list[Score]]:
    """What is compared, `accuracy` or `mean_ccc`, and a line for each network, in the order given.

    Networks may differ in the examples that they take, such as frames and clips, as long as they are of the same
    people: paired are subjects. Without subjects, the examples are paired, and must be the same.

    Args:
        found: Name -> its predictions, see `ferkeras.evaluation.collect`.
        against: The name that the differences are to.
        bootstrap: Resamples (percentile bootstrap, Efron, 1979).
        seed: Of the bootstrap.

    Raises:
        InputError: for networks of emotions beside some of valence and arousal, or on other people or examples.
    """
    kinds = {name: bool(predictions.class_names) for name, predictions in found.items()}
    if len(set(kinds.values())) > 1:
        emotions = ", ".join(name for name, of_emotion in kinds.items() if of_emotion)
        raise InputError(
            "Either all networks tell emotions or all tell valence and arousal",
            received=f"emotions from {emotions} alone",
            action="Compare the others apart.",
        )
    sums = {name: _sums_by_unit(predictions) for name, predictions in found.items()}
    units = list(sums[against])
    for name, by_unit in sums.items():
        if list(by_unit) != units:
            raise InputError(
                "Networks are compared on the same people, or where none are named on the same examples",
                received=f"{len(by_unit)} of {name}, and {len(units)} of {against}, that are not the same",
                action="Choose the same data set and split.",
            )
    of_emotion = kinds[against]
    draws = np.random.default_rng(seed).multinomial(len(units), np.full(len(units), 1 / len(units)), size=bootstrap)
    totals = {name: np.stack([*by_unit.values()]) for name, by_unit in sums.items()}
    scores = {name: _scores(total.sum(axis=0)[None], of_emotion)[0] for name, total in totals.items()}
    drawn = {name: _scores(np.tensordot(draws, total, axes=1), of_emotion) for name, total in totals.items()}
    lines = [
        Score(
            name,
            int(totals[name][..., 0].sum() / len(totals[name][0])),
            float(scores[name]),
            _limits(drawn[name], len(units)),
            float(scores[name] - scores[against]),
            _limits(drawn[name] - drawn[against], len(units)),
        )
        for name in found
    ]
    return ("accuracy" if of_emotion else "mean_ccc"), lines


def _sums_by_unit(found: Predictions) -> dict[str, np.ndarray]:
    """Subject, or number of the example, in sorted order -> sums (H, S) of its labels for each of H heads.

    Of emotions S is (n, hits); of valence and arousal it is `ferkeras.affect_metrics.SUMS`.
    """
    if found.class_names:
        hits = found.logits["emotion"].argmax(axis=-1) == found.labels["emotion"]
        examples = np.stack([np.ones(len(hits)), hits], axis=-1)[:, None]
    else:
        sums = [logit_sums(*labelled(found.labels[head], found.logits[head], name=head)) for head in OUTPUTS]
        examples = np.stack([part.reshape(len(part), -1, part.shape[-1]).sum(axis=1) for part in sums], axis=1)
    ids = np.arange(len(examples)) if found.subjects is None else found.subjects
    names, index = np.unique(np.asarray(ids).astype(str), return_inverse=True)
    totals = np.zeros((len(names), *examples.shape[1:]))
    np.add.at(totals, index, examples)
    return {str(name): total for name, total in zip(names, totals, strict=True)}


def _scores(sums: np.ndarray, of_emotion: bool) -> np.ndarray:
    """(R,) accuracy, or mean CCC, of R sets of sums (R, H, S)."""
    if of_emotion:
        return sums[:, 0, 1] / sums[:, 0, 0]
    return np.mean([scores_of(sums[:, head])["ccc"] for head in range(sums.shape[1])], axis=0)


def _limits(values: np.ndarray, units: int) -> Limits:
    if units < 2:
        return None, None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def comparison_rows(lines: Sequence[Score]) -> list[list[str]]:
    """Cells of a table under `HEAD`: network, labels, score, its interval, difference, its interval."""

    def between(limits: Limits, sign: str = "") -> str:
        return "" if limits[0] is None else f"{limits[0]:{sign}.3f} to {limits[1]:{sign}.3f}"

    return [
        [
            line.name,
            str(line.n),
            f"{line.score:.3f}",
            between(line.interval),
            f"{line.difference:+.3f}",
            between(line.difference_interval, "+"),
        ]
        for line in lines
    ]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The lines of a table."""
    return "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])


def as_json(score_name: str, against: str, lines: Sequence[Score]) -> dict[str, object]:
    """The comparison for a file."""
    return {"score": score_name, "against": against, "networks": [asdict(line) for line in lines]}
