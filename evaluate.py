"""Evaluates a run: `python evaluate.py --help`."""

from ferkeras.cli.evaluate import main

main()
