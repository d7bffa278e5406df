"""From a recipe to its data: every data set prepared, and the pipeline over them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.frame_pipeline import FramePipeline
from ferkeras.data.pipeline import Pipeline, StillPipeline
from ferkeras.data.preparation import prepare
from ferkeras.data.prepared import report
from ferkeras.data.sources import builder, is_prepared
from ferkeras.errors import InputError
from ferkeras.recipe import Recipe

if TYPE_CHECKING:
    import tensorflow_datasets as tfds


def open_data(recipe: Recipe, *, data_dir: Path | None = None, manual_dir: Path | None = None) -> StillPipeline:
    """Prepares what is not prepared yet and returns the pipeline of a recipe for stills.

    Args:
        recipe: Names the data sets.
        data_dir: Where prepared data lies.
        manual_dir: Official files; with several data sets, a folder that has one of the name of each.

    Raises:
        InputError: as `ferkeras.data.preparation.prepare`, and for a data set of clips without `data.frame_stride`.
    """
    if recipe.data.frame_stride is not None:
        return FramePipeline(_prepare_all(recipe, data_dir, manual_dir, feature="frames", kind="clips"), recipe)
    return StillPipeline(_prepare_all(recipe, data_dir, manual_dir, feature="image", kind="stills"), recipe)


def open_clips(recipe: Recipe, *, data_dir: Path | None = None, manual_dir: Path | None = None) -> ClipPipeline:
    """The same for a recipe for clips, of which `data.clips` says how they are cut."""
    if recipe.data.frame_stride is not None:
        raise InputError("data.frame_stride must be none with data.clips", received=recipe.data.frame_stride)
    return ClipPipeline(_prepare_all(recipe, data_dir, manual_dir, feature="frames", kind="clips"), recipe)


def _prepare_all(
    recipe: Recipe, data_dir: Path | None, manual_dir: Path | None, *, feature: str, kind: str
) -> "list[tfds.core.DatasetBuilder]":
    official = {name: manual_dir for name in data_sets(recipe)}
    if len(official) > 1:
        official = {name: _below(manual_dir, name) for name in official}
        # All of them at once, and before the first is prepared, which may take hours.
        missing = [name for name, own in official.items() if own is None and _is_wanted(name, data_dir)]
        if missing:
            raise InputError(
                "Data sets of the recipe are not prepared and have no official files",
                received=", ".join(missing),
                action="Name by --manual-dir a folder that has one of the name of each, such as fer_plus.",
            )
    prepared = {}
    for name, own in official.items():
        made = prepare(name, data_dir=data_dir, manual_dir=own)
        if feature not in made.info.features:
            raise InputError(f"{name} is no data set of {kind}", received=f"features {', '.join(made.info.features)}")
        prepared[name] = made
    return [prepared[name] for name in data_sets(recipe)]


def _below(manual_dir: Path | None, name: str) -> Path | None:
    folder = manual_dir / name.partition("/")[0] if manual_dir is not None else None
    return folder if folder is not None and folder.is_dir() else None


def _is_wanted(name: str, data_dir: Path | None) -> bool:
    return not is_prepared(name, data_dir=data_dir) and bool(
        builder(name, data_dir=data_dir).MANUAL_DOWNLOAD_INSTRUCTIONS
    )


def fingerprints(data: Pipeline) -> dict[str, Any]:
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
