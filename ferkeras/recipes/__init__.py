"""Every recipe is a module here with a documented `RECIPE`; reading the list of names imports none of them."""

import difflib
import importlib
import pkgutil

from ferkeras.errors import InputError
from ferkeras.recipe import Recipe

#: What `train.py` runs when no recipe is named.
DEFAULT = "quickstart"


def recipe_names() -> list[str]:
    """Names of all recipes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_recipe(name: str) -> tuple[Recipe, str]:
    """The recipe `name` and its documentation; raises `InputError` for an unknown one."""
    names = recipe_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]}?" if close else "`ferkeras recipes` lists them."
        raise InputError("Unknown recipe", received=name, action=hint)
    module = importlib.import_module(f"{__name__}.{name}")
    return module.RECIPE, module.__doc__ or ""
