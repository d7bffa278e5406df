"""Recipes: durations, what makes no sense together, and the recipes that are there."""

import dataclasses
import importlib
from typing import Any

import pytest

from ferkeras.data.sources import DATASETS
from ferkeras.errors import InputError
from ferkeras.models import MODELS
from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule, override, parse_duration, resolve
from ferkeras.recipes import DEFAULT, load_recipe, recipe_names

BASE = Recipe(name="base", model=Model("vgg11", {"dropout": 0.1}), data=Data("synthetic_faces"))


# Durations


@pytest.mark.parametrize(("text", "expected"), [("30ep", (30, "ep")), ("2000st", (2000, "st")), ("0st", (0, "st"))])
def test_parse_duration(text: str, expected: tuple[int, str]) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["30", "ep", "", "30 ep", "-1ep", "1.5ep", "30epochs", "30EP", 30, None])
def test_a_duration_needs_a_unit(text: Any) -> None:
    with pytest.raises(InputError, match=r'A duration needs a unit.*Write "30ep" or "2000st"'):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "epochs"), [("30ep", 30), ("1st", 1), ("100st", 1), ("101st", 2), ("250st", 3), ("0ep", 1)]
)
def test_epochs_are_whole_and_a_started_one_is_finished(duration: str, epochs: int) -> None:
    assert dataclasses.replace(BASE, duration=duration).epochs(steps_per_epoch=100) == epochs


def test_steps() -> None:
    assert BASE.steps("3ep", steps_per_epoch=100) == 300
    assert BASE.steps("3st", steps_per_epoch=100) == 3
    assert BASE.steps("0ep", steps_per_epoch=100) == 0


# The recipe as a whole

WRONG = {
    "batch_size=0": "batch_size must be at least 1",
    "seed=-1": "seed must be at least 0",
    "patience=-1": "patience must be none or at least 0",
    "data.image_size=0,48": "data.image_size must be positive",
    "optimizer.learning_rate=0": "optimizer.learning_rate must be positive",
    "optimizer.learning_rate=1e999": "optimizer.learning_rate must be positive and finite",
    "optimizer.weight_decay=-1e-4": "optimizer.weight_decay must be at least 0",
    "optimizer.clip_norm=0": "optimizer.clip_norm must be none or positive",
    "optimizer.momentum=1": "optimizer.momentum must be in [0, 1)",
    "optimizer.ema=1": "optimizer.ema must be in [0, 1)",
    "loss.label_smoothing=1": "loss.label_smoothing must be in [0, 1)",
    "schedule.factor=0": "schedule.factor must be in (0, 1]",
    "schedule.every=0ep": "schedule.every must be at least one",
    "schedule.every=5": "A duration needs a unit",
    "schedule.warmup=1": "A duration needs a unit",
    "schedule.floor=-1": "schedule.floor must be at least 0",
    "stn_every=-1": "stn_every must be at least 0",
    "augment.rotation=-1": "augment.rotation must be at least 0",
    "augment.zoom=1": "augment.zoom must be under 1",
    "augment.crop=0": "augment.crop must be in (0, 1]",
    "augment.crop=1.1": "augment.crop must be in (0, 1]",
    "augment.randaugment=-1": "augment.randaugment must be at least 0",
    "augment.randaugment_strength=1.5": "augment.randaugment_strength must be in [0, 1]",
    "augment.noise=1.5": "augment.noise must be in [0, 1]",
    "augment.erasing=-0.1": "augment.erasing must be in [0, 1]",
    "augment.erasing_area=0.4,0.2": "augment.erasing_area must be two rising values in (0, 1]",
    "augment.erasing_area=0,0.2": "augment.erasing_area must be two rising values in (0, 1]",
    "augment.erasing_area=0.2,1.2": "augment.erasing_area must be two rising values in (0, 1]",
    "augment.mixup=-1": "augment.mixup must be at least 0 and finite",
    "augment.cutmix=1e999": "augment.cutmix must be at least 0 and finite",
    "data.classes=('sad', 'sad')": "data.classes must be different names",
    "data.parts=[{'dataset': 'a', 'weight': 0}]": "data.parts[0].weight must be positive and finite",
    "data.clips={'frames': 0}": "data.clips.frames must be at least 1",
    "data.clips={'min_frames': 17}": "data.clips.min_frames must be in 1 to data.clips.frames",
    "data.clips={'stride': 0}": "data.clips.stride must be at least 1",
    "data.clips={'overlap': {'sad': 1}}": "data.clips.overlap.sad must be in [0, 1)",
    "data.target=valence_arousal": "data.target must be one of label, distribution, drawn without data.clips",
    "duration=0ep": "duration must be at least one epoch or step",
    "duration=30": "A duration needs a unit. Received: 30.",
}


