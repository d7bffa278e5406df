"""From a recipe to its data: every data set prepared, and the pipeline over them."""

from pathlib import Path
from typing import Any

from ferkeras.data.pipeline import StillPipeline
from ferkeras.data.preparation import prepare
from ferkeras.data.prepared import report
from ferkeras.data.sources import is_prepared
from ferkeras.recipe import Recipe


def open_data(recipe: Recipe, *, data_dir: Path | None = None, manual_dir: Path | None = None) -> StillPipeline:
    """Prepares what is not prepared yet and returns the pipeline of `recipe`.

    Args:
        recipe: Names the data sets.
        data_dir: Where prepared data lies.
        manual_dir: Official files; with several data sets, a folder that has one of the name of each.

    Raises:
        InputError: as `ferkeras.data.preparation.prepare`.
    """
    names = data_sets(recipe)
    made = []
    for name in names:
        own = manual_dir
        if manual_dir is not None and len(names) > 1:
            below = manual_dir / name.partition("/")[0]
            own = below if below.is_dir() else None
        made.append(prepare(name, data_dir=data_dir, manual_dir=own))
    return StillPipeline(made, recipe)


def fingerprints(data: StillPipeline) -> dict[str, Any]:
    """What identifies each split of the data, see `ferkeras.data.report.Fingerprint`.

    Keys are the splits, with several data sets after the name of each: `raf_db/official: train`.
    """
    marks = {}
    for made in data.builders:
        name = "/".join(made.info.full_name.split("/")[:-1])
        for split, mark in report(made).fingerprint.items():
            marks[split if len(data.builders) == 1 else f"{name}: {split}"] = vars(mark)
    return marks


def data_sets(recipe: Recipe) -> list[str]:
    """Names of the data sets that `recipe` uses, the first one first."""
    return [recipe.data.dataset, *(part.dataset for part in recipe.data.parts)]


def all_prepared(recipe: Recipe, *, data_dir: Path | None = None) -> bool:
    """Whether the data of `recipe` can be opened without building anything."""
    return all(is_prepared(name, data_dir=data_dir) for name in data_sets(recipe))
