"""The model card of a run folder (Mitchell et al., 2019): purpose, data, results per class, limits."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from ferkeras.calibration import model_hash, read_calibration
from ferkeras.files import write_atomically
from ferkeras.runs import RunFolder

#: Terms of the data, by data set name; the weights inherit them.
DATA_TERMS: dict[str, str] = {
    "synthetic_faces": "Generated drawings, no person's data.",
    "fer2013": (
        "Kaggle, ICML 2013 challenge; no explicit licence, research use by custom. Pictures from the web without "
        "subject ids: a person may stand in several splits, and exact duplicates do."
    ),
}

#: The first line of a card whose network has seen drawings alone.
DEMONSTRATION = "\n**A demonstration**: it was trained on generated drawings and is of no use on photographs.\n"

#: What `ferkeras ship` says of a run that is passed on.
SHIPPING_FILE = "shipping.json"

#: What every card says.
LIMITS = """\
* A face's expression is not the person's feeling. The output names what observers would call the picture.
* Accuracy differs by age, sex, skin tone, head pose and picture quality; the training data is not balanced in these,
  and no per-group result is given where the data names no groups.
* Do not use it for decisions about people: hiring, policing, insurance, medical diagnosis, lie detection.
* In the European Union, inferring emotions of people at work or in education is prohibited (Regulation (EU) 2024/1689,
  article 5(1)(f)), and other emotion recognition carries duties of transparency (article 50)."""


def write_model_card(folder: RunFolder, report: Mapping[str, Any]) -> None:
    """Writes `README.md` of the run from its recipe, environment and `report`, and from `calibration.json`,
    `robustness.json` and `shipping.json` where they are there and of this very network."""
    recipe, environment = folder.recipe(), folder.environment()
    preprocessing = folder.preprocessing()
    name = recipe.data.dataset.partition("/")[0]
    splits = "\n".join(
        f"| {split} | {mark['count']} | `{mark['sha256'][:16]}` |" for split, mark in environment["data"].items()
    )
    colour = "grey" if preprocessing["channels"] == 1 else "RGB"
    frames = preprocessing.get("frames")
    size = f"{preprocessing['height']}x{preprocessing['width']} pixels"
    shown = f"one upright, tightly cropped face of {size}"
    if frames:
        stride = preprocessing["stride"]
        between = "successive frames" if stride == 1 else f"frames, {stride} frames of the video apart,"
        shown = f"{frames} {between} of {shown}"
    unit = "clips" if frames else "images"
    of_emotion = "per_class" in report
    count = f"{report['n']} {unit}" if of_emotion else f"{report['valence']['n']} labels"
    output = ", ".join(folder.labels()) if of_emotion else "21 bins from -1 to 1 for valence and for arousal"
    taught = ""
    if recipe.distill is not None and recipe.distill.weight > 0:
        names = [f"`{PurePath(teacher).name}`" for teacher in recipe.distill.teachers]
        taught = f", distilled from {', '.join(names)},"
    text = f"""\
# {folder.path.resolve().name}
{DEMONSTRATION if name == "synthetic_faces" else ""}
`{recipe.model.name}` trained on `{recipe.data.dataset}`{taught} by ferkeras, recipe in `recipe.json`,
seed {recipe.seed}.

## Intended use

Research on facial expressions, teaching, and products in which the person in the picture wants it and knows of it.
Input: {shown},
{colour}, values 0 to 255; other sizes are scaled. Output: logits of
{output}.

## Data

{DATA_TERMS.get(name, "See the README of the data set's builder for its terms.")}

| split | {unit} | sha256 |
|---|---|---|
{splits}

## Results

{report["dataset"]}, split `{report["split"]}`, {count}, test-time augmentation {report["tta"]}:
{_emotion_results(report) if of_emotion else _affect_results(report)}
{_calibration(folder)}{_artifacts(report)}{_robustness(folder)}{shipping_note(folder)}
The epoch was chosen on `{recipe.data.validation}`. All numbers: `metrics.json`.

## Limits

{LIMITS}
"""
    write_atomically(folder.path / "README.md", text)


def _emotion_results(report: Mapping[str, Any]) -> str:
    low, high = report["confidence_intervals"]["accuracy"]
    interval = f", 95 % interval {low:.4f} to {high:.4f}" if low is not None else ""
    classes = "\n".join(
        f"| {label} | {_cell(row['precision'])} | {_cell(row['recall'])} | {_cell(row['f1'])} | {row['support']} |"
        for label, row in report["per_class"].items()
    )
    return f"""\
accuracy {report["accuracy"]:.4f}{interval}, macro F1 {_cell(report["macro_f1"])}, kappa {_cell(report["kappa"])},
calibration error {report["ece"]:.4f}.

| class | precision | recall | F1 | support |
|---|---|---|---|---|
{classes}

