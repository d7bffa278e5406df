"""Cross-validation by subject: every fold is tested once, by a network that has seen none of its subjects.

Each fold in turn is the test part, the one after it (after the last one the first) the validation part, which picks the
epoch, and the others are trained on. `<folder>/` holds `crossvalidation.json` (recipe, and who is in which fold), a run
folder `fold_1`, `fold_2`, ... for each, and once all are tested `folds.csv`, `metrics.json` and `plots/`. What is done
is read from the run folders, so that a cross-validation that was killed goes on where it stopped.

The pooled scores are those of the predictions of all folds taken together, and not a mean over folds, which would be
biased for scores that are no mean over examples. Forman & Scholz, "Apples-to-Apples in Cross-Validation Studies",
SIGKDD Explorations 2010, show it for F1; CCC and kappa are pooled for the same reason.
"""

import csv
import dataclasses
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.recipe import Recipe, resolve
from ferkeras.runs import RunFolder
from ferkeras.training.lock import run_lock

if TYPE_CHECKING:
    from ferkeras.evaluation import Predictions

RECORD = "crossvalidation.json"
DEFAULT_FOLDS = 5
#: Name of the row of all folds together.
POOLED = "pooled"


@dataclass(frozen=True)
class CrossValidation:
    """What came of it.

    Attributes:
        rows: Those of `folds.csv`: with classes one for each fold, with valence and arousal one for each fold, output
            and predictor, as `ferkeras.affect_report.folds_table` gives them; those of all folds pooled come last.
        report: The pooled one, see `ferkeras.evaluation.evaluate`. The constant beside valence and arousal is in each
            fold the mean of what that fold trained on.
    """

    rows: list[dict[str, Any]]
    report: dict[str, Any]


def default_folds(recipe: Recipe) -> int | Path:
    """The number of folds, or the fold file, that `data.train` of the recipe names; 5 where it names none."""
    from ferkeras.data.folds import parse_split

    name = parse_split(recipe.data.train)
    return name.count if name.folds else DEFAULT_FOLDS


def make_folds(recipe: Recipe, folds: int | Path) -> dict[str, Recipe]:
    """Name of the run folder -> recipe of each fold, the lowest one first.

    The folds part the split, or slice of one, of which `data.train` names the whole or a part. Other splits are left
    alone: `data.train=train+validation+test` takes them in.

    Args:
        recipe: What the folds have in common.
        folds: Their number, or a fold file as `ferkeras folds` writes it.

    Raises:
        InputError: for fewer than three folds, a file that is none, or a recipe with several data sets.
    """
    from ferkeras.data.folds import read_folds

    if recipe.data.parts:
        several = ", ".join([recipe.data.dataset, *(part.dataset for part in recipe.data.parts)])
        raise InputError("Cross-validation takes recipes of one data set", received=several)
    numbers = list(range(folds)) if isinstance(folds, int) else sorted(set(read_folds(folds).values()))
    if len(numbers) < 3:
        raise InputError(
            "There must be at least 3 folds: one to test, one to validate, and the others to train",
            received=folds if isinstance(folds, int) else f"{len(numbers)} in {folds}",
        )
    made = {}
    for index, tested in enumerate(numbers):
        validated = numbers[(index + 1) % len(numbers)]
        data = dataclasses.replace(
            recipe.data,
            train=_split(recipe, [number for number in numbers if number not in (tested, validated)], folds),
            validation=_split(recipe, [validated], folds),
            test=_split(recipe, [tested], folds),
        )
        made[f"fold_{index + 1}"] = resolve(dataclasses.replace(recipe, data=data))
    return made


def _split(recipe: Recipe, numbers: Sequence[int], folds: int | Path) -> str:
    """The name of these folds of the split that `data.train` is made of."""
    from ferkeras.data.folds import parse_split

    name = f"{parse_split(recipe.data.train).base}@{','.join(map(str, numbers))}/{folds}"
    parse_split(name)  # refuses a path that does not end in .json
    return name


def is_begun(folder: Path) -> bool:
    """Whether a fold has been begun in `folder`."""
    return (folder / "fold_1" / "recipe.json").exists()