@pytest.mark.parametrize(("assignment", "message"), WRONG.items(), ids=WRONG)
def test_resolve_names_what_is_wrong(assignment: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(override(BASE, [assignment]))
    assert str(caught.value).startswith(message)


def test_plateau_has_no_warmup() -> None:
    with pytest.raises(InputError, match=r"schedule\.warmup must be 0st with the schedule plateau\. Received: 1ep\."):
        resolve(dataclasses.replace(BASE, schedule=Schedule("plateau", warmup="1ep")))
    resolve(dataclasses.replace(BASE, schedule=Schedule("plateau")))


@pytest.mark.parametrize(
    ("warmup", "every", "right"),
    [("4st", "5st", True), ("5st", "5st", False), ("2ep", "1ep", False), ("0st", "1ep", True), ("900st", "1ep", True)],
)
def test_a_warmup_ends_before_its_cycle_does(warmup: str, every: str, right: bool) -> None:
    """Different units are compared when the steps of an epoch are known, by the optimiser."""
    recipe = dataclasses.replace(BASE, schedule=Schedule("cosine_restarts", warmup=warmup, every=every))
    if right:
        assert resolve(recipe) is recipe
    else:
        with pytest.raises(InputError, match=rf"schedule\.warmup must be shorter than schedule\.every, {every}\."):
            resolve(recipe)
    resolve(dataclasses.replace(BASE, schedule=Schedule("cosine", warmup=warmup, every=every)))


def test_combinations_that_make_no_sense_are_refused() -> None:
    mixed = override(BASE, ["batch_size=1", "augment.mixup=0.2"])
    with pytest.raises(InputError, match=r"batch_size must be at least 2.* find no partner\. Received: 1\."):
        resolve(mixed)
    resolve(override(mixed, ["batch_size=2"]))
    for sampling in ("balanced", "sqrt"):
        twice = override(BASE, [f"data.sampling={sampling}", "loss.class_weights=balanced"])
        with pytest.raises(InputError, match=r"loss\.class_weights must be none unless data\.sampling is natural"):
            resolve(twice)
        resolve(override(twice, ["loss.class_weights=none"]))


def test_combinations_with_clips_and_parts_that_make_no_sense_are_refused() -> None:
    clips = override(BASE, ["data.clips={}"])
    for assignment, message in {
        "augment.mixup=0.2": "augment.mixup must be off with data.clips",
        "augment.ten_crop=true": "augment.ten_crop must be off with data.clips",
        "augment.randaugment=2": "augment.randaugment must be off with data.clips",
        "data.target=drawn": "data.target must be label or one of valence and arousal with data.clips",
    }.items():
        with pytest.raises(InputError, match=message):
            resolve(override(clips, [assignment]))
    with pytest.raises(InputError, match=r"data\.clips\.overlap\.sad must be float\. Received: much\."):
        override(clips, ["data.clips.overlap.sad=much"])
    affect = override(clips, ["data.target=valence_arousal", "data.sampling=balanced"])
    with pytest.raises(InputError, match=r"data\.sampling must be natural without classes"):
        resolve(affect)
    twice = override(BASE, ["data.parts=[{'dataset': 'raf_db'}]", "data.validation=test"])
    with pytest.raises(InputError, match=r"validation and test must be different .* Received: train, test, test\."):
        resolve(twice)
    resolve(override(twice, ["data.parts=[]"]))


def test_when_labels_are_distributions() -> None:
    assert not BASE.soft_targets
    assert override(BASE, ["augment.cutmix=1"]).soft_targets
    assert override(BASE, ["data.target=distribution"]).soft_targets
    assert not override(BASE, ["data.target=drawn"]).soft_targets


def test_what_follows_from_the_augmentation() -> None:
    assert Augment().ten_crop_fraction == 40 / 48
    assert Augment(crop=0.9).ten_crop_fraction == 0.9
    assert [Augment(mixup=a, cutmix=b).mixes for a, b in ((0, 0), (0.2, 0), (0, 1), (0.2, 1))] == [False] + [True] * 3


def test_everything_can_be_switched_on_together() -> None:
    augment = Augment(
        *(True, 20.0, 0.1, 0.1, 0.1, 0.1),
        crop=0.8,
        ten_crop=True,
        randaugment=2,
        erasing=1.0,
        erasing_area=(0.1, 0.1),
        mixup=0.2,
        cutmix=1.0,
    )
    recipe = dataclasses.replace(BASE, augment=augment, data=dataclasses.replace(BASE.data, sampling="sqrt"))
    assert resolve(recipe) is recipe
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_resolve_returns_a_good_recipe_unchanged() -> None:
    recipe = dataclasses.replace(
        BASE,
        augment=Augment(rotation=30.0, zoom=0.2),
        loss=Loss("focal", alpha="recall"),
        optimizer=Optimizer("sgd", clip_norm=1.0, ema=0.99),
        schedule=Schedule("cosine", warmup="100st"),
    )
    assert resolve(recipe) is recipe
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.seed = 1  # type: ignore[misc]


# The recipes that are there


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_is_documented_and_complete(name: str) -> None:
    recipe, documentation = load_recipe(name)
    assert recipe.name == name
    assert resolve(recipe) == recipe
    assert recipe.model.name in MODELS
    assert recipe.data.dataset.partition("/")[0] in DATASETS
    lines = documentation.splitlines()
    assert any(line.startswith(("Source:", "Sources:")) for line in lines)
    assert any(line.startswith("Command:") and "train.py" in line for line in lines)
    assert f"train.py {name}" in documentation or name == DEFAULT
    assert documentation == importlib.import_module(f"ferkeras.recipes.{name}").__doc__


def test_the_default_recipe_is_there() -> None:
    assert DEFAULT in recipe_names()


def test_an_unknown_recipe_is_told_with_a_suggestion() -> None:
    name = recipe_names()[0]
    with pytest.raises(InputError, match=rf"Unknown recipe\. Received: {name}x\. Did you mean {name}\?"):
        load_recipe(f"{name}x")
    with pytest.raises(InputError, match=r"Received: qqq\. `ferkeras recipes` lists them\."):
        load_recipe("qqq")
