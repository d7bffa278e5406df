"""What is tried: recipes that differ in a few values, each with a run folder of its own, and the folder of them all."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferkeras.errors import InputError
from ferkeras.files import write_atomically
from ferkeras.recipe import Recipe, override, resolve

_LONGEST_NAME = 100


@dataclass(frozen=True)
class Trial:
    """One combination: the name of its run folder, its value of each key, and the resolved recipe."""

    name: str
    values: dict[str, str]
    recipe: Recipe


def make_trials(recipe: Recipe, grid: Mapping[str, Sequence[str]]) -> list[Trial]:
    """All combinations, in the order of scikit-learn's `ParameterGrid`, each recipe overridden and checked.

    Raises:
        InputError: for an unknown key, a value that a recipe refuses, or two combinations that are one recipe.
    """
    from sklearn.model_selection import ParameterGrid

    points = list(ParameterGrid({key: list(values) for key, values in grid.items()}))
    trials: list[Trial] = []
    for number, values in enumerate(points, start=1):
        trial = make_trial(recipe, values, number=number, digits=len(str(len(points))))
        for other in trials:
            if other.recipe == trial.recipe:
                raise InputError(
                    "Two combinations of the grid are the same recipe", received=f"{other.values}, {values}"
                )
        trials.append(trial)
    return trials


def make_trial(recipe: Recipe, values: Mapping[str, str], *, number: int, digits: int) -> Trial:
    """`recipe` with `values`, under a name that begins with `number`; `InputError` where the recipe refuses one."""
    changed = resolve(override(recipe, [f"{key}={value}" for key, value in values.items()]))
    name = f"{number:0{digits}d}_" + ",".join(_brief(key, value) for key, value in values.items())
    return Trial(name[:_LONGEST_NAME], dict(values), changed)


def _brief(key: str, value: str) -> str:
    """`optimizer.learning_rate`, `1e-3` -> `learning_rate=1e-3`, without what file names should not hold."""
    return f"{key.rpartition('.')[2]}={re.sub(r'[^A-Za-z0-9.+-]+', '_', value).strip('_')}"


def check_trials(trials: Sequence[Trial], *, data_dir: Path | None, manual_dir: Path | None) -> None:
    """Opens the data and builds the network of every trial, each kind once: a mistake in the last one shows now."""
    import keras

    from ferkeras.training.loop import make_model
    from ferkeras.training.task import open_examples

    seen = []
    for recipe in (trial.recipe for trial in trials):
        if (recipe.model, recipe.data) in seen:
            continue
        seen.append((recipe.model, recipe.data))
        data = open_examples(recipe, data_dir=data_dir, manual_dir=manual_dir)
        for split in (recipe.data.train, recipe.data.validation):
            data.size(split)
        make_model(recipe, data, pretrained=False)
        keras.utils.clear_session()


def claim(folder: Path, record: Mapping[str, Any], *, kind: str) -> None:
    """Writes `record` to `<kind>.json`, by which `folder` is this grid's, or this search's, from then on.

    Raises:
        InputError: for a folder that holds another one, or something else.
    """
    path = folder / f"{kind}.json"
    text = json.dumps(record, indent=2, sort_keys=True) + "\n"
    if path.exists():
        if path.read_text(encoding="utf-8") != text:
            raise InputError(f"The folder holds another {kind}", received=str(folder), action="Choose another --name.")
    elif folder.exists() and any(folder.iterdir()):
        raise InputError("The folder holds something else", received=str(folder), action="Choose another --name.")
    else:
        write_atomically(path, text)
