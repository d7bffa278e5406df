"""A support vector machine or a multi-layer perceptron on one vector a clip, chosen by grouped cross-validation.

Sources: Cortes & Vapnik, "Support-vector networks", Machine Learning 1995; scikit-learn for both classifiers. The
values that are tried are this library's.
"""

import warnings
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from ferkeras.errors import InputError
from ferkeras.inference import log_softmax

ClassifierName = Literal["svm", "mlp"]
CLASSIFIERS: tuple[ClassifierName, ...] = ("svm", "mlp")

#: Parts of the training split that take turns in the cross-validation, where there are as many subjects.
FOLDS = 3
#: Temperatures that are tried, two and a third percent apart.
TEMPERATURES = np.geomspace(1e-3, 1e3, 601)
#: What is tried.
GRIDS: dict[str, Any] = {
    "svm": [
        {"classifier__kernel": ["linear"], "classifier__C": [0.001, 0.01, 0.1]},
        {"classifier__kernel": ["rbf"], "classifier__C": [1.0, 10.0]},
    ],
    "mlp": {"classifier__alpha": [1.0, 10.0, 100.0]},
}


@dataclass(frozen=True)
class Chosen:
    """A fitted classifier.

    Attributes:
        pipeline: Scaling to mean 0 and variance 1, and the classifier.
        parameters: What was chosen.
        balanced_accuracy: Of the choice, mean over the folds.
    """

    pipeline: Pipeline
    parameters: dict[str, Any]
    balanced_accuracy: float


def fit_classifier(
    features: np.ndarray, labels: np.ndarray, subjects: np.ndarray | None, *, kind: ClassifierName, seed: int
) -> Chosen:
    """Fits every combination of `GRIDS` on parts of the examples, and the best one on all.

    No subject is in two of the parts; without subjects the parts are runs of neighbours, as are windows of a clip. The
    support vector machine weighs the classes by the inverse of their size.

    Args:
        features: (N, F).
        labels: (N,) class numbers, of which some may not occur.
        subjects: (N,) ids.
        kind: `svm`, linear or with a Gaussian kernel, or `mlp`, one hidden layer of 64 and L-BFGS.
        seed: Of the first weights of the perceptron.

    Raises:
        InputError: for fewer than two classes, subjects, or examples of a class.
    """
    classes, counts = np.unique(labels, return_counts=True)
    people = len(np.unique(subjects)) if subjects is not None else int(counts.min())
    if len(classes) < 2 or people < 2:
        raise InputError(
            "A classifier needs two classes, and two subjects or two examples of each class",
            received=f"{len(classes)} classes, {people} subjects or examples",
        )
    folds = min(FOLDS, people)
    splitter = StratifiedKFold(folds) if subjects is None else GroupKFold(folds)
    search = GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("classifier", _classifier(kind, seed))]),
        GRIDS[kind],
        scoring="balanced_accuracy",
        cv=splitter,
        error_score="raise",
    )
    # One thread: these products are small, more threads wait for each other, and sums depend on how many there are.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # the steps are limited on purpose
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        search.fit(features, labels, groups=subjects)
    parameters = {name.removeprefix("classifier__"): value for name, value in search.best_params_.items()}
    return Chosen(search.best_estimator_, parameters, float(search.best_score_))


def _classifier(kind: ClassifierName, seed: int) -> SVC | MLPClassifier:
    if kind == "svm":
        return SVC(class_weight="balanced")
    if kind == "mlp":
        return MLPClassifier(hidden_layer_sizes=(64,), solver="lbfgs", max_iter=100, random_state=seed)
    raise InputError("Unknown classifier", received=kind, action=f"Known: {', '.join(GRIDS)}.")


def scores(pipeline: Pipeline, features: np.ndarray) -> np.ndarray:
    """(N, C) of the C classes that it was fitted on: distances to the borders, or log probabilities."""
    if not hasattr(pipeline, "decision_function"):
        return np.log(np.maximum(pipeline.predict_proba(features), 1e-30))
    decision = pipeline.decision_function(features)
    return np.stack([-decision, decision], axis=-1) if decision.ndim == 1 else decision


def log_probabilities(scored: np.ndarray, *, temperature: float, known: np.ndarray, classes: int) -> np.ndarray:
    """(N, K) logarithms of softmax(scores / temperature); those of classes that are not `known` (C,) are -69."""
    found = np.full((len(scored), classes), np.log(1e-30))
    found[:, known] = log_softmax(scored / temperature)
    return found


def fit_temperature(scored: np.ndarray, labels: np.ndarray, *, known: np.ndarray) -> float:
    """The one of `TEMPERATURES` with the least mean -log p of the labels (N,); 1 where none of them is known.

    Source: Guo et al., "On calibration of modern neural networks", ICML 2017, section 4.2, with the scores as logits:
    it makes probabilities of them and leaves the choice of the class as it is.
    """
    inside = np.isin(labels, known)
    if not inside.any():
        return 1.0
    columns = np.searchsorted(known, labels[inside])[:, None]
    losses = [-np.take_along_axis(log_softmax(scored[inside] / t), columns, axis=1).mean() for t in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])
