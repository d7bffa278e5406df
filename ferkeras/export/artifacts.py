"""Writes the planned artefacts of a run, compares them with the trained model, and refuses what is not worth it."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.opening import all_prepared
from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.export.interface import Interface, interface_of
from ferkeras.export.litert import ConversionError, export_litert, load_litert, operators
from ferkeras.export.litert_metadata import write_readme
from ferkeras.export.litert_streaming import Stream
from ferkeras.export.parity import POINT, ParityError, check_parity, split_score, stream_runner
from ferkeras.export.plan import LITERT, Artifact
from ferkeras.export.saved_model import export_saved_model, load_saved_model
from ferkeras.export.step import obstacle_to_steps
from ferkeras.inference import Runner, keras_runner
from ferkeras.runs import RunFolder
from ferkeras.training.task import open_examples

TOLERANCE = 1e-4
#: Examples that artefacts are compared on.
IMAGES, CLIPS = 64, 16


@dataclass(frozen=True)
class Source:
    """A run as the exporters need it; `data` is None where it is not prepared."""

    folder: RunFolder
    model: keras.Model
    interface: Interface
    data: StillPipeline | ClipPipeline | None

    @property
    def train(self) -> str:
        return self.folder.recipe().data.train

    @property
    def validation(self) -> str:
        return self.folder.recipe().data.validation


def export_run(
    folder: RunFolder, planned: Sequence[Artifact], *, data_dir: Path | None = None, examples: int | None = None
) -> dict[str, Any]:
    """Writes and proves `planned`, and tells of it in the run's `export.json`.

    An artefact that cannot be written does not keep the others from it. An int8 file that loses more than a point of
    accuracy, or of concordance correlation, on the validation split is removed; other quantised ones cause a warning.

    Args:
        folder: A finished run.
        planned: Of `ferkeras.export.plan`.
        data_dir: Where prepared data lies.
        examples: How many are compared, fewer where there are fewer; None for `IMAGES` or `CLIPS`.

    Returns:
        The report of `check_parity` for `export.json`, and more: `images`, what was compared on; for each artefact
        `path` in the run, `bytes`, and of LiteRT `operators`; with quantised ones and prepared data `score`, its name,
        `split`, `keras`, its value for the model, and for each of them `score` and `drop`; `failed`, {name: reason},
        of those that could not be written or were refused; `error`, the words of a `ParityError`. `passed` is then
        False.

    Raises:
        InputError: For a run that cannot be exported as planned; nothing is written then.
    """
    source = _open_source(folder, data_dir=data_dir)
    model, interface, data = source.model, source.interface, source.data
    obstacle = "it takes still images" if interface.kind == "still" else obstacle_to_steps(model)
    if obstacle is not None and any(artifact.step for artifact in planned):
        raise InputError("The network cannot be read frame by frame", received=obstacle, action="Omit --streaming.")
    if data is None and any(artifact.quantize == "int8" for artifact in planned):
        raise InputError(
            "--quantize int8 needs the run's prepared data, for the ranges of the activations and the proof",
            received="none of it",
            action="Give --data-dir, or take dynamic quantisation.",
        )
    runners, failed = _write(planned, source)
    report = _compare(planned, source, runners, examples or (IMAGES if interface.kind == "still" else CLIPS))
    if data is not None:
        failed |= _score(planned, source, runners, data, report)
    if list((folder.path / LITERT.parent).glob("*.tflite")):
        write_readme(folder.path / LITERT.parent)
    if failed:
        report |= {"passed": False, "failed": failed}
    folder.write_json("export.json", report)
    return report


def _open_source(folder: RunFolder, *, data_dir: Path | None = None) -> Source:
    """The model of a run, what it takes and gives, and its data.

    Raises:
        InputError: For a model that cannot be exported.
    """
    model = folder.load_model()
    interface = interface_of(model, heads=folder.heads(), preprocessing=folder.preprocessing())
    prepared = all_prepared(folder.recipe(), data_dir=data_dir)
    data = open_examples(folder.recipe(), data_dir=data_dir) if prepared else None
    return Source(folder, model, interface, data)


def _compare(planned: Sequence[Artifact], source: Source, runners: dict[str, Runner], count: int) -> dict[str, Any]:
    inputs, images = _examples(source, count)
    try:
        report = check_parity(
            keras_runner(source.model),
            runners,
            inputs,
            heads=list(source.interface.heads),
            quantised=[artifact.name for artifact in planned if artifact.quantised],
            tolerance=TOLERANCE,
            batch_size=max(1, IMAGES // (source.interface.frames or 1)),
        )
    except ParityError as error:
        report = {**error.report, "error": str(error)}
    for artifact in planned:
        if artifact.name in runners:
            result, path = report["artifacts"][artifact.name], source.folder.path / artifact.path
            result["path"] = str(artifact.path)
            result["bytes"] = sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
            if artifact.quantize is not None:
                result["operators"] = list(operators(path))
    return {"images": images, **report}


def _write(planned: Sequence[Artifact], source: Source) -> tuple[dict[str, Runner], dict[str, str]]:
    """Writes and opens the artefacts; returns them by name, and why others are not there."""
    runners: dict[str, Runner] = {}
    failed: dict[str, str] = {}
    streaming = any(artifact.step for artifact in planned)
    for artifact in planned:
        path = source.folder.path / artifact.path
        try:
            if artifact.step:  # is written with the whole clip's
                if artifact.name.removesuffix("_step") in runners:
                    runners[artifact.name] = stream_runner(Stream(path), per_frame=source.interface.per_frame)
                continue
            print(f"Writing {path}", file=sys.stderr, flush=True)
            if artifact.quantize is None:
                path = export_saved_model(source.model, path, interface=source.interface)
                runners[artifact.name] = load_saved_model(path)
                continue
            path = export_litert(
                source.model,
                path,
                interface=source.interface,
                quantize=artifact.quantize,
                representative=_training_inputs(source),
                streaming=streaming,
            )
            runners[artifact.name] = load_litert(path)
        except (ConversionError, InputError) as error:
            failed[artifact.name] = str(error)
    return runners, failed


def _training_inputs(source: Source) -> Iterator[Any]:
    """Batches of the training split, unchanged; none where the data is not prepared."""
    if source.data is not None:
        for inputs, _ in source.data.evaluation(source.train, batch_size=8).as_numpy_iterator():
            yield inputs


def _examples(source: Source, count: int) -> tuple[Any, str]:
    """`count` validation examples where the run's data is prepared, else random pixels; and what they are. Every second
    clip loses half of its frames, so that masks are put to the test."""
    interface, data = source.interface, source.data
    random = np.random.default_rng(source.folder.recipe().seed)
    if data is not None:
        inputs: Any = data.first(source.validation, count=count)
        images = f"{data.dataset}, {source.validation}"
    else:
        images = "random pixels, as the run's data is not prepared here"
        shape = interface.image_shape if interface.kind == "still" else (interface.frames, *interface.image_shape)
        inputs = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        if interface.kind == "clip":
            inputs = {"frames": inputs, "frame_mask": np.ones(inputs.shape[:2], bool)}
    if interface.kind == "clip":
        mask = inputs["frame_mask"].copy()
        for row in mask[1::2]:
            shown = np.flatnonzero(row)
            row[random.choice(shown, size=len(shown) // 2, replace=False)] = False
        inputs = {**inputs, "frame_mask": mask}
    return inputs, images


def _score(
    planned: Sequence[Artifact],
    source: Source,
    runners: dict[str, Runner],
    data: StillPipeline | ClipPipeline,
    report: dict[str, Any],
) -> dict[str, str]:
    """Adds to `report` what Keras and the quantised files are worth on the validation split; removes an int8 file that
    loses more than a point, and returns why."""
    measured = [artifact for artifact in planned if artifact.quantised and not artifact.step]
    measured = [artifact for artifact in measured if artifact.name in runners]
    if not measured:
        return {}
    split = source.validation
    print(f"Measuring Keras and the quantised files on all of {split}", file=sys.stderr, flush=True)
    score, reference = split_score(keras_runner(source.model), data, split=split)
    report |= {"score": score, "split": split, "keras": reference}
    refused: dict[str, str] = {}
    for artifact in measured:
        result = report["artifacts"][artifact.name]
        _, result["score"] = split_score(runners[artifact.name], data, split=split)
        result["drop"] = reference - result["score"]
        if result["drop"] <= POINT:
            continue
        told = f"{score} on {split} falls from {reference:.4f} to {result['score']:.4f}"
        if artifact.quantize == "int8":
            refused[artifact.name] = f"{told}, so the file is not kept; take dynamic quantisation."
            for other in planned:
                if other.quantize == "int8":
                    (source.folder.path / other.path).unlink(missing_ok=True)
                    report["artifacts"][other.name]["passed"] = False
        else:
            warnings.warn(f"{artifact.path}: {told}.", stacklevel=1)
    return refused