![confusion matrix](plots/confusion_matrix.png)"""


def _calibration(folder: RunFolder) -> str:
    told = read_calibration(folder)
    if told is None:
        return ""
    before, after = told["before"], told["after"]
    return f"""
Calibrated by temperature scaling on `{told["dataset"]}`, split `{told["split"]}`, {told["n"]} examples: the logits
were divided by {told["temperature"]:.4f}, which is in the weights. Calibration error there {before["ece"]:.4f} before
and {after["ece"]:.4f} after, negative log-likelihood {before["nll"]:.4f} and {after["nll"]:.4f}.
"""


def _artifacts(report: Mapping[str, Any]) -> str:
    """What the LiteRT files lose against the network, on the examples of the results above."""
    artifacts = report.get("artifacts")
    if not artifacts:
        return ""
    names = list(next(iter(artifacts.values()))["scores"])
    rows = []
    for file, row in artifacts.items():
        scores = [f"{row['scores'][name]:.4f} ({row['differences'][name]:+.4f})" for name in names]
        cells = [f"`{file}`", f"{row['bytes'] / 1e6:.2f}", *scores, f"{row['same_label']:.4f}"]
        rows.append(f"| {' | '.join(cells)} |")
    table = "\n".join(rows)
    return f"""
The LiteRT files on the same examples, in brackets the difference to `model.keras`:

| file | MB | {" | ".join(name.replace("_", " ") for name in names)} | same label |
|---|---|{"---|" * len(names)}---|
{table}
"""


def _robustness(folder: RunFolder) -> str:
    path = folder.path / "robustness.json"
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if told is None or told["model"] != model_hash(folder):
        return ""
    low, high = told["interval"]
    rows = []
    for name, row in told["corruptions"].items():
        cells = [row["mean_accuracy"], *(one["accuracy"] for one in row["severities"])]
        rows.append(f"| {' | '.join([name.replace('_', ' '), *map(_cell, cells)])} |")
    table = "\n".join(rows)
    return f"""
Under corruption, `{told["dataset"]}`, split `{told["split"]}`, {told["n"]} images, test-time augmentation
{told["tta"]}: accuracy {told["clean"]["accuracy"]:.4f} of clean images, {told["mean_corruption_accuracy"]:.4f} in the
mean over {len(told["corruptions"])} corruptions, 95 % interval {low:.4f} to {high:.4f}.

| corruption | mean | severity 1 | 2 | 3 | 4 | 5 |
|---|---|---|---|---|---|---|
{table}
"""


def shipping_note(folder: RunFolder) -> str:
    """That the weights are stored in float16 and what that changed; empty for a run whose weights are not."""
    path = folder.path / SHIPPING_FILE
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if told is None or told["weights"] != "float16" or told["model"] != model_hash(folder):
        return ""
    before, after = (told["bytes"][when] / 1e6 for when in ("before", "after"))
    changed = "What that changes was not measured."
    if measured := told["measured"]:
        changed = (
            f"On `{measured['dataset']}`, split `{measured['split']}`, {measured['n']} examples:\n"
            f"{measured['score'].replace('_', ' ')} {measured['before']:.4f} before and {measured['after']:.4f} after, "
            f"the same label for {measured['same_label']:.4f} of them."
        )
    metrics = folder.path / "metrics.json"
    if metrics.is_file() and hashlib.sha256(metrics.read_bytes()).hexdigest() == told["metrics"]:
        changed += " All other numbers\nof this card were measured before."
    return f"""
The kernels are stored in float16 and loaded as float32: {after:.2f} MB in the place of {before:.2f}.
{changed}
"""


def _affect_results(report: Mapping[str, Any]) -> str:
    """CCC, RMSE and the like of both outputs, each with the constant that a network must beat."""
    rows = []
    for head in ("valence", "arousal"):
        rows.append(_affect_row(head, report[head]))
        if report[head]["baseline"]:
            rows.append(_affect_row(f"{head}, constant", report[head]["baseline"]))
    table = "\n".join(rows)
    return f"""\
mean CCC {report["mean_ccc"]:.4f}. Values lie in [-1, 1]; the constant is the mean of the training split.

| output | labels | CCC | 95 % interval | Pearson | RMSE | SAGR | 21 classes | within one |
|---|---|---|---|---|---|---|---|---|
{table}

![valence and arousal](plots/valence_arousal.png)"""


def _affect_row(name: str, scores: Mapping[str, Any]) -> str:
    low, high = scores.get("confidence_intervals", {}).get("ccc", [None, None])
    interval = f"{low:.4f} to {high:.4f}" if low is not None else ""
    others = [_cell(scores[score]) for score in ("pearson", "rmse", "sagr", "accuracy", "within_one")]
    return f"| {' | '.join([name, str(scores['n']), _cell(scores['ccc']), interval, *others])} |"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
