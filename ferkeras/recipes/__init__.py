"""Every recipe is a module here with a documented `RECIPE`; reading the list of names imports none of them."""

import difflib
import importlib
import pkgutil
from pathlib import Path

from ferkeras.errors import InputError
from ferkeras.recipe import Recipe

#: What `train.py` runs when no recipe is named.
DEFAULT = "quickstart"


def recipe_names() -> list[str]:
    """Names of all recipes, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load_recipe(name: str) -> tuple[Recipe, str]:
    """The recipe `name`, or that of a `.json` file such as `tune` leaves, and its documentation.

    Raises:
        InputError: for an unknown name, and for a file that is none or holds no recipe.
    """
    if name.endswith(".json"):
        try:
            return Recipe.from_json(Path(name).read_text(encoding="utf-8")), ""
        except OSError as error:
            raise InputError("There is no such recipe file", received=name) from error
    names = recipe_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {close[0]}?" if close else "`ferkeras recipes` lists them."
        raise InputError("Unknown recipe", received=name, action=hint)
    module = importlib.import_module(f"{__name__}.{name}")
    return module.RECIPE, module.__doc__ or ""
