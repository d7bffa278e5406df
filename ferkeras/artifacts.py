"""Opens whatever form of a trained network the user names."""

from typing import TYPE_CHECKING

from ferkeras.aggregation import AGGREGATION_FILE
from ferkeras.errors import InputError
from ferkeras.export.plan import SAVED_MODEL
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    from ferkeras.inference import Runner


def open_artifact(folder: RunFolder, name: str) -> "Runner":
    """`keras`, `saved_model` (of the run), or a `.tflite` file, by its path or its name under `litert/`."""
    if name == "keras" and (folder.path / AGGREGATION_FILE).is_file():
        from ferkeras.aggregation.run import load_runner

        return load_runner(folder)
    if name == "keras":
        from ferkeras.inference import keras_runner

        return keras_runner(folder.load_model())
    if name == "saved_model":
        from ferkeras.export.saved_model import load_saved_model

        return load_saved_model(folder.path / SAVED_MODEL)
    if name.endswith(".tflite"):
        from ferkeras.export.litert import load_litert

        in_run = folder.path / "litert" / name
        return load_litert(in_run if in_run.is_file() else name)
    raise InputError("Unknown artefact", received=name, action="Name keras, saved_model or a .tflite file.")
