"""The run folder: what training leaves behind and everything later reads (design: one folder, one model).

`model.keras`, `recipe.json`, `labels.json`, `preprocessing.json`, `metrics.json`, `history.csv`, `env.json`, `plots/`,
`README.md`, `checkpoints/` while training; exports in `saved_model/1/` and `litert/`.
"""

import csv
import io
import json
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ferkeras import __version__
from ferkeras.errors import InputError
from ferkeras.files import staged, write_atomically
from ferkeras.recipe import Recipe

if TYPE_CHECKING:
    import keras

_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "opencv-python-headless")

#: Trained runs that stand in where a user names none, the most accurate first.
DEFAULT_RUNS = ("fer_vgg_distilled_fer2013", "fer_vgg_fer2013", "fer_mobile", "vgg11_lstm_attention_fer2013")

#: What a single output stands for that is a number on the scale of [-1, 1].
NUMBER = "number"


class RunFolder:
    """Paths and contents of one run; opening it reads nothing.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def find(name: str | Path, *, root: Path = Path("saved_models")) -> "RunFolder":
        """The run at `name`, a folder or the name of one under `root`; raises `InputError` if there is none."""
        for candidate in (Path(name), root / name):
            if (candidate / "recipe.json").is_file():
                return RunFolder(candidate)
        raise InputError("There is no run of this name", received=str(name), action=_runs_in(root))

    @staticmethod
    def default(*, root: Path = Path("saved_models")) -> "RunFolder":
        """The first of `DEFAULT_RUNS` under `root` that is finished; raises `InputError` if there is none."""
        for name in DEFAULT_RUNS:
            folder = RunFolder(root / name)
            if folder.is_finished() and (folder.path / "recipe.json").is_file():
                return folder
        raise InputError(
            f"No run is named, and none of those that stand in for it is there: {', '.join(DEFAULT_RUNS)}",
            action=f"Name a run as the first word, or their folder by --runs. {_runs_in(root)}",
        )

    def is_finished(self) -> bool:
        """True once training has done its last step, the model card."""
        return (self.path / "README.md").exists()

    def recipe(self) -> Recipe:
        return Recipe.from_json(self._read("recipe.json"))

    def labels(self) -> tuple[str, ...]:
        """Names of the emotion head's K classes, in the order of its outputs."""
        heads = self.heads()
        if "emotion" not in heads:
            raise InputError(
                "The run has no emotion head",
                received=f"{self.path}, which knows {' and '.join(heads)}",
                action="Take a run that was trained on classes.",
            )
        return tuple(heads["emotion"])

    def heads(self) -> dict[str, list[Any]]:
        """Each head with what its outputs stand for, in their order: the names of the emotions, the 21 bins of valence
        and arousal, or `NUMBER` alone."""
        return self._read_json("labels.json")

    def preprocessing(self) -> dict[str, Any]:
        """height, width, channels, range, crop and margin (see `ferkeras.faces.framing`) of the model's input; of a
        clip also frames and stride."""
        return self._read_json("preprocessing.json")

    def environment(self) -> dict[str, Any]:
        return self._read_json("env.json")

    def load_model(self, name: str = "model.keras") -> "keras.Model":
        """The trained model in float32. Custom layers of this package are registered first; no code is run from
        the file (`safe_mode`)."""
        path = self.path / name
        if not path.is_file():
            raise InputError(
                "There is no model file yet", received=str(path), action="Finish the run: train.py --resume."
            )
        import keras

        import ferkeras.layers  # noqa: F401  registers the layers

        try:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        except Exception as error:  # a broken file fails in the zip, JSON, HDF5 or Keras reader, each in its own way
            cause = str(error).rpartition("Exception encountered: ")[2].strip()  # Keras puts it below the whole config
            reason = (cause or type(error).__name__).splitlines()[0]
            raise InputError("The model file cannot be read", received=str(path), action=reason) from error

    def save_model(self, model: "keras.Model") -> None:
        with staged(self.path / "model.keras") as temporary:
            model.save(temporary)

    def write_json(self, name: str, value: Any) -> None:
        write_atomically(self.path / name, json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def history(self) -> list[dict[str, str]]:
        """Rows of `history.csv`, values as text."""
        return list(csv.DictReader(io.StringIO(self._read("history.csv"))))

    def write_history(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """`history.csv`, one row an epoch, rewritten whole so that a kill leaves no half row."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.path / "history.csv", text.getvalue())

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            return json.loads(self._read(name))
        except json.JSONDecodeError as error:
            raise InputError(
                "A file of the run folder is not JSON",
                received=str(self.path / name),
                action="Train the run again.",
            ) from error

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(
                "The run folder lacks a file", received=str(self.path / name), action="Train the run again."
            ) from error


def _runs_in(root: Path) -> str:
    present = sorted(p.parent.name for p in root.glob("*/recipe.json"))
    return f"Runs in {root}: {', '.join(present) if present else 'none; train one with train.py'}."


def environment(*, seed: int, fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """What a result depends on besides the recipe: versions, machine, seed, and what the data was."""
    return {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "versions": {"ferkeras": __version__, **{name: _version(name) for name in _PACKAGES}},
        "seed": seed,
        "data": dict(fingerprint),
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
