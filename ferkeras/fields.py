"""Fields of nested frozen dataclasses from text and from JSON, checked against their annotated types.

Standard library only; `ferkeras.recipe` is what it serves.
"""

import ast
import contextlib
import dataclasses
import difflib
import json
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ferkeras.errors import InputError


def assign(node: Any, path: list[str], text: str, full: str) -> Any:
    """A copy of the dataclass `node` in which the field at `path` has the value that `text` says.

    Raises:
        InputError: for an unknown key (with a suggestion) or a value of the wrong type; `full` is what it names.
    """
    names = [f.name for f in dataclasses.fields(node)]
    if path[0] not in names:
        raise InputError(f"Unknown key {full}", action=_suggest(path[0], names))
    old = getattr(node, path[0])
    if len(path) > 1:
        if not (dataclasses.is_dataclass(old) or isinstance(old, Mapping)):
            raise InputError(f"{path[0]} is a single value, it has no parts", received=full)
        if isinstance(old, Mapping):
            if len(path) > 2:
                raise InputError("This option has no parts", received=full)
            new = {**old, **_coerce(_hint(node, path[0]), {path[1]: _literal(text)}, full)}
        else:
            new = assign(old, path[1:], text, full)
    else:
        new = _parse(_hint(node, path[0]), text, full)
    return dataclasses.replace(node, **{path[0]: new})


def _hint(node: Any, name: str) -> Any:
    """The annotated type of one field. Those of base classes need not be known here: TFDS writes some as text."""
    hint = next(field.type for field in dataclasses.fields(node) if field.name == name)
    return get_type_hints(type(node))[name] if isinstance(hint, str) else hint


def _parse(hint: Any, text: str, key: str) -> Any:
    """`text` as `hint`: as a Python literal, or else as a word, since `none` and `5` may be names too."""
    try:
        return _coerce(hint, _literal(text), key)
    except InputError:
        with contextlib.suppress(InputError):
            return _coerce(hint, text, key)
        raise


def build(kind: type, values: Any, *, prefix: str) -> Any:
    """The dataclass `kind` from the parsed JSON `values`, nested ones included; errors as in `assign`."""
    group = prefix.rstrip(".") or "A recipe"
    if not isinstance(values, dict):
        raise InputError(f"{group} must be a group of keys", received=values)
    hints = get_type_hints(kind)
    for key in values:
        if key not in hints:
            raise InputError(f"Unknown key {prefix}{key}", action=_suggest(key, list(hints)))
    try:
        return kind(**{key: _coerce(hints[key], value, prefix + key) for key, value in values.items()})
    except TypeError as error:
        raise InputError(f"{group} lacks a key", received=str(error)) from error


def _coerce(hint: Any, value: Any, key: str) -> Any:
    """`value` as the annotated type `hint`, or an `InputError` that names `key`."""
    origin = get_origin(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, prefix=f"{key}.")
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
        if get_args(hint)[1] is not Any:
            return {str(name): _coerce(get_args(hint)[1], item, key) for name, item in value.items()}
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
