"""Recipes: strict overrides, their JSON form, durations, and the recipes that are there."""

import dataclasses
import importlib
import json
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkeras.data.sources import DATASETS
from ferkeras.errors import InputError
from ferkeras.models import MODELS
from ferkeras.recipe import Augment, Data, Loss, Model, Optimizer, Recipe, Schedule, override, parse_duration, resolve
from ferkeras.recipe_data import ClipWindows, Part
from ferkeras.recipes import DEFAULT, load_recipe, recipe_names

BASE = Recipe(name="base", model=Model("vgg11", {"dropout": 0.1}), data=Data("synthetic_faces"))


FLOATS = st.floats(allow_nan=False, allow_infinity=False)  # their `repr` is a literal


def get(recipe: Recipe, key: str) -> Any:
    value: Any = recipe
    for name in key.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value


def keys_of(kind: type, prefix: str = "") -> dict[str, Any]:
    """Every single value of a recipe by its dotted key, with its type."""
    found: dict[str, Any] = {}
    for name, hint in get_type_hints(kind).items():
        is_group = isinstance(hint, type) and dataclasses.is_dataclass(hint)
        found |= keys_of(hint, f"{prefix}{name}.") if is_group else {prefix + name: hint}
    return found


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of an annotated type."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) in (Union, types.UnionType):
        return st.one_of([values_of(option) for option in get_args(hint)])
    if get_origin(hint) is tuple:
        kinds = get_args(hint)
        if kinds[-1] is Ellipsis:
            return st.lists(values_of(kinds[0]), max_size=8).map(tuple)
        return st.tuples(*map(values_of, kinds))
    if get_origin(hint) is dict:
        if get_args(hint)[1] is float:
            return st.dictionaries(st.text(), FLOATS, max_size=3)
        leaves = st.none() | st.booleans() | st.integers() | FLOATS | st.text()
        json_values = st.recursive(
            leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
        )
        return st.dictionaries(st.text(), json_values, max_size=3)
    if dataclasses.is_dataclass(hint):
        fields = {f.name: values_of(f.type) for f in dataclasses.fields(hint)}
        return st.builds(hint, **fields)
    single = {float: FLOATS, int: st.integers(), bool: st.booleans(), str: st.text()}
    return single.get(hint, st.none())


def literal(value: Any) -> Any:
    """`value` with its dataclasses as groups of keys, whose `repr` is a literal."""
    if isinstance(value, tuple):
        return tuple(map(literal, value))
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]


KEYS = keys_of(Recipe)
OVERRIDES = st.fixed_dictionaries({}, optional={key: values_of(hint) for key, hint in KEYS.items()})


# Overrides


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("name=other", "other"),
        ("name=5", "5"),
        ("name=a=b", "a=b"),
        ("duration=2000st", "2000st"),
        ("data.train=train[:50%]", "train[:50%]"),
        ("data.dataset=synthetic_faces/still_112", "synthetic_faces/still_112"),
        ("batch_size=64", 64),
        (" batch_size = 64 ", 64),
        ("patience=7", 7),
        ("patience=none", None),
        ("patience=None", None),
        ("augment.flip=false", False),
        ("augment.flip=True", True),
        ("augment.rotation=30", 30.0),
        ("optimizer.learning_rate=3e-4", 3e-4),
        ("optimizer.clip_norm=1", 1.0),
        ("data.image_size=(64, 32)", (64, 32)),
        ("data.image_size=64,32", (64, 32)),
        ("data.image_size=[64, 32]", (64, 32)),
        ("data.channels=3", 3),
        ("data.sampling=sqrt", "sqrt"),
        ("augment.ten_crop=true", True),
        ("augment.randaugment=2", 2),
        ("augment.erasing_area=0.1,0.2", (0.1, 0.2)),
        ("monitor=accuracy", "accuracy"),
        ("loss.class_weights=balanced", "balanced"),
        ("loss.class_weights=none", "none"),
        ("loss.alpha=none", None),
        ("loss.alpha=recall", "recall"),
        ("loss.alpha=0.25", 0.25),
        ("loss.alpha=1,2,3", (1.0, 2.0, 3.0)),
        ("model.name=vgg13", "vgg13"),
        ("model.options.dropout=0.5", 0.5),
        ("model.options.rows=last", "last"),
        ("model.options.lstm_units=none", None),
        ("model.options.sizes=(1, 2)", [1, 2]),
        ("model.options={'width': 0.5}", {"width": 0.5}),
        ("data.parts=[{'dataset': 'raf_db', 'weight': 2}]", (Part("raf_db", weight=2.0),)),
        ("data.clips={'frames': 8, 'overlap': {'happy': 1}}", ClipWindows(frames=8, overlap={"happy": 1.0})),
        ("data.clips=none", None),
        ("data.classes=('sad', 'happy')", ("sad", "happy")),
    ],
)
def test_override(assignment: str, expected: Any) -> None:
    value = get(override(BASE, [assignment]), assignment.partition("=")[0].strip())
    assert value == expected
    assert type(value) is type(expected)


def test_override_changes_nothing_else_and_not_the_recipe_itself() -> None:
    before = BASE.to_json()
    changed = override(BASE, ["optimizer.learning_rate=0.5", "optimizer.name=sgd", "model.options.width=0.5"])
    assert changed.optimizer == dataclasses.replace(BASE.optimizer, learning_rate=0.5, name="sgd")
    assert changed.model.options == {"dropout": 0.1, "width": 0.5}
    assert dataclasses.replace(changed, optimizer=BASE.optimizer, model=BASE.model) == BASE
    assert BASE.to_json() == before


