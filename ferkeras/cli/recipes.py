"""Lists the recipes: what each trains, on what, for how long."""

import argparse

from ferkeras.cli.table import print_table
from ferkeras.recipes import load_recipe, recipe_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="RECIPE", help="print the documentation and values of one")


def run(args: argparse.Namespace) -> None:
    if args.name:
        recipe, documentation = load_recipe(args.name)
        print(documentation.strip(), "\n", recipe.to_json(), sep="\n")
        return
    rows = []
    for name in recipe_names():
        recipe, documentation = load_recipe(name)
        rows.append([name, recipe.model.name, recipe.data.dataset, recipe.duration, documentation.splitlines()[0]])
    print_table(["recipe", "model", "data set", "length", "what it is"], rows)
