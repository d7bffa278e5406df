"""Lists the models with their parameters at 48x48x1 and seven classes."""

import argparse

from ferkeras.cli.command import load_tensorflow
from ferkeras.cli.table import print_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(args: argparse.Namespace) -> None:
    load_tensorflow()
    from ferkeras.models import MODELS, create_model

    rows = []
    for name, entry in MODELS.items():
        model = create_model(name, input_shape=(48, 48, 1), classes=7)
        rows.append([name, f"{model.count_params():,}", entry.about, entry.source])
    print_table(["model", "parameters", "what it is", "source"], rows)
