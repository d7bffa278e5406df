"""What a recipe teaches a network: emotion, or valence and arousal; their losses, and what an epoch is judged by."""

import abc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ferkeras.affect_losses import AffectLoss
from ferkeras.affect_metrics import affect_scores
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.opening import open_clips, open_data
from ferkeras.data.pipeline import Pipeline, StillPipeline
from ferkeras.errors import InputError
from ferkeras.inference import log_softmax, seen_labels
from ferkeras.losses import CrossEntropy, FocalLoss, balanced_class_weights
from ferkeras.recipe import Loss, Recipe
from ferkeras.valence_arousal import mean_value

Arrays = Mapping[str, np.ndarray]


def open_examples(
    recipe: Recipe, *, data_dir: Path | None = None, manual_dir: Path | None = None
) -> StillPipeline | ClipPipeline:
    """The pipeline of a recipe for stills or for clips; arguments and errors as those of `open_data`."""
    opened = open_data if recipe.data.clips is None else open_clips
    return opened(recipe, data_dir=data_dir, manual_dir=manual_dir)


class Task(abc.ABC):
    """The heads of a recipe.

    Attributes:
        losses: Head -> loss.
        loss_weights: Head -> its weight in the sum.
        metrics: Head -> what is counted while it trains.
        watched: Columns of the history that training gives beside the loss, under Keras's names.
        curves: Columns of the history that are worth a plot.
    """

    losses: dict[str, keras.losses.Loss]
    loss_weights: dict[str, float]
    metrics: dict[str, keras.metrics.Metric]
    watched: tuple[str, ...] = ()
    curves: tuple[str, ...]

    def batches(self, batches: Any) -> Any:
        """Training batches as Keras takes them."""
        return batches

    @abc.abstractmethod
    def validate(self, logits: Arrays, labels: Arrays) -> tuple[dict[str, float], np.ndarray]:
        """Columns `val_...` of the history from all examples of the validation split, and the recall of each class
        (K,), NaN where the split has none; (0,) without classes."""

    def adapt(self, recall: np.ndarray) -> None:
        """Changes the loss after an epoch, where the recipe says so."""
        return

    def state(self) -> dict[str, Any]:
        """What `adapt` has changed, for a checkpoint."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Inverse of `state`."""
        return


class EmotionTask(Task):
    """One label of K classes for each image or clip."""

    watched = ("accuracy",)
    curves = ("loss", "accuracy", "learning_rate")

    def __init__(self, recipe: Recipe, *, class_counts: Sequence[int]) -> None:
        self._settings = recipe.loss
        self.losses = {"emotion": make_loss(recipe.loss, class_counts=class_counts)}
        self.loss_weights = {"emotion": 1.0}
        # With soft targets a hit is where the largest logit stands at the largest target.
        soft = recipe.soft_targets
        kind = keras.metrics.CategoricalAccuracy if soft else keras.metrics.SparseCategoricalAccuracy
        self.metrics = {"emotion": kind(name="accuracy")}

    def validate(self, logits: Arrays, labels: Arrays) -> tuple[dict[str, float], np.ndarray]:
        """`val_loss` is the cross-entropy without weights or smoothing, whatever the recipe trains with."""
        z, true = logits["emotion"], labels["emotion"]
        hits = z.argmax(axis=-1) == true
        losses = -log_softmax(z)[np.arange(len(true)), true]
        classes = z.shape[-1]
        totals = np.bincount(true, minlength=classes)
        with np.errstate(invalid="ignore"):
            recall = np.bincount(true, weights=hits, minlength=classes) / totals
        return {"val_loss": float(losses.mean()), "val_accuracy": float(hits.mean())}, recall

    def adapt(self, recall: np.ndarray) -> None:
        loss = self.losses["emotion"]
        if isinstance(loss, FocalLoss) and self._settings.alpha == "recall":
            loss.update_alpha(recall)

    def state(self) -> dict[str, Any]:
        loss = self.losses["emotion"]
        return {"alpha": loss.state().tolist()} if isinstance(loss, FocalLoss) else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        loss = self.losses["emotion"]
        if isinstance(loss, FocalLoss):
            loss.restore(state["alpha"])


class AffectTask(Task):
    """Valence and arousal in 21 bins, of each window of frames or of each frame."""

    curves = ("loss", "ccc", "ccc_valence", "ccc_arousal", "learning_rate")

    def __init__(self, recipe: Recipe, *, class_counts: Sequence[int]) -> None:
        del class_counts
        terms = recipe.loss.affect
        self.loss_weights = {"valence": terms.valence, "arousal": terms.arousal}
        self.losses = {
            head: AffectLoss(
                cross_entropy=terms.cross_entropy, ccc=terms.ccc, mse=terms.mse, soft_sigma=terms.soft_sigma
            )
            for head in self.loss_weights
        }
        self.metrics = {}
        self._per_frame = recipe.data.target == "valence_arousal_frames"

    def batches(self, batches: Any) -> Any:
        """With labels per frame, those of frames that the model does not see weigh nothing."""
        if not self._per_frame:
            return batches
        return batches.map(lambda inputs, labels: (inputs, labels, dict.fromkeys(labels, inputs["frame_mask"])))

    def validate(self, logits: Arrays, labels: Arrays) -> tuple[dict[str, float], np.ndarray]:
        """`val_loss` is the recipe's own loss with the whole split as one batch, as CCC is no mean over batches."""
        losses = {head: self.losses[head](labels[head], logits[head]) for head in self.losses}
        loss = sum(self.loss_weights[head] * float(ops.convert_to_numpy(value)) for head, value in losses.items())
        ccc = {f"val_ccc_{head}": affect_scores(labels[head], logits[head])["ccc"] for head in self.losses}
        return {"val_loss": loss, **ccc, "val_ccc": sum(ccc.values()) / len(ccc)}, np.zeros(0)


def task_of(recipe: Recipe) -> type[EmotionTask] | type[AffectTask]:
    """Which of the tasks `recipe` has."""
    return EmotionTask if recipe.heads == ("emotion",) else AffectTask


def make_task(recipe: Recipe, *, class_counts: Sequence[int]) -> Task:
    """The task of `recipe`; `class_counts` are the K numbers of training examples, of no use without classes."""
    return task_of(recipe)(recipe, class_counts=class_counts)


def make_loss(settings: Loss, *, class_counts: Sequence[int]) -> CrossEntropy | FocalLoss:
    """The recipe's loss for K = len(class_counts) classes.

    Raises:
        InputError: for balanced weights with an absent class, or an alpha vector that is not of length K.
    """
    if settings.name == "focal":
        classes = len(class_counts)
        if isinstance(settings.alpha, tuple) and len(settings.alpha) != classes:
            raise InputError(f"loss.alpha must have {classes} values, one per class", received=settings.alpha)
        alpha = [1.0] * classes if settings.alpha == "recall" else settings.alpha
        return FocalLoss(gamma=settings.gamma, alpha=1.0 if alpha is None else alpha)
    weights = balanced_class_weights(class_counts) if settings.class_weights == "balanced" else None
    return CrossEntropy(class_weights=weights, label_smoothing=settings.label_smoothing)


def training_means(data: Pipeline, *, split: str) -> dict[str, float]:
    """Mean label in [-1, 1] of valence and of arousal in `split`: what a constant prediction should be.

    Raises:
        InputError: where nothing is labelled.
    """
    parts = [seen_labels(inputs, labels) for inputs, labels in data.evaluation(split).as_numpy_iterator()]
    return {head: mean_value(np.concatenate([part[head].ravel() for part in parts])) for head in parts[0]}
