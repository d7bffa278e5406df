"""A finished run as it is passed on, in git or a zip: small, complete, and with nothing of the machine it comes from.

What a run folder consists of is named here, so that whatever else lies in it stays behind: checkpoints, TensorBoard
files, `saved_model/`, `litert/float32.tflite`, notes. `model.keras` gets float16 weights (`ferkeras.half_weights`), and
where the validation data is at hand both networks are measured on it.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

from ferkeras.calibration import CALIBRATION_FILE, model_hash, read_calibration
from ferkeras.errors import InputError
from ferkeras.files import staged, write_atomically
from ferkeras.half_weights import halve_weights
from ferkeras.modelcard import SHIPPING_FILE, shipping_note, write_model_card
from ferkeras.runs import RunFolder

if TYPE_CHECKING:
    from ferkeras.data.clip_pipeline import ClipPipeline
    from ferkeras.data.pipeline import StillPipeline

#: Files without which a run is none, of those that it has.
_NEEDED = (
    *("model.keras", "recipe.json", "labels.json", "preprocessing.json", "env.json", "metrics.json", "README.md"),
    *("aggregation.json", "encoder.keras", "classifier.skops"),
)
_OPTIONAL = ("history.csv", CALIBRATION_FILE, "robustness.json", "plots/*.png", "litert/*.tflite")
_LEFT_OUT = ("litert/float32.tflite",)
#: The most that float16 weights may cost, of accuracy or mean CCC: 0.1 points.
MOST_LOST = 0.001


@dataclass(frozen=True)
class Shipment:
    """What is copied.

    Attributes:
        files: Paths in the run folder.
        contents: What the JSON files among them will say.
        renamed: Absolute paths in these -> what stands there now.
    """

    files: tuple[str, ...]
    contents: dict[str, Any]
    renamed: dict[str, str]


def plan_shipment(source: RunFolder, target: Path, *, without: Sequence[str] = ()) -> Shipment:
    """What of the run `source` is copied to the folder `target`; nothing is written.

    Absolute paths in JSON files that lie in the folder of `source`'s runs are told from above the folder of `target`'s
    runs, as in `saved_models/teacher`; of others the last part alone is kept.

    Args:
        source: A finished run.
        target: A folder that is not there, or holds a run that was shipped before.
        without: Files that are left out: a path in the run, a folder, or a name.

    Raises:
        InputError: for a run that is not finished or shipped already, for a target that would be written over, and for
            files to leave out that are not there or are needed.
    """
    if not source.is_finished():
        action = "Finish it with train.py --resume."
        raise InputError("The run is not finished", received=str(source.path), action=action)
    if (source.path / SHIPPING_FILE).exists():
        action = "Ship the run that it was made of, or copy its folder."
        raise InputError("The run was shipped already", received=str(source.path), action=action)
    if target.exists() and not (target / SHIPPING_FILE).exists():
        action = "Choose another --name or --output: only a run that was shipped before is written over."
        raise InputError("There is something of this name already", received=str(target), action=action)
    files = _without(_files(source.path), without)
    contents: dict[str, Any] = {}
    renamed: dict[str, str] = {}
    for name in files:
        if name.endswith(".json"):
            contents[name] = _portable(_read(source.path / name), source.path, target.absolute().parent.name, renamed)
    artifacts = contents.get("metrics.json", {}).get("artifacts")
    if artifacts:
        contents["metrics.json"]["artifacts"] = {name: row for name, row in artifacts.items() if name in files}
    return Shipment(tuple(files), contents, renamed)


def ship(
    source: RunFolder,
    target: Path,
    shipment: Shipment,
    *,
    half: bool = True,
    data: "StillPipeline | ClipPipeline | None" = None,
) -> dict[str, Any]:
    """Writes the folder `target`, whole or not at all.

    Args:
        source: The run, under its lock.
        target: As of `plan_shipment`.
        shipment: What `plan_shipment` returned.
        half: Whether weights are stored in float16.
        data: That of the run's recipe, to measure on its validation split what float16 costs.

    Returns:
        What `shipping.json` says: `weights`, float16 or float32; `model`, SHA-256 of the new `model.keras`; `bytes`, of
        all networks `before` and `after`; `metrics`, SHA-256 of the `metrics.json` that was copied; and `measured`,
        None without data, else `dataset`, `split`, `n`, the name of the `score`, its value `before` and `after`, and
        `same_label`, the share in [0, 1] of examples with the same most probable class.

    Raises:
        InputError: where float16 costs more than `MOST_LOST`, and for a broken network; nothing is written then.
    """
    with staged(target) as unfinished:
        unfinished.mkdir()
        folder = RunFolder(unfinished)
        for name in shipment.files:
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if half and name.endswith(".keras"):
                halve_weights(source.path / name, path)
            elif name not in shipment.contents:
                shutil.copyfile(source.path / name, path)
        for name, content in shipment.contents.items():
            if (belonging := _of_the_new_network(name, content, source, folder)) is not None:
                folder.write_json(name, belonging)
        told = {
            "weights": "float16" if half else "float32",
            "model": model_hash(folder),
            "bytes": {"before": _network_bytes(source.path), "after": _network_bytes(unfinished)},
            "metrics": _sha256(unfinished / "metrics.json"),
            "measured": _measure(source, folder, data) if half and data is not None else None,
        }
        folder.write_json(SHIPPING_FILE, told)
        _write_texts(folder)
    return told


def _files(root: Path) -> list[str]:
    found = [name for name in _NEEDED if (root / name).is_file()]
    for pattern in _OPTIONAL:
        found += sorted(path.relative_to(root).as_posix() for path in root.glob(pattern) if path.is_file())
    return [name for name in found if name not in _LEFT_OUT]


def _without(files: Sequence[str], words: Sequence[str]) -> list[str]:
    left_out: set[str] = set()
    for word in words:
        meant = [
            name for name in files if word in (name, PurePath(name).name) or PurePath(word) in PurePath(name).parents
        ]
        if not meant:
            raise InputError(
                "There is no such file to leave out", received=word, action=f"There are {', '.join(files)}."
            )
        if needed := [name for name in meant if name in _NEEDED]:
            raise InputError("A run is not complete without this file", received=needed[0], action="Leave it in.")
        left_out.update(meant)
    return [name for name in files if name not in left_out]


def _portable(value: Any, run: Path, runs_name: str, renamed: dict[str, str]) -> Any:
    """`value` with no absolute path in it; those that there were are added to `renamed`."""
    if isinstance(value, Mapping):
        return {
            _portable(key, run, runs_name, renamed): _portable(item, run, runs_name, renamed)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_portable(item, run, runs_name, renamed) for item in value]
    if not isinstance(value, str):
        return value
    kinds = (PurePosixPath(value), PureWindowsPath(value))
    absolute = [path for path in kinds if path.is_absolute() and path.name]
    if not absolute:
        return value
    new = absolute[0].name
    for runs in (run.absolute().parent, run.resolve().parent):
        if Path(value).is_relative_to(runs):
            new = (PurePosixPath(runs_name) / Path(value).relative_to(runs)).as_posix()
    renamed[value] = new
    return new


def _of_the_new_network(name: str, content: Any, source: RunFolder, folder: RunFolder) -> Any:
    """What `calibration.json` and `robustness.json` say, as of the new network; None where it was not of this one."""
    if name == CALIBRATION_FILE:
        told = read_calibration(source)
        return None if told is None else {**told, "model": model_hash(folder), "previous": None}
    if name == "robustness.json":
        return {**content, "model": model_hash(folder)} if content["model"] == model_hash(source) else None
    return content


def _measure(source: RunFolder, folder: RunFolder, data: "StillPipeline | ClipPipeline") -> dict[str, Any]:
    from ferkeras.artifacts import open_artifact
    from ferkeras.evaluation import collect, compare, measure

    split = source.recipe().data.validation
    original, rounded = (collect(open_artifact(run, "keras"), data, split=split) for run in (source, folder))
    before, after = measure(original), measure(rounded)
    score = "accuracy" if data.class_names else "mean_ccc"
    if before[score] - after[score] > MOST_LOST:
        received = f"{score} {before[score]:.4f} before and {after[score]:.4f} after, on {data.dataset}, {split}"
        action = "Ship it with --float32."
        raise InputError("Float16 weights cost more than 0.1 points", received=received, action=action)
    return {
        "dataset": data.dataset,
        "split": split,
        "n": len(next(iter(original.labels.values()))),
        "score": score,
        "before": before[score],
        "after": after[score],
        "same_label": compare(rounded, after, reference=original, expected=before)["same_label"],
    }


def _write_texts(folder: RunFolder) -> None:
    """The card, and the README of the LiteRT files. An imported run keeps its own card, with a note on its weights."""
    if (folder.path / "metrics.json").is_file() and "imported" not in folder.environment():
        write_model_card(folder, _read(folder.path / "metrics.json"))
    elif note := shipping_note(folder):
        card = folder.path / "README.md"
        write_atomically(card, f"{card.read_text(encoding='utf-8').rstrip()}\n{note}")
    if (folder.path / "litert").is_dir():
        from ferkeras.export.litert_metadata import write_readme

        write_readme(folder.path / "litert")


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError("A file of the run folder is not JSON", received=str(path), action="Mend it.") from error


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def _network_bytes(root: Path) -> int:
    return sum(path.stat().st_size for path in root.glob("*.keras"))
