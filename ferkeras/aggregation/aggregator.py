"""One way to aggregate: fitted on a training split, kept in a file, and then from encoded clips to a distribution."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from ferkeras.aggregation.classifier import (
    ClassifierName,
    fit_classifier,
    fit_temperature,
    log_probabilities,
    scores,
)
from ferkeras.aggregation.decision import DECISION_METHODS, aggregate_probabilities
from ferkeras.aggregation.encoding import EncodedClips, EncodedSplit
from ferkeras.aggregation.feature import SPD_METHODS, FrameBasis, describe, require_method
from ferkeras.errors import InputError, MissingExtraError
from ferkeras.files import staged


@dataclass(frozen=True)
class Settings:
    """Which way.

    Attributes:
        method: A key of `DECISION_METHODS`, or with a classifier of `FEATURE_METHODS`.
        classifier: What stands on the aggregated vectors; None aggregates probabilities.
        components: Of the principal component analysis before covariances.
    """

    method: str = "mean"
    classifier: ClassifierName | None = None
    components: int = 16

    @property
    def name(self) -> str:
        """Such as `decision mean` or `feature gaussian svm`."""
        return f"feature {self.method} {self.classifier}" if self.classifier else f"decision {self.method}"

    def check(self) -> None:
        """Raises `InputError` for a method that the level does not have."""
        if self.classifier is not None:
            require_method(self.method)
        elif self.method not in DECISION_METHODS:
            raise InputError(
                "Unknown way to aggregate probabilities",
                received=self.method,
                action=f"Known: {', '.join(DECISION_METHODS)}; vectors are aggregated with --classifier svm or mlp.",
            )


@dataclass(frozen=True)
class FeatureClassifier:
    """What the feature level has fitted.

    Attributes:
        pipeline: Of scikit-learn, on the description of a clip.
        known: (C,) class numbers that it was fitted on.
        temperature: See `fit_temperature`.
        basis: For covariances.
    """

    pipeline: Pipeline
    known: np.ndarray
    temperature: float
    basis: FrameBasis | None


@dataclass(frozen=True)
class Aggregator:
    """From encoded clips to logarithms of probabilities.

    Attributes:
        settings: Which way.
        classes: K.
        fitted: Of the feature level.
        notes: What was chosen, for people.
    """

    settings: Settings
    classes: int
    fitted: FeatureClassifier | None
    notes: dict[str, Any]

    def __call__(self, clips: EncodedClips) -> np.ndarray:
        """(N, K) float64.

        Raises:
            InputError: for a clip without a valid frame, or probabilities that are wanted and not there.
        """
        if self.fitted is None:
            if clips.probabilities is None:
                raise InputError(
                    "Probabilities of frames come from a network of stills alone",
                    received="the encoder of a sequence model",
                    action="Aggregate its vectors, with --classifier svm or mlp.",
                )
            combined = aggregate_probabilities(clips.probabilities, clips.mask, method=self.settings.method)
            return np.log(np.maximum(combined, 1e-30))
        described = describe(clips.vectors, clips.mask, method=self.settings.method, basis=self.fitted.basis)
        return log_probabilities(
            scores(self.fitted.pipeline, described),
            temperature=self.fitted.temperature,
            known=self.fitted.known,
            classes=self.classes,
        )

    def save(self, path: Path) -> None:
        """Writes what is fitted to `path` by skops: arrays and the names of scikit-learn's classes, no code.

        Raises:
            MissingExtraError: without skops.
        """
        if self.fitted is None:
            return
        fitted, basis = self.fitted, self.fitted.basis
        content = {
            "pipeline": fitted.pipeline,
            "known": fitted.known,
            "temperature": fitted.temperature,
            "basis": None if basis is None else {"mean": basis.mean, "axes": basis.axes},
        }
        with staged(path) as unfinished:
            _skops().dump(content, unfinished)


def fit(
    settings: Settings, train: EncodedSplit, validation: EncodedSplit, *, classes: int, seed: int = 0
) -> Aggregator:
    """Fits on `train`; the temperature of a classifier's probabilities on `validation`.

    Args:
        settings: Which way.
        train: Not used on the decision level, where nothing is fitted.
        validation: Likewise.
        classes: K.
        seed: Of what is drawn at random.

    Raises:
        InputError: for an unknown method, a clip without a valid frame, or too few classes or subjects.
    """
    settings.check()
    if settings.classifier is None:
        return Aggregator(settings, classes, None, {})
    basis = None
    if settings.method in SPD_METHODS:
        basis = FrameBasis.fit(train.clips.vectors, train.clips.mask, components=settings.components)
    described, held_out = (
        describe(split.clips.vectors, split.clips.mask, method=settings.method, basis=basis)
        for split in (train, validation)
    )
    chosen = fit_classifier(described, train.labels, train.subjects, kind=settings.classifier, seed=seed)
    known = np.asarray(chosen.pipeline.classes_)
    temperature = fit_temperature(scores(chosen.pipeline, held_out), validation.labels, known=known)
    notes = {
        "chosen": chosen.parameters,
        "cross_validated_balanced_accuracy": chosen.balanced_accuracy,
        "temperature": temperature,
    }
    return Aggregator(settings, classes, FeatureClassifier(chosen.pipeline, known, temperature, basis), notes)


def load(path: Path, settings: Settings, *, classes: int) -> Aggregator:
    """Inverse of `Aggregator.save`.

    Raises:
        InputError: for a file that is missing or broken, or that names anything but scikit-learn's and NumPy's types,
            none of which is then made.
        MissingExtraError: without skops.
    """
    if settings.classifier is None:
        return Aggregator(settings, classes, None, {})
    if not path.is_file():
        raise InputError("The run lacks its classifier", received=str(path), action="Aggregate again.")
    skops = _skops()
    try:
        content = skops.load(path, trusted=[])
        pipeline, basis = content["pipeline"], content["basis"]
        if not isinstance(pipeline, Pipeline):
            raise TypeError(f"A pipeline is expected, not {type(pipeline).__name__}.")
        basis = FrameBasis(**basis) if basis else None
        fitted = FeatureClassifier(pipeline, content["known"], content["temperature"], basis)
    except Exception as error:  # zip, JSON, array and type errors: skops has no one class for a bad file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError("The classifier cannot be read", received=str(path), action=reason) from error
    return Aggregator(settings, classes, fitted, {})


def _skops() -> Any:
    try:
        return importlib.import_module("skops.io")
    except ImportError as error:
        raise MissingExtraError("skops", extra="aggregation") from error
