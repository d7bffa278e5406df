"""Many trials of one recipe: every combination of some values (`grid`), or draws from ranges on Ray Tune (`search`).

A trial is an ordinary run folder. What is done is read from these folders, so that a grid or a search that was killed
goes on where it stopped. Trials are compared on the validation split alone.
"""

from ferkeras.tuning.grid import Grid, parse_grid, run_grid
from ferkeras.tuning.results import Result, ranked
from ferkeras.tuning.trials import Trial, make_trials

__all__ = ["Grid", "Result", "Trial", "make_trials", "parse_grid", "ranked", "run_grid"]
