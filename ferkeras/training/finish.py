"""What a run gets once its last epoch is done: validation report, plots and model card."""

import shutil
from pathlib import Path

from ferkeras.evaluation import collect, measure, table, write_plots
from ferkeras.inference import keras_runner
from ferkeras.modelcard import write_model_card
from ferkeras.plots import plot_curves
from ferkeras.runs import RunFolder
from ferkeras.training.task import open_examples, task_of, training_means


def finish(folder: RunFolder, *, data_dir: Path | None) -> str:
    """Measures the best epoch's model on the validation split; returns the table.

    The test split is left alone: `evaluate.py` reads it, once, when every choice has been made.
    """
    recipe = folder.recipe()
    data = open_examples(recipe, data_dir=data_dir)
    means = None
    if recipe.heads != ("emotion",):  # what later evaluations hold against the network, wherever its training data is
        means = training_means(data, split=recipe.data.train)
        folder.write_json("env.json", folder.environment() | {"training_means": means})
    found = collect(keras_runner(folder.load_model()), data, split=recipe.data.validation)
    report = measure(found, training_means=means)
    folder.write_json("metrics.json", report)
    plot_curves(folder.history(), folder.path / "plots" / "curves.png", quantities=task_of(recipe).curves)
    write_plots(folder, report, found)
    write_model_card(folder, report)
    shutil.rmtree(folder.path / "checkpoints", ignore_errors=True)  # last: a kill before this can still resume
    return table(report)
