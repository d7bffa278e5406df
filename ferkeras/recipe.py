"""What a training run is: frozen dataclasses with strict overrides and a JSON form. Standard library only.

A recipe lives in two phases. It is built (`recipes/<name>.py`) and overridden (`override`), where anything may
still change; then `resolve` checks it as a whole and freezes it. The resolved recipe is written into the run
folder before the first step, and everything after training reads it from there.
"""

import dataclasses
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ferkeras.errors import InputError
from ferkeras.fields import assign, build
from ferkeras.recipe_data import Augment, Data, Distill


@dataclass(frozen=True)
class Model:
    """Which network: a name in `ferkeras.models.MODELS` and the keyword options of its function."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AffectTerms:
    """What the loss of valence and of arousal is made of, see `ferkeras.affect_losses.AffectLoss`."""

    cross_entropy: float = 1.0
    """Weight of the cross-entropy over the 21 bins."""
    soft_sigma: float = 0.0
    """Width in bins of its soft targets, in which a near miss costs less than a far one; 0 for one-hot ones."""
    ccc: float = 0.0
    """Weight of 1 - CCC of the batch."""
    mse: float = 0.0
    """Weight of the squared error on the scale of [-1, 1]."""
    valence: float = 1.0
    """Weight of the whole loss of valence in the sum..."""
    arousal: float = 1.0
    """...and of arousal."""


@dataclass(frozen=True)
class Loss:
    """Cross-entropy or focal loss on the logits of emotion; of valence and arousal `affect` alone counts."""

    name: Literal["cross_entropy", "focal"] = "cross_entropy"
    label_smoothing: float = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs class k by n / (K n_k) of the training split (cross-entropy only)."""
    gamma: float = 2.0
    """Focusing exponent (focal only)."""
    alpha: float | tuple[float, ...] | Literal["recall"] | None = None
    """Focal only: one factor, one per class, or `recall`: set anew each epoch from the validation recall."""
    affect: AffectTerms = AffectTerms()


@dataclass(frozen=True)
class Optimizer:
    """The optimiser and what stabilises it."""

    name: Literal["adamw", "adam", "sgd", "nesterov"] = "adamw"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    """Decoupled, multiplied by the learning rate (Loshchilov & Hutter, 2019)."""
    momentum: float = 0.9
    """For sgd and nesterov."""
    clip_norm: float | None = None
    """Largest global norm of the gradient."""
    ema: float | None = None
    """Decay of the moving average of the weights, which is what is then validated and saved."""


@dataclass(frozen=True)
class Schedule:
    """How the learning rate moves.

    The one-cycle policy (Smith, 2018) is `cosine` with a third of the run as `warmup`; its cycle of the momentum is not
    there.
    """

    name: Literal["constant", "cosine", "cosine_restarts", "step", "plateau"] = "constant"
    warmup: str = "0st"
    """Linear rise from zero, as a duration; with cosine_restarts at the beginning of each cycle; not for plateau."""
    factor: float = 0.1
    """step and plateau multiply the rate by this."""
    every: str = "10ep"
    """step: how often, cosine_restarts: length of a cycle; as a duration."""
    patience: int = 5
    """plateau: epochs without a better validation loss before the rate falls."""
    floor: float = 0.0
    """Least learning rate (cosine and each of its cycles end there, plateau stops there)."""


@dataclass(frozen=True)
class Aggregation:
    """How the frames of clips are put together without a network over time, see `ferkeras.aggregation`."""

    run: str
    """The run whose network sees the frames: a folder, or the name of one beside the new run."""
    method: str = "mean"
    classifier: Literal["svm", "mlp"] | None = None
    """What stands on aggregated vectors; none aggregates probabilities."""
    components: int = 16
    """Principal components before covariances."""


@dataclass(frozen=True)
class Distribute:
    """The devices that train together, see `ferkeras.training.distribute`. The batch size is that of all together."""

    strategy: Literal["auto", "one_device", "mirrored", "multi_worker", "tpu"] = "auto"
    """`auto` takes the cluster that the process belongs to, else all GPUs, else one device."""
    replicas: int = 0
    """mirrored: how many GPUs, or parts of the CPU where there is no GPU; 0 is all GPUs, and the CPU as one."""
    rate_scaling: Literal["none", "linear", "sqrt"] = "none"
    """Multiplies the learning rate by the number of replicas, or its root, for a batch that was raised with it."""
    synchronized_batch_norm: bool = False
    """Batch normalisation over the whole batch, as on one device, and not over each replica's share."""