def cross_validate(
    recipe: Recipe, folds: int | Path, folder: Path, *, data_dir: Path | None = None, manual_dir: Path | None = None
) -> CrossValidation:
    """Trains and tests every fold that is not finished yet, and scores the predictions of all of them together.

    An interrupted fold goes on from its last epoch. `metrics.json`, plots and card of each fold's run are of its test
    part.

    Args:
        recipe, folds: See `make_folds`.
        folder: Of the cross-validation; it is made, or holds this one already.
        data_dir: Where prepared data lies.
        manual_dir: Where the official files lie, for data that is not prepared yet.

    Raises:
        InputError: before anything is written, for a data set without subjects, more folds than subjects, a fold
            without examples, a subject in two folds, or a folder that holds something else, or in which another
            process is at work; later as `ferkeras.training.loop.run`.
    """
    recipes = make_folds(recipe, folds)
    people = _people(recipes, folds, data_dir=data_dir, manual_dir=manual_dir)
    with run_lock(folder):
        _claim(folder, recipe, recipes, people)
        return _cross_validate(recipe, folds, recipes, folder, data_dir=data_dir, manual_dir=manual_dir)


def _cross_validate(
    recipe: Recipe,
    folds: int | Path,
    recipes: Mapping[str, Recipe],
    folder: Path,
    *,
    data_dir: Path | None,
    manual_dir: Path | None,
) -> CrossValidation:
    found: dict[str, Predictions] = {}
    reports: dict[str, dict[str, Any]] = {}
    for name, own in recipes.items():
        print(f"{name} of {len(recipes)}, test on {own.data.test}", file=sys.stderr, flush=True)
        found[name], reports[name] = _run_fold(own, folder / name, data_dir=data_dir, manual_dir=manual_dir)

    from ferkeras.affect_report import folds_table
    from ferkeras.data.folds import parse_split
    from ferkeras.evaluation import measure, write_plots

    numbers = [number for own in recipes.values() for number in parse_split(own.data.test).folds]
    pooled = _joined(found, split=_split(recipe, numbers, folds))
    report = measure(pooled, seed=recipe.seed)
    if pooled.class_names:
        rows = _emotion_rows({**reports, POOLED: report})
    else:
        rows = folds_table(reports, seed=recipe.seed)
        _add_constants(report, rows)
    subjects = {name: _subjects(part) for name, part in {**found, POOLED: pooled}.items()}
    rows = [{"fold": row["fold"], "subjects": subjects[row["fold"]], **row} for row in rows]
    whole = RunFolder(folder)
    whole.write_json("metrics.json", report)
    write_plots(whole, report, pooled)
    _write_rows(folder / "folds.csv", rows)
    return CrossValidation(rows, report)


def _people(
    recipes: Mapping[str, Recipe], folds: int | Path, *, data_dir: Path | None, manual_dir: Path | None
) -> dict[str, list[str]]:
    """The subjects of each fold, sorted; nobody is in two, and every fold has examples to test on."""
    from ferkeras.data.columns import read_column
    from ferkeras.data.folds import in_folds, parse_split
    from ferkeras.training.task import open_examples

    first = recipes["fold_1"]
    data = open_examples(first, data_dir=data_dir, manual_dir=manual_dir)
    (made,) = data.builders
    for feature in ("subject", first.data.group):
        if feature not in made.info.features:
            raise InputError(
                f"{data.dataset} has no feature {feature}",
                received=f"features {', '.join(made.info.features)}",
                action="Folds by subject need a data set that names the subject of each example.",
            )
    base = parse_split(first.data.train).base
    subjects, groups = (read_column(made, base, feature) for feature in ("subject", first.data.group))
    count = len(np.unique(groups))
    if isinstance(folds, int) and count < folds:
        received = f"{folds} folds, {count} different values of {first.data.group} in {base}"
        raise InputError(f"{data.dataset} cannot be parted into so many folds", received=received)

    fold_of: dict[str, str] = {}
    people: dict[str, list[str]] = {}
    for name, recipe in recipes.items():
        inside = in_folds(parse_split(recipe.data.test), groups)
        people[name] = [subject.decode() for subject in np.unique(subjects[inside])]
        for subject in people[name]:
            if subject in fold_of:
                received = f"{subject} in {fold_of[subject]} and {name}"
                action = "Keep subjects whole with --set data.group=subject."
                raise InputError("A subject stands in two folds", received=received, action=action)
            fold_of[subject] = name
        data.size(recipe.data.test)  # raises if the recipe uses none of these examples
    return people


