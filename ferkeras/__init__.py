"""Facial-expression recognition in Keras 3. Importing this package imports neither Keras nor TensorFlow."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ferkeras.prediction.predictor import Predictor

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__"]


def __getattr__(name: str) -> Any:
    """`ferkeras.Predictor`, which is imported when it is asked for."""
    if name == "Predictor":
        return import_module("ferkeras.prediction.predictor").Predictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
