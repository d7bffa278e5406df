"""Distillation: beside the labels a network learns from the probabilities that trained networks give.

Source: Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv 1503.02531), section 2.
Of several teachers the mean of their softened probabilities counts. The teachers see the very batch that the student
sees, after all augmentation, so nothing is stored and a resumed run needs no state of theirs.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import ops

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.recipe_data import Distill
from ferkeras.runs import RunFolder
from ferkeras.training.twin import can_fuse, make_twin


def soften(logits: Any, *, temperature: float) -> Any:
    """Probabilities `softmax(z / T)` (B, K) float32 from logits `z` (B, K): the higher `T`, the more even they are."""
    return ops.softmax(ops.cast(logits, "float32") / temperature, axis=-1)


def soft_loss(targets: Any, logits: Any, *, temperature: float) -> Any:
    """What the student's softened probabilities lack of the teachers': `T^2 KL(targets || softmax(z / T))`.

    The gradient is that of the paper's cross-entropy; the entropy of the targets, which is constant, is taken off, so
    that a student that says the same has a loss of 0. `T^2` keeps the size of the gradient as `T` changes.

    Args:
        targets: (B, K) softened probabilities of the teachers.
        logits: (B, K) of the student.
        temperature: T.

    Returns:
        (B,) float32, at least 0.
    """
    log_ratio = ops.log(ops.maximum(targets, 1e-30)) - ops.log_softmax(ops.cast(logits, "float32") / temperature)
    return temperature**2 * ops.sum(targets * log_ratio, axis=-1)


class Teachers:
    """Trained networks, in inference mode and out of reach of any gradient.

    Args:
        models: Still models with an output `emotion` (B, K), all of the same K.
        settings: Temperature and weight.
        dtype: Their arithmetic, that of the recipe.
        fused: Use the faster CPU layers; by default wherever they apply.
        marks: Name of each -> what tells its weights from others.
    """

    def __init__(
        self,
        models: Sequence[keras.Model],
        settings: Distill,
        *,
        dtype: str,
        fused: bool | None = None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        fused = can_fuse() if fused is None else fused
        heads = [keras.Model(model.input, {"emotion": model.output["emotion"]}, name=model.name) for model in models]
        self._models = [make_twin(model, dtype=dtype, fused=fused) for model in heads]
        self.settings = settings
        self.marks = dict(marks or {})

    def __call__(self, images: Any) -> Any:
        """Mean softened probabilities (B, K) float32 for images (B, H, W, C), pixels in [0, 255]."""
        temperature = self.settings.temperature
        said = [soften(model(images, training=False)["emotion"], temperature=temperature) for model in self._models]
        return ops.stop_gradient(sum(said) / len(said))

    def row_loss(self, images: Any, outputs: Mapping[str, Any]) -> Any:
        """(B,) float32: what is added to the student's loss for images (B, H, W, C) and its outputs."""
        temperature = self.settings.temperature
        return self.settings.weight * soft_loss(self(images), outputs["emotion"], temperature=temperature)


class DistilledModel(keras.Model):
    """A functional model whose training loss has the soft one in it.

    Its layers are those of `student`; the teachers are held as a plain object, which Keras does not track: they are in
    none of the model's variables, files and optimiser slots.

    Args:
        student: Functional, with the output `emotion`.
        teachers: Their weight times the soft loss is added to what the model is compiled with.
    """

    def __init__(self, student: keras.Model, teachers: Teachers) -> None:
        super().__init__(inputs=student.input, outputs=student.output, name=student.name)
        self._teachers = teachers

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        loss = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not training:
            return loss
        return loss + ops.mean(self._teachers.row_loss(x, y_pred))


def open_teachers(
    settings: Distill | None, workdir: Path, *, preprocessing: Preprocessing, classes: Sequence[str], dtype: str
) -> Teachers | None:
    """The teachers that a recipe names, or None without any and where they weigh nothing.

    Args:
        settings: Of the recipe.
        workdir: The run folder of the student; a teacher is a path, or the name of a folder beside it.
        preprocessing: What the student's images are.
        classes: Names of the student's K outputs.
        dtype: Arithmetic of the recipe.

    Raises:
        InputError: for a run that is not there, not finished or the student's own, and for one of another image size,
            colour or other classes.
    """
    if settings is None or settings.weight == 0:
        return None
    folders = {name: RunFolder.find(name, root=workdir.parent) for name in settings.teachers}
    for name, folder in folders.items():
        _check(name, folder, workdir, preprocessing, classes)
    marks = {name: hashlib.sha256((f.path / "model.keras").read_bytes()).hexdigest() for name, f in folders.items()}
    return Teachers([f.load_model() for f in folders.values()], settings, dtype=dtype, marks=marks)


def _check(name: str, folder: RunFolder, workdir: Path, preprocessing: Preprocessing, classes: Sequence[str]) -> None:
    if not folder.is_finished() or folder.path.resolve() == workdir.resolve():
        raise InputError(
            "A teacher must be another run that is finished",
            received=f"distill.teachers: {name}",
            action="Train it first, or name another run.",
        )
    seen = folder.preprocessing()
    found = (seen["height"], seen["width"], seen["channels"])
    wanted = (preprocessing.height, preprocessing.width, preprocessing.channels)
    if found != wanted or "frames" in seen:
        raise InputError(
            f"A teacher sees the student's images: still ones of {'x'.join(map(str, wanted))}",
            received=f"{name}, a model of {'clips' if 'frames' in seen else 'stills'} of {'x'.join(map(str, found))}",
            action="Set data.image_size and data.channels to those of the teacher, or name another run.",
        )
    if folder.labels() != tuple(classes):
        raise InputError(
            f"A teacher has the student's classes in their order: {', '.join(classes)}",
            received=f"{name}: {', '.join(folder.labels())}",
            action="Set data.classes, or name another run.",
        )