def _claim(folder: Path, recipe: Recipe, recipes: Mapping[str, Recipe], people: Mapping[str, Sequence[str]]) -> None:
    """Writes the record, by which the folder is this cross-validation's once a fold has been begun."""
    folds = {
        name: {role: getattr(own.data, role) for role in ("train", "validation", "test")} | {"subjects": people[name]}
        for name, own in recipes.items()
    }
    record = {"recipe": dataclasses.asdict(recipe), "folds": folds}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    path = folder / RECORD
    if is_begun(folder):
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            raise InputError(
                "The folder holds another cross-validation: of another recipe, or with other subjects in the folds",
                received=str(folder),
                action="Repeat the words that it was begun with, or choose another --name.",
            )
    elif folder.exists() and [entry for entry in folder.iterdir() if entry != path]:
        raise InputError("The folder holds something else", received=str(folder), action="Choose another --name.")
    else:
        write_atomically(path, text)


def _run_fold(
    recipe: Recipe, path: Path, *, data_dir: Path | None, manual_dir: Path | None
) -> tuple["Predictions", dict[str, Any]]:
    """Trains a fold to its end, unless that has been done, and measures it on its test part."""
    import keras

    from ferkeras.evaluation import collect, measure, write_plots
    from ferkeras.inference import keras_runner
    from ferkeras.modelcard import write_model_card
    from ferkeras.training.finish import finish
    from ferkeras.training.loop import run
    from ferkeras.training.task import open_examples

    keras.utils.clear_session()  # frees the fold before
    folder = RunFolder(path)
    with run_lock(path):
        if not folder.is_finished():
            finish(run(recipe, path, data_dir=data_dir, manual_dir=manual_dir, resume=True), data_dir=data_dir)
    data = open_examples(recipe, data_dir=data_dir)
    found = collect(keras_runner(folder.load_model()), data, split=recipe.data.test)
    report = measure(found, seed=recipe.seed, training_means=folder.environment().get("training_means"))
    report["artifact"] = "keras"
    folder.write_json("metrics.json", report)
    write_plots(folder, report, found)
    write_model_card(folder, report)
    return found, report


def _joined(parts: Mapping[str, "Predictions"], *, split: str) -> "Predictions":
    """The predictions of all folds, one after another, as if of one split."""
    first, *_ = parts.values()
    return dataclasses.replace(
        first,
        about={**first.about, "split": split},
        logits={head: np.concatenate([part.logits[head] for part in parts.values()]) for head in first.logits},
        labels={head: np.concatenate([part.labels[head] for part in parts.values()]) for head in first.labels},
        subjects=np.concatenate([part.subjects for part in parts.values() if part.subjects is not None]),
    )


def _subjects(found: "Predictions") -> int:
    """How many subjects there are among the examples; 0 where they are not named."""
    return 0 if found.subjects is None else len(np.unique(found.subjects))


def _emotion_rows(reports: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each report of classes: scores, and the limits of their intervals."""
    from ferkeras.metrics import INTERVAL_METRICS, SCORES

    rows = []
    for fold, report in reports.items():
        row = {"fold": fold, **{name: report[name] for name in ("n", *SCORES, "ece", "nll")}}
        for name in INTERVAL_METRICS:
            row[f"{name}_low"], row[f"{name}_high"] = report["confidence_intervals"][name]
        rows.append(row)
    return rows


def _add_constants(report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> None:
    """Puts the pooled scores of the constants, which differ from fold to fold, into the pooled report."""
    from ferkeras.affect_metrics import SCORES

    for row in rows:
        if (row["fold"], row["predictor"]) == (POOLED, "constant mean"):
            report[row["output"]]["baseline"] = {name: row[name] for name in ("n", *SCORES)}


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())
