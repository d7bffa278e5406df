"""What a training run is: frozen dataclasses with strict overrides and a JSON form. Standard library only.

A recipe lives in two phases. It is built (`recipes/<name>.py`) and overridden (`override`), where anything may
still change; then `resolve` checks it as a whole and freezes it. The resolved recipe is written into the run
folder before the first step, and everything after training reads it from there.
"""

import ast
import contextlib
import dataclasses
import difflib
import json
import math
import re
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ferkeras.errors import InputError


@dataclass(frozen=True)
class Model:
    """Which network: a name in `ferkeras.models.MODELS` and the keyword options of its function."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Data:
    """Which examples: a TFDS name with an optional `/config`, the three splits, and the size the model sees."""

    dataset: str
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    image_size: tuple[int, int] = (48, 48)
    """Height and width in pixels."""
    channels: Literal[1, 3] = 1


@dataclass(frozen=True)
class Augment:
    """Random changes of a training image, each drawn uniformly; zero or False switches one off."""

    flip: bool = True
    """Mirror left and right with probability one half."""
    rotation: float = 0.0
    """Largest angle in degrees, either way."""
    translation: float = 0.0
    """Largest shift as a fraction of the side, either way."""
    zoom: float = 0.0
    """Largest relative change of scale, either way."""
    brightness: float = 0.0
    """Largest shift of the pixels as a fraction of 255, either way."""
    contrast: float = 0.0
    """Largest relative change of contrast about the image mean, either way."""


@dataclass(frozen=True)
class Loss:
    """Cross-entropy or focal loss on logits."""

    name: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs class k by n / (K n_k) of the training split (cross-entropy only)."""
    gamma: float = 2.0
    """Focusing exponent (focal only)."""
    alpha: float | tuple[float, ...] | Literal["recall"] | None = None
    """Focal only: one factor, one per class, or `recall`: set anew each epoch from the validation recall."""


