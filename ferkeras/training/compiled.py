"""XLA: what it can compile, and its errors in one line."""

import contextlib
import re
import warnings
from collections.abc import Iterator

import keras

from ferkeras.errors import InputError

_ACTION = "Set jit=off."


def check_compilable(model: keras.Model) -> None:
    """Raises `InputError` where Keras would warn that it does not compile `model`, and train without."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.jit_compile = True
    if not model.jit_compile:
        unfit = sorted({type(layer).__name__ for layer in model._flatten_layers() if not layer.supports_jit})
        raise InputError(
            "XLA cannot compile this network here",
            received=", ".join(unfit) or "deterministic operations or macOS",
            action=_ACTION,
        )


@contextlib.contextmanager
def xla_errors() -> Iterator[None]:
    """Turns what TensorFlow raises where XLA has no kernel for an operation into an `InputError`."""
    try:
        yield
    except Exception as error:
        unsupported = sorted(set(re.findall(r"No registered '(\w+)' OpKernel for XLA", str(error))))
        if not unsupported:
            raise
        raise InputError(
            "XLA cannot compile these operations of the network", received=", ".join(unsupported), action=_ACTION
        ) from error
