"""How much of its accuracy a network keeps as pictures get worse: fifteen corruptions in five severities.

Source: Hendrycks & Dietterich, ICLR 2019, see `ferkeras.corruptions`. Deviation: accuracies are averaged as they are,
and not divided by those of a reference network.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ferkeras.corruptions import SEVERITIES, STRENGTHS, check_names, corrupt
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.inference import Runner, evaluation_batch, softmax
from ferkeras.metrics import classification_report

#: What is measured under each corruption.
MEASURED = ("accuracy", "macro_f1", "ece", "nll")


def robustness(
    run: Runner,
    data: StillPipeline | ClipPipeline,
    *,
    split: str,
    names: Sequence[str] = (),
    examples: int | None = None,
    seed: int = 0,
    told: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Measures `run` on the images of `split` as they are, and under each corruption at each severity.

    Images are made worse at the size at which the network takes them. What happens to one depends on the seed and on
    its place in the split alone.

    Args:
        run: Gives emotion logits.
        data: Stills with classes.
        split: What is read.
        names: Keys of `ferkeras.corruptions.STRENGTHS`; none for all of them.
        examples: So many images, the first of a seeded order; None for all.
        seed: Of the corruptions and of that order.
        told: Is called with the number of images that are done, and of all.

    Returns:
        The report of `summarised`, with `dataset`, `split` and `seed` before it.

    Raises:
        InputError: for clips, for valence and arousal, and for an unknown corruption.
    """
    if isinstance(data, ClipPipeline) or not data.class_names:
        raise InputError(
            "Robustness is measured of emotions in still images",
            received="clips" if isinstance(data, ClipPipeline) else "valence and arousal",
            action="Leave --corruptions out, or take a run of stills with classes.",
        )
    kinds = check_names(names)
    total = data.size(split)
    chosen = np.sort(np.random.default_rng(seed).permutation(total)[:examples])
    logits: dict[tuple[str, int], list[np.ndarray]] = {}
    labels: list[np.ndarray] = []
    done = 0
    for images, truth, indices in _chosen_batches(data, split, chosen):
        for key, pictures in corrupted_batches(images, indices, kinds, seed=seed):
            logits.setdefault(key, []).append(np.asarray(run(pictures)["emotion"]))
        labels.append(truth)
        told(done := done + len(truth), len(chosen))
    probabilities = {key: softmax(np.concatenate(parts)) for key, parts in logits.items()}
    report = summarised(probabilities, np.concatenate(labels), data.class_names)
    return {"dataset": data.dataset, "split": split, "seed": seed, **report}


def corrupted_batches(
    images: np.ndarray, indices: Sequence[int] | np.ndarray, names: Sequence[str], *, seed: int
) -> Iterator[tuple[tuple[str, int], np.ndarray]]:
    """(corruption, severity) and images (B, H, W, C) uint8: first ("clean", 0), then all severities of `names`.

    `indices` (B,) are the places of the images in their split.
    """
    yield ("clean", 0), images
    for name in names:
        for severity in range(1, SEVERITIES + 1):
            pairs = zip(images, indices, strict=True)
            worse = [corrupt(image, name, severity=severity, seed=seed, index=int(at)) for image, at in pairs]
            yield (name, severity), np.stack(worse)


def summarised(
    probabilities: Mapping[tuple[str, int], np.ndarray], labels: np.ndarray, class_names: Sequence[str]
) -> dict[str, Any]:
    """The report of what a network says of the same N images, clean and corrupted.

    Args:
        probabilities: (corruption, severity) -> (N, K), and ("clean", 0).
        labels: (N,).
        class_names: (K,).

    Returns:
        `n`; `clean`, by `MEASURED`; `corruptions`, for each `mean_accuracy` over the severities and `severities`, a
        list of five of `severity`, `strength` and `MEASURED`; `mean_corruption_accuracy` over all corruptions;
        `interval`, its 95 % interval by the spread over images, each of which counts with the share of its corrupted
        forms that are named right, and is counted as independent of the others.
    """

    def measured(key: tuple[str, int]) -> dict[str, float]:
        report = classification_report(labels, probabilities[key], class_names, bootstrap=0)
        return {name: report[name] for name in MEASURED}

    names = list(dict.fromkeys(name for name, severity in probabilities if severity))
    corruptions = {}
    for name in names:
        rows = [
            {"severity": severity, "strength": STRENGTHS[name][severity - 1], **measured((name, severity))}
            for severity in range(1, SEVERITIES + 1)
        ]
        corruptions[name] = {"mean_accuracy": float(np.mean([row["accuracy"] for row in rows])), "severities": rows}
    right = np.mean([p.argmax(-1) == labels for (_, severity), p in probabilities.items() if severity], axis=0)
    mean, spread = float(right.mean()), 1.96 * float(right.std()) / np.sqrt(len(right))
    return {
        "n": len(labels),
        "clean": measured(("clean", 0)),
        "corruptions": corruptions,
        "mean_corruption_accuracy": mean,
        "interval": [max(0.0, mean - spread), min(1.0, mean + spread)],
    }


def robustness_table(report: Mapping[str, Any]) -> str:
    """A line for each corruption: the mean accuracy, and that at each severity."""
    low, high = report["interval"]
    lines = [
        f"{report['dataset']}, {report['split']}: {report['n']} images, "
        f"{len(report['corruptions'])} corruptions in {SEVERITIES} severities",
        "",
        f"{'clean':<26}{report['clean']['accuracy']:6.4f}",
        f"{'mean corruption accuracy':<26}{report['mean_corruption_accuracy']:6.4f}"
        f"   95 % interval {low:.4f} to {high:.4f}",
        "",
        f"{'corruption':<26}  mean" + "".join(f"{severity:8}" for severity in range(1, SEVERITIES + 1)),
    ]
    for name, row in report["corruptions"].items():
        severities = "".join(f"  {one['accuracy']:6.4f}" for one in row["severities"])
        lines.append(f"{name:<26}{row['mean_accuracy']:6.4f}{severities}")
    return "\n".join(lines)


def _chosen_batches(
    data: StillPipeline, split: str, chosen: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Images, labels and places in the split of those that are chosen, in reading order."""
    start = 0
    for images, labels in data.evaluation(split, batch_size=evaluation_batch(data)):
        places = start + np.arange(len(images))
        start += len(images)
        if (taken := np.isin(places, chosen)).any():
            yield np.asarray(images)[taken], np.asarray(labels)[taken], places[taken]
