"""Recipes: strict overrides, and their JSON form."""

import dataclasses
import json
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferkeras.errors import InputError
from ferkeras.recipe import Optimizer, Recipe, override
from ferkeras.recipe_data import ClipWindows, Part
from ferkeras.recipes import load_recipe, recipe_names
from tests.test_recipe import BASE

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