def test_the_last_of_two_overrides_counts() -> None:
    assert override(BASE, ["seed=1", "seed=2"]).seed == 2
    assert override(BASE, []) == BASE


def test_a_group_is_overridden_as_a_whole() -> None:
    changed = override(BASE, ["optimizer={'name': 'sgd', 'learning_rate': 0.1}"])
    assert changed.optimizer == Optimizer("sgd", learning_rate=0.1)


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("batch_size", r"--set takes key=value\. Received: batch_size\. Try --set batch_size=64\."),
        ("", r"--set takes key=value"),
        ("batchsize=3", r"Unknown key batchsize\. Did you mean batch_size\?"),
        ("optimizer.learning_rat=3", r"Unknown key optimizer\.learning_rat\. Did you mean learning_rate\?"),
        ("qqq=3", r"Unknown key qqq\. Known keys: name, model, data,"),
        ("=3", r"Unknown key"),
        ("batch_size=many", r"batch_size must be int\. Received: many\."),
        ("batch_size=6.5", r"batch_size must be int\. Received: 6\.5\."),
        ("batch_size=True", r"batch_size must be int\. Received: True\."),
        ("batch_size=none", r"batch_size must be int"),
        ("batch_size.x=3", r"batch_size is a single value, it has no parts\. Received: batch_size\.x\."),
        ("augment.flip=1", r"augment\.flip must be bool\. Received: 1\."),
        ("augment.rotation=False", r"augment\.rotation must be float\. Received: False\."),
        ("optimizer.name=adan", r"optimizer\.name must be one of adamw, adam, sgd, nesterov\. Received: adan\."),
        ("optimizer.clip_norm=big", r"optimizer\.clip_norm must be float or none\. Received: big\."),
        ("data.channels=2", r"data\.channels must be one of 1, 3\. Received: 2\."),
        ("data.channels=True", r"data\.channels must be one of 1, 3\. Received: True\."),
        ("data.image_size=48", r"data\.image_size must be tuple\[int, int\]\. Received: 48\."),
        ("data.image_size=48,48,1", r"data\.image_size must be"),
        ("data.image_size=48,4.5", r"data\.image_size must be"),
        ("loss.alpha=1,x", r"loss\.alpha must be float or .*Received: 1,x\."),
        ("optimizer=adam", r"optimizer must be a group of keys\. Received: adam\."),
        ("optimizer={'nam': 'sgd'}", r"Unknown key optimizer\.nam\. Did you mean name\?"),
        ("data={}", r"data lacks a key"),
        ("model.options=3", r"model\.options must be a group of values that JSON can hold\. Received: 3\."),
        ("model.options.a.b=3", r"This option has no parts\. Received: model\.options\.a\.b\."),
        ("model.options.sizes={1, 2}", r"model\.options\.sizes must be a group of values that JSON can hold"),
    ],
)
def test_a_wrong_override_is_told_in_one_line(assignment: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        override(BASE, [assignment])
    assert "\n" not in str(caught.value)


@given(OVERRIDES)
@settings(max_examples=60)
def test_any_value_can_be_set_by_its_literal(values: dict[str, Any]) -> None:
    changed = override(BASE, [f"{key}={literal(value)!r}" for key, value in values.items()])
    assert {key: get(changed, key) for key in KEYS} == {key: get(BASE, key) for key in KEYS} | values


@given(st.sampled_from(sorted(KEYS)), st.text())
def test_any_text_is_taken_or_refused_with_an_input_error(key: str, text: str) -> None:
    try:
        changed = override(BASE, [f"{key}={text}"])
    except InputError:
        return
    assert Recipe.from_json(changed.to_json()) == changed


# JSON


@pytest.mark.parametrize("name", recipe_names())
@given(values=OVERRIDES)
@settings(max_examples=25)
def test_json_round_trip_of_every_recipe(name: str, values: dict[str, Any]) -> None:
    recipe, _ = load_recipe(name)
    assert Recipe.from_json(recipe.to_json()) == recipe
    changed = override(recipe, [f"{key}={literal(value)!r}" for key, value in values.items()])
    assert Recipe.from_json(changed.to_json()) == changed


def edited(**changes: Any) -> str:
    return json.dumps(json.loads(BASE.to_json()) | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"recipe\.json is not JSON"),
        ("[]", r"A recipe must be a group of keys\. Received: \[\]\."),
        ("{}", r"A recipe lacks a key"),
        (edited(batchsize=3), r"Unknown key batchsize\. Did you mean batch_size\?"),
        (edited(loss={"nam": "focal"}), r"Unknown key loss\.nam\. Did you mean name\?"),
        (edited(seed="0"), r"seed must be int\. Received: 0\."),
        (edited(data={"dataset": "x", "image_size": [48]}), r"data\.image_size must be"),
        (edited(model=None), r"model must be a group of keys"),
    ],
)
def test_json_that_is_no_recipe(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe.from_json(text)


def test_a_recipe_of_an_older_version_gets_the_defaults_of_new_keys() -> None:
    values = json.loads(BASE.to_json())
    del values["monitor"], values["loss"]["gamma"], values["augment"]["crop"], values["data"]["sampling"]
    assert Recipe.from_json(json.dumps(values)) == BASE


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
