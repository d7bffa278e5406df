"""Trains a recipe: `python train.py --help`."""

from ferkeras.cli.train import main

main()
