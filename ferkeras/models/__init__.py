"""Every model by name. A static table of import paths: reading it imports nothing heavy."""

import difflib
import importlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ferkeras.errors import InputError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Entry:
    """Where a model's function is, the options that make it this variant, and what it is."""

    function: str
    """`module:function`."""
    about: str
    source: str
    options: Mapping[str, Any] = field(default_factory=dict)


_VGG = "ferkeras.models.vgg:vgg"
_SIMONYAN = "Simonyan & Zisserman, ICLR 2015"
_REPORT = "VGG-LSTM-attention report on FER2013"

MODELS: dict[str, Entry] = {
    "vgg11": Entry(_VGG, "VGG11 with batch normalisation", _SIMONYAN, {"depth": 11}),
    "vgg13": Entry(_VGG, "VGG13 with batch normalisation", _SIMONYAN, {"depth": 13}),
    "vgg16": Entry(_VGG, "VGG16 with batch normalisation", _SIMONYAN, {"depth": 16}),
    "vgg19": Entry(_VGG, "VGG19 with batch normalisation", _SIMONYAN, {"depth": 19}),
    "vgg11_lstm": Entry(_VGG, "VGG11 and an LSTM over image rows, last state", _REPORT, {"depth": 11, "rows": "last"}),
    "vgg11_lstm_dropout": Entry(
        _VGG,
        "the same with dropout after the LSTM layers and before the logits",
        _REPORT,
        {"depth": 11, "rows": "last", "lstm_dropout": 0.3, "dropout": 0.3},
    ),
    "vgg11_lstm_attention": Entry(
        _VGG,
        "VGG11 and an LSTM over image rows with additive attention",
        _REPORT,
        {"depth": 11, "rows": "attention"},
    ),
}


def create_model(
    name: str,
    options: Mapping[str, Any] | None = None,
    *,
    input_shape: tuple[int, ...],
    classes: int,
) -> "keras.Model":
    """Builds the model `name` with `options` over its variant's own, in float32.

    Raises:
        InputError: for an unknown name or option (with a suggestion) or a value that the model refuses.
    """
    if name not in MODELS:
        close = difflib.get_close_matches(name, MODELS, n=1)
        hint = f"Did you mean {close[0]}?" if close else "`ferkeras models` lists them."
        raise InputError("Unknown model", received=name, action=hint)
    entry = MODELS[name]
    module, _, function_name = entry.function.partition(":")
    function = getattr(importlib.import_module(module), function_name)
    known = [p for p in inspect.signature(function).parameters if p not in ("input_shape", "classes", "name")]
    for key in options or {}:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"Known: {', '.join(known)}."
            raise InputError(f"Unknown option model.options.{key} of {name}", action=hint)
    merged = {**entry.options, **(options or {})}
    try:
        return function(**merged, input_shape=tuple(input_shape), classes=classes, name=name)
    except (TypeError, ValueError) as error:
        raise InputError(f"The model {name} cannot be built", received=merged, action=str(error)) from error
