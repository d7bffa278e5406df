"""What a run gets once its last epoch is done: validation report, plots and model card."""

import shutil
from pathlib import Path

from ferkeras.data.opening import open_data
from ferkeras.evaluation import evaluate, table, write_plots
from ferkeras.inference import keras_runner
from ferkeras.modelcard import write_model_card
from ferkeras.plots import plot_curves
from ferkeras.runs import RunFolder


def finish(folder: RunFolder, *, data_dir: Path | None) -> str:
    """Measures the best epoch's model on the validation split; returns the table.

    The test split is left alone: `evaluate.py` reads it, once, when every choice has been made.
    """
    recipe = folder.recipe()
    data = open_data(recipe, data_dir=data_dir)
    report = evaluate(keras_runner(folder.load_model()), data, split=recipe.data.validation)
    folder.write_json("metrics.json", report)
    plot_curves(folder.history(), folder.path / "plots" / "curves.png")
    write_plots(folder, report)
    write_model_card(folder, report)
    shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)  # last: a kill before this can still resume
    return table(report)
