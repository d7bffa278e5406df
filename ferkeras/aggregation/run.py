"""Run folders of aggregations: made out of a trained run, and opened again; and all ways on one split."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ferkeras.aggregation import AGGREGATION_FILE
from ferkeras.aggregation.aggregator import Aggregator, Settings, fit, load
from ferkeras.aggregation.classifier import CLASSIFIERS
from ferkeras.aggregation.decision import DECISION_METHODS
from ferkeras.aggregation.encoding import EncodedSplit, encode, encode_split, frame_network
from ferkeras.aggregation.feature import FEATURE_METHODS
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.opening import fingerprints, open_clips
from ferkeras.errors import InputError
from ferkeras.evaluation import Predictions, measure, table, write_plots
from ferkeras.fields import build
from ferkeras.files import staged
from ferkeras.inference import Runner
from ferkeras.modelcard import write_model_card
from ferkeras.recipe import Recipe, resolve
from ferkeras.runs import RunFolder, environment

#: The network of single frames; no other command takes it for a model of the run's clips.
ENCODER_FILE = "encoder.keras"
CLASSIFIER_FILE = "classifier.skops"

#: Every way there is: four of probabilities, eight of vectors with either classifier.
VARIANTS: tuple[Settings, ...] = (
    *(Settings(method) for method in DECISION_METHODS),
    *(Settings(method, classifier) for classifier in CLASSIFIERS for method in FEATURE_METHODS),
)


def aggregate(
    source: RunFolder,
    output: Path,
    *,
    settings: Settings,
    clips: Recipe | None = None,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
) -> str:
    """Fits one aggregation on the training split and leaves a run folder at `output`; returns the table of its scores.

    The folder holds what every run folder does, of the validation split as after training, but for `model.keras` and
    `history.csv`; instead `aggregation.json`, `encoder.keras` and, with a classifier, `classifier.skops`.

    Args:
        source: A run on stills or on frames, or with a classifier also one of a sequence model, for its encoder.
        output: A folder that is not there yet.
        settings: Which way.
        clips: Names the data set, splits and windows, see `clips_recipe`.
        data_dir: Where prepared data lies.
        manual_dir: Official files, for data that is not prepared yet.

    Raises:
        InputError: for an output that is there, and as `clips_recipe`, `fit` and `Aggregator.save`.
    """
    if output.exists():
        received = str(output)
        raise InputError("There is a run of this name already", received=received, action="Choose another --output.")
    settings.check()
    recipe = clips_recipe(source, clips, name=output.name)
    data = open_clips(recipe, data_dir=data_dir, manual_dir=manual_dir)
    network = frame_network(source.load_model())
    _check_classes(source, data, settings)
    train, validation = (encode_split(network, data, name) for name in (recipe.data.train, recipe.data.validation))
    aggregator = fit(settings, train, validation, classes=len(data.class_names), seed=recipe.seed)
    found = _predictions(aggregator, validation, data, split=recipe.data.validation)
    with staged(output) as unfinished:
        folder = RunFolder(unfinished)
        folder.write_json("recipe.json", json.loads(recipe.to_json()))
        folder.write_json("labels.json", {"emotion": list(data.class_names)})
        shape = {"margin": data.margin, "frames": data.windows.frames, "stride": data.windows.stride}
        folder.write_json("preprocessing.json", json.loads(data.preprocessing.to_json()) | shape)
        folder.write_json("env.json", environment(seed=recipe.seed, fingerprint=fingerprints(data)))
        told = {"settings": dataclasses.asdict(settings), "frames_by": source.path.resolve().name}
        folder.write_json(AGGREGATION_FILE, told | aggregator.notes)
        network.save(unfinished / ENCODER_FILE)
        aggregator.save(unfinished / CLASSIFIER_FILE)
        report = measure(found, seed=recipe.seed)
        folder.write_json("metrics.json", report)
        write_plots(folder, report, found)
        write_model_card(folder, report)
    return table(report)


def load_runner(folder: RunFolder) -> Runner:
    """The aggregation in a folder that `aggregate` made: clips to {"emotion": logarithms of probabilities (B, K)}.

    Raises:
        InputError: for a file that is missing or broken.
    """
    try:
        told = json.loads((folder.path / AGGREGATION_FILE).read_text(encoding="utf-8"))
        settings = build(Settings, told["settings"], prefix="settings.")
    except (OSError, ValueError, KeyError, TypeError) as error:
        received = str(folder.path / AGGREGATION_FILE)
        raise InputError("The aggregation cannot be read", received=received, action=str(error)) from error
    aggregator = load(folder.path / CLASSIFIER_FILE, settings, classes=len(folder.labels()))
    network = folder.load_model(ENCODER_FILE)

    def run(inputs: Any) -> dict[str, np.ndarray]:
        return {"emotion": aggregator(encode(network, inputs))}

    return run


def predict_variants(
    source: RunFolder,
    *,
    split: str | None = None,
    variants: tuple[Settings, ...] = VARIANTS,
    clips: Recipe | None = None,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
) -> dict[str, Predictions]:
    """Fits every one of `variants` on the training split; name of each -> what it says of `split`, by default the test
    split. Frames are encoded once. From the encoder of a sequence model those of probabilities are left out.

    Raises:
        InputError: as `aggregate`.
    """
    recipe = clips_recipe(source, clips, name="aggregation")
    data = open_clips(recipe, data_dir=data_dir, manual_dir=manual_dir)
    network = frame_network(source.load_model())
    names = (recipe.data.train, recipe.data.validation, split or recipe.data.test)
    train, validation, asked = (encode_split(network, data, name) for name in names)
    found = {}
    for settings in variants:
        settings.check()
        if settings.classifier is None and asked.clips.probabilities is None:
            continue
        _check_classes(source, data, settings)
        print(f"ferkeras: {settings.name}", file=sys.stderr, flush=True)
        aggregator = fit(settings, train, validation, classes=len(data.class_names), seed=recipe.seed)
        found[settings.name] = _predictions(aggregator, asked, data, split=names[-1])
    return found


def clips_recipe(source: RunFolder, clips: Recipe | None, *, name: str) -> Recipe:
    """What is aggregated: the data of `clips`, by default of the run itself, at the size that its network sees.

    Raises:
        InputError: for a recipe without windows of clips, or of valence and arousal.
    """
    own = source.recipe()
    given = clips or own
    if given.data.clips is None or given.data.target != "label":
        raise InputError(
            "The data of an aggregation are windows of clips with classes",
            received=f"{given.name}, with data.clips={given.data.clips} and data.target={given.data.target}",
            action="Name another recipe with --data, such as xception_lstm_clips.",
        )
    data = dataclasses.replace(given.data, image_size=own.data.image_size, channels=own.data.channels)
    return resolve(Recipe(name, own.model, data, seed=own.seed))


def _check_classes(source: RunFolder, data: ClipPipeline, settings: Settings) -> None:
    """Probabilities of frames are those of the classes of the run; vectors may be of anything."""
    known = source.heads().get("emotion", [])
    if settings.classifier is None and known and tuple(known) != data.class_names:
        raise InputError(
            "The clips have other classes than the run",
            received=", ".join(data.class_names),
            action=f"The run knows {', '.join(known)}; vectors can be aggregated, with --classifier svm or mlp.",
        )


def _predictions(aggregator: Aggregator, encoded: EncodedSplit, data: ClipPipeline, *, split: str) -> Predictions:
    about = {"dataset": data.dataset, "split": split, "tta": "none", "frames": data.windows.frames}
    logits, labels = {"emotion": aggregator(encoded.clips)}, {"emotion": encoded.labels}
    return Predictions(about, data.class_names, logits, labels, encoded.subjects)