@dataclass(frozen=True)
class Optimizer:
    """The optimiser and what stabilises it."""

    name: Literal["adamw", "adam", "sgd", "nesterov"] = "adamw"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    """Decoupled, multiplied by the learning rate (Loshchilov & Hutter, 2019)."""
    momentum: float = 0.9
    """For sgd and nesterov."""
    clip_norm: float | None = None
    """Largest global norm of the gradient."""
    ema: float | None = None
    """Decay of the moving average of the weights, which is what is then validated and saved."""


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves."""

    name: Literal["constant", "cosine", "step", "plateau"] = "constant"
    warmup: str = "0st"
    """Linear rise from zero, as a duration; not for plateau."""
    factor: float = 0.1
    """step and plateau multiply the rate by this."""
    every: str = "10ep"
    """step: how often, as a duration."""
    patience: int = 5
    """plateau: epochs without a better validation loss before the rate falls."""
    floor: float = 0.0
    """Least learning rate (cosine ends there, plateau stops there)."""


@dataclass(frozen=True)
class Recipe:
    """A whole training run. Durations carry a unit: `30ep` epochs or `2000st` steps."""

    name: str
    model: Model
    data: Data
    augment: Augment = Augment()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    duration: str = "30ep"
    batch_size: int = 32
    patience: int | None = None
    """Early stopping: epochs without improvement that are tolerated; None trains to the end."""
    monitor: Literal["loss", "accuracy"] = "loss"
    """Which validation value picks the best epoch."""
    dtype: Literal["float32", "mixed_bfloat16"] = "float32"
    """Arithmetic in training. The saved model is float32 either way."""
    seed: int = 0

    def steps(self, duration: str, *, steps_per_epoch: int) -> int:
        """Optimiser steps in `duration`."""
        amount, unit = parse_duration(duration)
        return amount if unit == "st" else amount * steps_per_epoch

    def epochs(self, *, steps_per_epoch: int) -> int:
        """Whole epochs in the recipe's duration; a started epoch is finished."""
        return max(1, -(-self.steps(self.duration, steps_per_epoch=steps_per_epoch) // steps_per_epoch))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> "Recipe":
        """Inverse of `to_json`; raises `InputError` on an unknown key or a wrong value."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError("recipe.json is not JSON", received=str(error)) from error
        return _build(Recipe, values, prefix="")


def parse_duration(text: str) -> tuple[int, str]:
    """`"30ep"` -> `(30, "ep")`, `"2000st"` -> `(2000, "st")`; raises `InputError` without a unit."""
    match = re.fullmatch(r"(\d+)(ep|st)", text) if isinstance(text, str) else None
    if match is None:
        raise InputError("A duration needs a unit", received=text, action='Write "30ep" or "2000st".')
    return int(match[1]), match[2]


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Returns `recipe` with each `key=value` applied; keys are dotted paths such as `optimizer.learning_rate`.

    Raises `InputError` on a word without `=`, an unknown key (with a suggestion) or a value of the wrong type.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise InputError("--set takes key=value", received=assignment, action="Try --set batch_size=64.")
        recipe = _assign(recipe, path.strip().split("."), text.strip(), path.strip())
    return recipe


def resolve(recipe: Recipe) -> Recipe:
    """Checks `recipe` as a whole and returns it; raises `InputError` naming the key that is wrong."""

    def require(ok: bool, key: str, expected: str, value: Any) -> None:
        if not ok:
            raise InputError(f"{key} must be {expected}", received=value, action=f"Mend it with --set {key}=...")

    require(recipe.batch_size >= 1, "batch_size", "at least 1", recipe.batch_size)
    require(recipe.seed >= 0, "seed", "at least 0", recipe.seed)
    require(recipe.patience is None or recipe.patience >= 0, "patience", "none or at least 0", recipe.patience)
    require(min(recipe.data.image_size) >= 1, "data.image_size", "positive", recipe.data.image_size)
    rate = recipe.optimizer.learning_rate
    require(0 < rate < math.inf, "optimizer.learning_rate", "positive and finite", rate)
    decay, clip = recipe.optimizer.weight_decay, recipe.optimizer.clip_norm
    require(decay >= 0, "optimizer.weight_decay", "at least 0", decay)
    require(clip is None or clip > 0, "optimizer.clip_norm", "none or positive", clip)
    for key in ("momentum", "ema"):
        value = getattr(recipe.optimizer, key)
        require(value is None or 0 <= value < 1, f"optimizer.{key}", "in [0, 1)", value)
    require(0 <= recipe.loss.label_smoothing < 1, "loss.label_smoothing", "in [0, 1)", recipe.loss.label_smoothing)
    require(0 < recipe.schedule.factor <= 1, "schedule.factor", "in (0, 1]", recipe.schedule.factor)
    for key in ("rotation", "translation", "zoom", "brightness", "contrast"):
        value = getattr(recipe.augment, key)
        require(value >= 0, f"augment.{key}", "at least 0", value)
    require(recipe.augment.zoom < 1, "augment.zoom", "under 1", recipe.augment.zoom)
    require(parse_duration(recipe.duration)[0] > 0, "duration", "at least one epoch or step", recipe.duration)
    require(parse_duration(recipe.schedule.every)[0] > 0, "schedule.every", "at least one", recipe.schedule.every)
    floor = recipe.schedule.floor
    require(0 <= floor <= rate, "schedule.floor", "at least 0 and at most optimizer.learning_rate", floor)
    warmup = parse_duration(recipe.schedule.warmup)[0]
    plateau = recipe.schedule.name == "plateau"
    require(not (plateau and warmup), "schedule.warmup", "0st with the schedule plateau", recipe.schedule.warmup)
    return recipe


def _assign(node: Any, path: list[str], text: str, full: str) -> Any:
    if isinstance(node, Mapping):
        if len(path) != 1:
            raise InputError("This option has no parts", received=full)
        return _coerce(dict[str, Any], {**node, path[0]: _literal(text)}, full)
    names = [f.name for f in dataclasses.fields(node)]
    if path[0] not in names:
        raise InputError(f"Unknown recipe key {full}", action=_suggest(path[0], names))
    old = getattr(node, path[0])
    if len(path) > 1:
        if not (dataclasses.is_dataclass(old) or isinstance(old, Mapping)):
            raise InputError(f"{path[0]} is a single value, it has no parts", received=full)
        new = _assign(old, path[1:], text, full)
    else:
        new = _parse(get_type_hints(type(node))[path[0]], text, full)
    return dataclasses.replace(node, **{path[0]: new})


def _parse(hint: Any, text: str, key: str) -> Any:
    """`text` as `hint`: as a Python literal, or else as a word, since `none` and `5` may be names too."""
    try:
        return _coerce(hint, _literal(text), key)
    except InputError:
        with contextlib.suppress(InputError):
            return _coerce(hint, text, key)
        raise


def _build(kind: type, values: Any, *, prefix: str) -> Any:
    group = prefix.rstrip(".") or "A recipe"
    if not isinstance(values, dict):
        raise InputError(f"{group} must be a group of keys", received=values)
    hints = get_type_hints(kind)
    for key in values:
        if key not in hints:
            raise InputError(f"Unknown recipe key {prefix}{key}", action=_suggest(key, list(hints)))
    try:
        return kind(**{key: _coerce(hints[key], value, prefix + key) for key, value in values.items()})
    except TypeError as error:
        raise InputError(f"{group} lacks a key", received=str(error)) from error


def _coerce(hint: Any, value: Any, key: str) -> Any:
    """`value` as the annotated type `hint`, or an `InputError` that names `key`."""
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value, prefix=f"{key}.")
    if origin in (Union, types.UnionType):
        for option in get_args(hint):
            try:
                return _coerce(option, value, key)
            except InputError:
                continue
    elif origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in get_args(hint)):
            return value
    elif origin is tuple and isinstance(value, list | tuple):
        kinds = get_args(hint)
        kinds = (kinds[0],) * len(value) if kinds[-1] is Ellipsis else kinds
        if len(kinds) == len(value):
            return tuple(_coerce(k, v, key) for k, v in zip(kinds, value, strict=True))
    elif origin is dict and isinstance(value, dict):
        with contextlib.suppress(TypeError):  # options are kept in recipe.json: what it cannot hold is refused here
            return json.loads(json.dumps(value))
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise InputError(f"{key} must be {_describe(hint)}", received=value)


def _describe(hint: Any) -> str:
    origin = get_origin(hint)
    if origin is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in get_args(hint))
    if hint is type(None):
        return "none"
    if origin is dict:
        return "a group of values that JSON can hold"
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return "a group of keys (" + ", ".join(f.name for f in dataclasses.fields(hint)) + ")"
    return hint.__name__ if isinstance(hint, type) and origin is None else str(hint)


def _literal(text: str) -> Any:
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _suggest(word: str, names: list[str]) -> str:
    close = difflib.get_close_matches(word, names, n=1)
    return f"Did you mean {close[0]}?" if close else f"Known keys: {', '.join(names)}."