@dataclass(frozen=True)
class Recipe:
    """A whole training run. Durations carry a unit: `30ep` epochs or `2000st` steps."""

    name: str
    model: Model
    data: Data
    augment: Augment = field(default_factory=Augment)
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    schedule: Schedule = Schedule()
    duration: str = "30ep"
    batch_size: int = 32
    patience: int | None = None
    """Early stopping: epochs without improvement that are tolerated; None trains to the end."""
    monitor: Literal["loss", "accuracy", "ccc"] = "loss"
    """Which validation value picks the best epoch: accuracy is of emotion, ccc the mean of valence and arousal."""
    dtype: Literal["float32", "mixed_bfloat16"] = "float32"
    """Arithmetic in training. The saved model is float32 either way."""
    cache_features: bool = False
    """For clips and a model with a frozen encoder: encode each frame once, in float32, keep the vectors beside the
    data, and train on them. Nothing can be augmented then."""
    distill: Distill | None = None
    """Soft labels of trained networks, for emotion of stills."""
    aggregation: Aggregation | None = None
    """In the place of training a network of clips; of the rest, `data` and `seed` count."""
    distribute: Distribute = Distribute()
    stn_every: int = 5
    """Epochs between two pictures of what a spatial transformer does, for models that have one; 0 writes none."""
    seed: int = 0

    @property
    def heads(self) -> tuple[str, ...]:
        """Names of the outputs that are trained: emotion, or valence and arousal."""
        return ("valence", "arousal") if self.data.target.startswith("valence_arousal") else ("emotion",)

    @property
    def score(self) -> str:
        """The column of the history that tells how good an epoch is, the higher the better."""
        return "val_accuracy" if self.heads == ("emotion",) else "val_ccc"

    @property
    def soft_targets(self) -> bool:
        """Whether training labels are distributions over the classes and not class numbers."""
        return self.augment.mixes or self.data.target == "distribution"

    def steps(self, duration: str, *, steps_per_epoch: int) -> int:
        """Optimiser steps in `duration`."""
        amount, unit = parse_duration(duration)
        return amount if unit == "st" else amount * steps_per_epoch

    def epochs(self, *, steps_per_epoch: int) -> int:
        """Whole epochs in the recipe's duration; a started epoch is finished."""
        return max(1, -(-self.steps(self.duration, steps_per_epoch=steps_per_epoch) // steps_per_epoch))

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @staticmethod
    def from_json(text: str) -> "Recipe":
        """Inverse of `to_json`; raises `InputError` on an unknown key or a wrong value."""
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError("recipe.json is not JSON", received=str(error)) from error
        return build(Recipe, values, prefix="")


def parse_duration(text: str) -> tuple[int, str]:
    """`"30ep"` -> `(30, "ep")`, `"2000st"` -> `(2000, "st")`; raises `InputError` without a unit."""
    match = re.fullmatch(r"(\d+)(ep|st)", text) if isinstance(text, str) else None
    if match is None:
        raise InputError("A duration needs a unit", received=text, action='Write "30ep" or "2000st".')
    return int(match[1]), match[2]


def override(recipe: Recipe, assignments: Iterable[str]) -> Recipe:
    """Returns `recipe` with each `key=value` applied; keys are dotted paths such as `optimizer.learning_rate`.

    Raises `InputError` on a word without `=`, an unknown key (with a suggestion) or a value of the wrong type.
    """
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise InputError("--set takes key=value", received=assignment, action="Try --set batch_size=64.")
        recipe = assign(recipe, path.strip().split("."), text.strip(), path.strip())
    return recipe


def resolve(recipe: Recipe) -> Recipe:
    """Checks `recipe` as a whole and returns it; raises `InputError` naming the key that is wrong."""
    _require(recipe.batch_size >= 1, "batch_size", "at least 1", recipe.batch_size)
    _require(recipe.seed >= 0, "seed", "at least 0", recipe.seed)
    _require(recipe.stn_every >= 0, "stn_every", "at least 0", recipe.stn_every)
    _require(recipe.patience is None or recipe.patience >= 0, "patience", "none or at least 0", recipe.patience)
    _require(recipe.distribute.replicas >= 0, "distribute.replicas", "at least 0", recipe.distribute.replicas)
    _require(min(recipe.data.image_size) >= 1, "data.image_size", "positive", recipe.data.image_size)
    rate = recipe.optimizer.learning_rate
    _require(0 < rate < math.inf, "optimizer.learning_rate", "positive and finite", rate)
    decay, clip = recipe.optimizer.weight_decay, recipe.optimizer.clip_norm
    _require(decay >= 0, "optimizer.weight_decay", "at least 0", decay)
    _require(clip is None or clip > 0, "optimizer.clip_norm", "none or positive", clip)
    for key in ("momentum", "ema"):
        value = getattr(recipe.optimizer, key)
        _require(value is None or 0 <= value < 1, f"optimizer.{key}", "in [0, 1)", value)
    _require(0 <= recipe.loss.label_smoothing < 1, "loss.label_smoothing", "in [0, 1)", recipe.loss.label_smoothing)
    for index, part in enumerate(recipe.data.parts):
        _require(0 < part.weight < math.inf, f"data.parts[{index}].weight", "positive and finite", part.weight)
    unlike = len(set(recipe.data.classes)) == len(recipe.data.classes)
    _require(unlike, "data.classes", "different names", recipe.data.classes)
    roles = (recipe.data.train, recipe.data.validation, recipe.data.test)
    # By its name in the first data set a split is found in the others.
    told_apart = not recipe.data.parts or len(set(roles)) == 3
    _require(told_apart, "data.train, validation and test", "different where there are data.parts", ", ".join(roles))
    _check_targets(recipe)
    _check_heads(recipe)
    _check_cache(recipe)
    _check_distill(recipe)
    weights, natural = recipe.loss.class_weights, recipe.data.sampling == "natural"
    evened = "none unless data.sampling is natural: one of the two is enough against unequal classes"
    _require(natural or weights == "none", "loss.class_weights", evened, weights)
    _require(parse_duration(recipe.duration)[0] > 0, "duration", "at least one epoch or step", recipe.duration)
    _check_augment(recipe.augment)
    enough = not recipe.augment.mixes or recipe.batch_size > 1
    _require(enough, "batch_size", "at least 2, or augment.mixup and augment.cutmix find no partner", recipe.batch_size)
    _check_schedule(recipe.schedule, rate=rate)
    return recipe


def _check_targets(recipe: Recipe) -> None:
    clips, target = recipe.data.clips, recipe.data.target
    of_stills = ("label", "distribution", "drawn")
    if clips is None:
        _require(target in of_stills, "data.target", f"one of {', '.join(of_stills)} without data.clips", target)
        return
    _require(not target.startswith("d"), "data.target", "label or one of valence and arousal with data.clips", target)
    _require(clips.frames >= 1, "data.clips.frames", "at least 1", clips.frames)
    _require(
        1 <= clips.min_frames <= clips.frames, "data.clips.min_frames", "in 1 to data.clips.frames", clips.min_frames
    )
    _require(clips.stride >= 1, "data.clips.stride", "at least 1", clips.stride)
    for name, value in clips.overlap.items():
        _require(0 <= value < 1, f"data.clips.overlap.{name}", "in [0, 1)", value)
    _require(target == "label" or not recipe.data.classes, "data.classes", "empty without classes", recipe.data.classes)
    natural = target == "label" or recipe.data.sampling == "natural"
    _require(natural, "data.sampling", "natural without classes", recipe.data.sampling)
    for key in ("ten_crop", "randaugment", "mixup", "cutmix"):
        value = getattr(recipe.augment, key)
        _require(not value, f"augment.{key}", "off with data.clips", value)


def _check_heads(recipe: Recipe) -> None:
    """What makes no sense for the outputs that the recipe trains."""
    if recipe.heads == ("emotion",):
        _require(recipe.monitor != "ccc", "monitor", "loss or accuracy where classes are trained on", recipe.monitor)
        return
    loss, affect = recipe.loss, recipe.loss.affect
    _require(recipe.monitor != "accuracy", "monitor", "loss or ccc with valence and arousal", recipe.monitor)
    for key, plain in (("name", "cross_entropy"), ("class_weights", "none"), ("label_smoothing", 0.0)):
        value = getattr(loss, key)
        _require(value == plain, f"loss.{key}", f"{plain} with valence and arousal, see loss.affect", value)
    for key, value in dataclasses.asdict(affect).items():
        _require(0 <= value < math.inf, f"loss.affect.{key}", "at least 0 and finite", value)
    for keys in (("cross_entropy", "ccc", "mse"), ("valence", "arousal")):
        values = [getattr(affect, key) for key in keys]
        _require(any(values), f"one of loss.affect.{', '.join(keys)}", "above 0", values)


def _check_cache(recipe: Recipe) -> None:
    """Vectors can be kept where the same frame always gives the same one."""
    if not recipe.cache_features:
        return
    _require(recipe.data.clips is not None, "cache_features", "false without data.clips", True)
    frozen = recipe.model.options.get("freeze_encoder", False)
    _require(frozen is True, "model.options.freeze_encoder", "true with cache_features", frozen)
    for key in ("flip", "rotation", "translation", "zoom", "brightness", "contrast", "erasing"):
        value = getattr(recipe.augment, key)
        _require(not value, f"augment.{key}", "off with cache_features: frames are encoded once", value)
    crop = recipe.augment.crop
    _require(crop == 1, "augment.crop", "1 with cache_features: frames are encoded once", crop)


def _check_distill(recipe: Recipe) -> None:
    distill = recipe.distill
    if distill is None:
        return
    _require(0 <= distill.weight <= 1, "distill.weight", "in [0, 1]", distill.weight)
    _require(0 < distill.temperature < math.inf, "distill.temperature", "positive and finite", distill.temperature)
    names = distill.teachers
    _require(0 < len(names) == len(set(names)), "distill.teachers", "one or several different runs", names)
    stills = recipe.data.clips is None and recipe.heads == ("emotion",)
    _require(stills, "distill", "none but for emotion of stills", recipe.data.target)


def _check_augment(augment: Augment) -> None:
    for key in ("rotation", "translation", "zoom", "brightness", "contrast", "randaugment"):
        value = getattr(augment, key)
        _require(value >= 0, f"augment.{key}", "at least 0", value)
    for key in ("mixup", "cutmix"):
        value = getattr(augment, key)
        _require(0 <= value < math.inf, f"augment.{key}", "at least 0 and finite", value)
    for key in ("randaugment_strength", "erasing"):
        value = getattr(augment, key)
        _require(0 <= value <= 1, f"augment.{key}", "in [0, 1]", value)
    _require(augment.zoom < 1, "augment.zoom", "under 1", augment.zoom)
    _require(0 < augment.crop <= 1, "augment.crop", "in (0, 1]", augment.crop)
    low, high = augment.erasing_area
    _require(0 < low <= high <= 1, "augment.erasing_area", "two rising values in (0, 1]", augment.erasing_area)


def _check_schedule(schedule: Schedule, *, rate: float) -> None:
    _require(0 < schedule.factor <= 1, "schedule.factor", "in (0, 1]", schedule.factor)
    low_enough = "at least 0 and at most optimizer.learning_rate"
    _require(0 <= schedule.floor <= rate, "schedule.floor", low_enough, schedule.floor)
    (every, unit), (warmup, warmup_unit) = parse_duration(schedule.every), parse_duration(schedule.warmup)
    _require(every > 0, "schedule.every", "at least one", schedule.every)
    plateau = schedule.name == "plateau"
    _require(not (plateau and warmup), "schedule.warmup", "0st with the schedule plateau", schedule.warmup)
    # Durations in different units are compared once the steps of an epoch are known, see `ferkeras.training.optim`.
    too_long = schedule.name == "cosine_restarts" and unit == warmup_unit and warmup >= every
    _require(not too_long, "schedule.warmup", f"shorter than schedule.every, {schedule.every}", schedule.warmup)


def _require(ok: bool, key: str, expected: str, value: Any) -> None:
    if not ok:
        raise InputError(f"{key} must be {expected}", received=value, action=f"Mend it with --set {key}=...")
