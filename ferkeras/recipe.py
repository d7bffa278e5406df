"""What a training run is: frozen dataclasses with strict overrides and a JSON form. Standard library only.

A recipe lives in two phases. It is built (`recipes/<name>.py`) and overridden (`override`), where anything may
still change; then `resolve` checks it as a whole and freezes it. The resolved recipe is written into the run
folder before the first step, and everything after training reads it from there.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ferkeras.errors import InputError
from ferkeras.fields import assign, build
from ferkeras.recipe_checks import check, parse_duration
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
    """Decay of the moving average of the weights, which is what is then validated and saved, with statistics of batch
    normalisation that are measured anew, see `ferkeras.training.batch_statistics`."""


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
    """Examples that are computed at once, on all devices together."""
    accumulate: int = 1
    """So many batches make one step, that of a batch of their joint size, in the memory of one. The last step of an
    epoch may have fewer. Batch normalisation sees each batch by itself."""
    patience: int | None = None
    """Early stopping: epochs without improvement that are tolerated; None trains to the end."""
    monitor: Literal["loss", "accuracy", "ccc"] = "loss"
    """Which validation value picks the best epoch: accuracy is of emotion, ccc the mean of valence and arousal."""
    dtype: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Arithmetic in training; mixed_float16 scales the loss. The saved model is float32 in any case."""
    jit: Literal["auto", "on", "off"] = "auto"
    """Whether XLA compiles the network; `auto` on a single accelerator that it can compile it for, never on a CPU."""
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
    check(recipe)
    return recipe
