"""Search spaces: which keys of a recipe are searched, over what, read from a JSON or TOML file. Standard library only.

seed = 0
[space]
"optimizer.learning_rate" = {loguniform = [1e-5, 1e-2]}
"model.options.dropout" = {uniform = [0.2, 0.6]}
batch_size = {choice = [16, 32, 64]}
patience = {int = [3, 10]}
[asha]
grace = 1
reduction = 3
[resources]
cpu = 2
gpu = 0.5
"""

import itertools
import json
import math
import random
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ferkeras.errors import InputError

KINDS = ("choice", "uniform", "loguniform", "int")
_DIGITS = 6


@dataclass(frozen=True)
class Space:
    """The values of one key.

    Attributes:
        kind: `choice` of any of `values`; of two values `[low, high]` between which `uniform` draws evenly,
            `loguniform` evenly in the logarithm, and `int` whole numbers, both ends included.
    """

    kind: str
    values: tuple[Any, ...]

    def draw(self, share: float) -> str:
        """The value at `share` in [0, 1) of the space, as text for `--set`; fractions have six digits."""
        if self.kind == "choice":
            return as_text(self.values[int(share * len(self.values))])
        low, high = self.values
        if self.kind == "int":
            return str(low + int(share * (high - low + 1)))
        if self.kind == "loguniform":
            value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
        else:
            value = low + share * (high - low)
        return repr(float(min(max(float(f"{value:.{_DIGITS}g}"), low), high)))  # rounding may have crossed an end

    def all(self, key: str) -> list[str]:
        """Every value, for a grid; raises `InputError` where there is no end of them."""
        if self.kind == "choice":
            return [as_text(value) for value in self.values]
        if self.kind == "int":
            return [str(value) for value in range(self.values[0], self.values[1] + 1)]
        raise InputError(
            "A grid needs a list of values",
            received=f"{key} is {self.kind}",
            action=f"Write {key} = {{choice = [...]}}.",
        )


@dataclass(frozen=True)
class Asha:
    """Asynchronous successive halving: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020.

    Attributes:
        grace: Epochs that every trial gets. The rungs lie at grace, grace x reduction, grace x reduction^2, ...
        reduction: At a rung a trial goes on if its validation value is among the best 1 / reduction of those so far.
    """

    grace: int = 1
    reduction: int = 3


@dataclass(frozen=True)
class Resources:
    """Of each trial. None shares what the machine has evenly among the workers."""

    cpu: float | None = None
    gpu: float | None = None


@dataclass(frozen=True)
class Search:
    """A search file. `seed` decides which values are drawn."""

    spaces: dict[str, Space]
    seed: int = 0
    asha: Asha = field(default_factory=Asha)
    resources: Resources = field(default_factory=Resources)

    def draws(self, number: int) -> Iterator[dict[str, str]]:
        """The values of trial `number`, and without end what to take where those were there before.

        They depend on seed, number and key alone: more trials, or another key, leave the others as they are.
        """
        for attempt in itertools.count():
            shares = {key: random.Random(f"{self.seed}/{number}/{attempt}/{key}").random() for key in self.spaces}
            yield {key: space.draw(shares[key]) for key, space in self.spaces.items()}

    def record(self) -> dict[str, Any]:
        """What tells one search from another; machines may differ between two parts of one search."""
        return {name: value for name, value in asdict(self).items() if name != "resources"}


def as_text(value: Any) -> str:
    """`value` as `--set` takes it."""
    return value if isinstance(value, str) else repr(value)


def read_search(path: Path) -> Search:
    """The search file at `path`, `.json` or `.toml`.

    Raises:
        InputError: for a file that cannot be read, an unknown word, or a range that is none.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise InputError("The search file cannot be read", received=str(path), action=f"{error.strerror}.") from error
    except ValueError as error:  # of either format, and of what is no UTF-8
        raise InputError("The search file is neither JSON nor TOML", received=f"{path}: {error}") from error
    if not isinstance(values, dict):
        raise InputError("A search file is a group of keys", received=str(path), action='Write {"space": {...}}.')
    _known(values, ("seed", "space", "asha", "resources"), where=str(path))
    spaces = dict(_spaces(_group(values, "space")))
    if not spaces:
        raise InputError("A search file has a group `space` with the keys to search", received=str(path))
    seed = values.get("seed", 0)
    if type(seed) is not int:
        raise InputError("seed must be a whole number", received=seed)
    return Search(spaces, seed, _asha(_group(values, "asha")), _resources(_group(values, "resources")))


def _group(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = values.get(name, {})
    if not isinstance(group, dict):
        raise InputError(f"{name} must be a group of keys", received=group)
    return group


def _known(values: Mapping[str, Any], names: tuple[str, ...], *, where: str) -> None:
    for name in values:
        if name not in names:
            raise InputError(f"Unknown key {name} in {where}", action=f"Known keys: {', '.join(names)}.")


def _spaces(group: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Space]]:
    """Keys may be dotted or nested: `optimizer.learning_rate = ...` is nested in TOML unless it is quoted."""
    for name, value in group.items():
        key = f"{prefix}{name}"
        if not isinstance(value, dict) or not value:
            action = f'Write {{"choice": [...]}}, or one of {", ".join(KINDS[1:])} with [low, high].'
            raise InputError(f"{key} has no search space", received=value, action=action)
        if len(value) == 1 and next(iter(value)) in KINDS:
            ((kind, bounds),) = value.items()
            yield key, _space(key, kind, bounds)
        else:
            yield from _spaces(value, f"{key}.")


def _space(key: str, kind: str, bounds: Any) -> Space:
    if not isinstance(bounds, list) or not bounds:
        raise InputError(f"{kind} of {key} must be a list", received=bounds)
    if kind == "choice":
        return Space(kind, tuple(bounds))
    numbers = [isinstance(bound, int | float) and math.isfinite(bound) and type(bound) is not bool for bound in bounds]
    if len(bounds) != 2 or not all(numbers) or not bounds[0] < bounds[1]:
        raise InputError(f"{kind} of {key} must be [low, high], two rising numbers", received=bounds)
    if kind == "int" and not all(type(bound) is int for bound in bounds):
        raise InputError(f"int of {key} must have whole numbers", received=bounds)
    if kind == "loguniform" and bounds[0] <= 0:
        raise InputError(f"loguniform of {key} must be above 0", received=bounds)
    return Space(kind, tuple(bounds))


def _asha(group: Mapping[str, Any]) -> Asha:
    _known(group, tuple(f.name for f in fields(Asha)), where="asha")
    for name, least in (("grace", 1), ("reduction", 2)):
        value = group.get(name, least)
        if type(value) is not int or value < least:
            raise InputError(f"asha.{name} must be a whole number, at least {least}", received=value)
    return Asha(**group)


def _resources(group: Mapping[str, Any]) -> Resources:
    _known(group, tuple(f.name for f in fields(Resources)), where="resources")
    for name, value in group.items():
        number = isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)
        if not number or value < 0 or (name == "cpu" and value == 0):
            raise InputError(f"resources.{name} must be a number above 0 (gpu may be 0)", received=value)
    return Resources(**group)
