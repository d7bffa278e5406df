"""What must hold of a recipe as a whole, beyond the type of each key. Standard library only."""

import dataclasses
import math
import re
from typing import TYPE_CHECKING, Any

from ferkeras.errors import InputError
from ferkeras.recipe_data import Augment

if TYPE_CHECKING:
    from ferkeras.recipe import Recipe, Schedule


def parse_duration(text: str) -> tuple[int, str]:
    """`"30ep"` -> `(30, "ep")`, `"2000st"` -> `(2000, "st")`; raises `InputError` without a unit."""
    match = re.fullmatch(r"(\d+)(ep|st)", text) if isinstance(text, str) else None
    if match is None:
        raise InputError("A duration needs a unit", received=text, action='Write "30ep" or "2000st".')
    return int(match[1]), match[2]


def check(recipe: "Recipe") -> None:
    """Raises `InputError` naming the key that is wrong."""
    _require(recipe.batch_size >= 1, "batch_size", "at least 1", recipe.batch_size)
    _require(recipe.accumulate >= 1, "accumulate", "at least 1", recipe.accumulate)
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
    enough = not recipe.augment.mixes or recipe.batch_size * recipe.accumulate > 1
    _require(enough, "batch_size", "at least 2, or augment.mixup and augment.cutmix find no partner", recipe.batch_size)
    _check_schedule(recipe.schedule, rate=rate)


def _check_targets(recipe: "Recipe") -> None:
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


def _check_heads(recipe: "Recipe") -> None:
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
    a_mean = recipe.accumulate == 1 or not affect.ccc
    _require(a_mean, "loss.affect.ccc", "0 with accumulate: CCC of a step is no mean over its batches", affect.ccc)


def _check_cache(recipe: "Recipe") -> None:
    """Vectors can be kept where the same frame always gives the same one."""
    if not recipe.cache_features:
        return
    _require(recipe.data.clips is not None, "cache_features", "false without data.clips", True)
    frozen = recipe.model.options.get("freeze_encoder", False)
    _require(frozen is True, "model.options.freeze_encoder", "true with cache_features", frozen)
    for key in ("flip", "rotation", "translation", "zoom", "brightness", "contrast", "erasing", "noise"):
        value = getattr(recipe.augment, key)
        _require(not value, f"augment.{key}", "off with cache_features: frames are encoded once", value)
    crop = recipe.augment.crop
    _require(crop == 1, "augment.crop", "1 with cache_features: frames are encoded once", crop)


def _check_distill(recipe: "Recipe") -> None:
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
    for key in ("randaugment_strength", "erasing", "noise"):
        value = getattr(augment, key)
        _require(0 <= value <= 1, f"augment.{key}", "in [0, 1]", value)
    _require(augment.zoom < 1, "augment.zoom", "under 1", augment.zoom)
    _require(0 < augment.crop <= 1, "augment.crop", "in (0, 1]", augment.crop)
    low, high = augment.erasing_area
    _require(0 < low <= high <= 1, "augment.erasing_area", "two rising values in (0, 1]", augment.erasing_area)


def _check_schedule(schedule: "Schedule", *, rate: float) -> None:
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
