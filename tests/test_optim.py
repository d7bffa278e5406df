"""Learning rates, optimisers and the counters that stop or slow a run, by hand-computed sequences."""

import dataclasses
import json
import math

import keras
import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.models import create_model
from ferkeras.recipe import Optimizer, Recipe, Schedule
from ferkeras.training.cpu import FusedAdam
from ferkeras.training.optim import WarmupSchedule, current_rate, make_optimizer
from ferkeras.training.stopping import EarlyStopping, Plateau, StopOnNaN


def rates(schedule: WarmupSchedule, steps: list[int]) -> list[float]:
    return [round(float(schedule(step)), 6) for step in steps]


def test_constant_with_warmup() -> None:
    assert rates(WarmupSchedule(peak=1.0, warmup=4, total=10), [0, 1, 3, 4, 9]) == [0.25, 0.5, 1.0, 1.0, 1.0]


def test_cosine() -> None:
    schedule = WarmupSchedule(peak=1.0, warmup=0, total=8, shape="cosine", floor=0.2)
    assert rates(schedule, [0, 4, 8, 20]) == [1.0, 0.6, 0.2, 0.2]
    expected = 0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4))
    assert float(schedule(2)) == pytest.approx(expected)


def test_steps() -> None:
    schedule = WarmupSchedule(peak=1.0, warmup=0, total=9, shape="step", factor=0.5, every=3)
    assert rates(schedule, [0, 2, 3, 5, 6]) == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_steps_and_cosine_with_warmup() -> None:
    # The warm-up scales the rate; steps are counted from the start of the run, the cosine from the end of the warm-up.
    schedule = WarmupSchedule(peak=1.0, warmup=2, total=9, shape="step", factor=0.5, every=3)
    assert rates(schedule, [0, 1, 2, 3, 6]) == [0.5, 1.0, 1.0, 0.5, 0.25]
    schedule = WarmupSchedule(peak=1.0, warmup=2, total=10, shape="cosine")
    assert rates(schedule, [0, 1, 2, 6, 10]) == [0.5, 1.0, 1.0, 0.5, 0.0]


def test_cosine_with_restarts() -> None:
    schedule = WarmupSchedule(peak=1.0, warmup=0, total=20, shape="cosine_restarts", every=4, floor=0.2)
    cycle = [1.0, round(0.2 + 0.4 * (1 + math.sqrt(0.5)), 6), 0.6, round(0.2 + 0.4 * (1 - math.sqrt(0.5)), 6)]
    assert rates(schedule, list(range(12))) == cycle * 3
    assert rates(schedule, [400_000, 400_002]) == [1.0, 0.6], "restarts do not end with the run"


def test_every_cycle_begins_with_the_warmup() -> None:
    schedule = WarmupSchedule(peak=1.0, warmup=2, total=20, shape="cosine_restarts", every=6)
    once = WarmupSchedule(peak=1.0, warmup=2, total=6, shape="cosine")
    assert rates(schedule, list(range(12))) == 2 * rates(once, list(range(6)))
    assert rates(schedule, [0, 1, 2, 4, 6, 7, 8, 10]) == 2 * [0.5, 1.0, 1.0, 0.5]


def test_a_warmup_as_long_as_a_cycle_is_refused_whatever_its_unit(tiny_recipe: Recipe) -> None:
    schedule = Schedule("cosine_restarts", warmup="7st", every="1ep")
    recipe = dataclasses.replace(tiny_recipe, schedule=schedule)
    with pytest.raises(InputError, match=r"schedule\.warmup must be shorter .*Received: 7st, with 7 steps in an epoch"):
        make_optimizer(recipe, steps_per_epoch=7, fused=False)
    config = make_optimizer(recipe, steps_per_epoch=8, fused=False)._learning_rate.get_config()
    assert (config["shape"], config["warmup"], config["every"]) == ("cosine_restarts", 7, 8)


def test_the_optimiser_follows_the_schedule() -> None:
    schedule = WarmupSchedule(peak=1.0, warmup=4, total=10)
    optimizer = keras.optimizers.SGD(schedule)
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer.build([variable])
    seen = []
    for _ in range(5):
        seen.append((current_rate(optimizer), float(variable.numpy()[0])))
        optimizer.apply([keras.ops.ones(1)], [variable])
    assert seen == [(0.25, 0.0), (0.5, -0.25), (0.75, -0.75), (1.0, -1.5), (1.0, -2.5)]


@pytest.mark.parametrize("shape", ["constant", "cosine", "cosine_restarts", "step"])
def test_schedule_round_trip(shape: str) -> None:
    schedule = WarmupSchedule(peak=0.3, warmup=2, total=9, shape=shape, factor=0.5, every=4, floor=0.1)
    again = keras.optimizers.schedules.deserialize(keras.optimizers.schedules.serialize(schedule))
    assert rates(again, list(range(9))) == rates(schedule, list(range(9)))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "nesterov"])
def test_every_optimiser_moves_against_the_gradient(name: str, fused: bool, tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, optimizer=Optimizer(name, 0.1, momentum=0.9))
    optimizer = make_optimizer(recipe, steps_per_epoch=4, fused=fused)
    variable = keras.Variable(np.ones(3, "float32"))
    optimizer.build([variable])
    optimizer.apply([keras.ops.ones(3)], [variable])
    assert (variable.numpy() < 1).all()
    assert current_rate(optimizer) == pytest.approx(0.1)


def test_settings_reach_the_optimiser(tiny_recipe: Recipe) -> None:
    settings = Optimizer("nesterov", 0.1, momentum=0.8, clip_norm=0.5, ema=0.9)
    optimizer = make_optimizer(dataclasses.replace(tiny_recipe, optimizer=settings), steps_per_epoch=4, fused=False)
    assert (optimizer.momentum, optimizer.nesterov) == (0.8, True)
    assert (optimizer.global_clipnorm, optimizer.use_ema, optimizer.ema_momentum) == (0.5, True, 0.9)
    assert optimizer.ema_overwrite_frequency is None  # the average never replaces the weights in mid-training
    plain = make_optimizer(tiny_recipe, steps_per_epoch=4, fused=False)
    assert type(plain) is keras.optimizers.Adam
    assert (plain.use_ema, plain.global_clipnorm, plain.weight_decay) == (False, None, None)
    assert type(make_optimizer(tiny_recipe, steps_per_epoch=4, fused=True)) is FusedAdam


def test_a_large_gradient_is_clipped_by_its_global_norm(tiny_recipe: Recipe) -> None:
    settings = Optimizer("sgd", 1.0, momentum=0.0, clip_norm=1.0)
    optimizer = make_optimizer(dataclasses.replace(tiny_recipe, optimizer=settings), steps_per_epoch=4, fused=False)
    variables = [keras.Variable(np.zeros(1, "float32")), keras.Variable(np.zeros(1, "float32"))]
    optimizer.build(variables)
    optimizer.apply([3 * keras.ops.ones(1), 4 * keras.ops.ones(1)], variables)
    np.testing.assert_allclose([v.numpy()[0] for v in variables], [-0.6, -0.8], rtol=1e-6)


def test_plateau_can_set_the_rate(tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, schedule=Schedule("plateau"))
    optimizer = make_optimizer(recipe, steps_per_epoch=4, fused=False)
    optimizer.learning_rate = 0.25
    assert current_rate(optimizer) == 0.25


def test_weight_decay_covers_the_kernels_of_every_layer_in_use(tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, optimizer=Optimizer("adamw", 0.1, weight_decay=0.5))
    options = {"width": 0.0625, "lstm_units": 4}
    model = create_model("vgg11_lstm_attention", options, input_shape=(32, 32, 1), classes=3)
    optimizer = make_optimizer(recipe, steps_per_epoch=4, fused=False)
    optimizer.build(model.trainable_variables)
    decayed = {v.name for v in model.trainable_variables if optimizer._use_weight_decay(v)}
    spared = {v.name for v in model.trainable_variables if not optimizer._use_weight_decay(v)}
    assert (decayed, spared) == ({"kernel", "recurrent_kernel"}, {"bias", "gamma", "beta"})


def test_weight_decay_leaves_out_biases_and_normalisation(tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, optimizer=Optimizer("adamw", 0.1, weight_decay=0.5))
    optimizer = make_optimizer(recipe, steps_per_epoch=4, fused=False)
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(2, 3), keras.layers.BatchNormalization()])
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    optimizer.build(model.trainable_variables)
    optimizer.apply([keras.ops.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    kept = {v.name: float(v.numpy().mean()) for v in model.trainable_variables}
    assert kept == {"kernel": pytest.approx(0.95), "bias": 1.0, "gamma": 1.0, "beta": 1.0}


def test_durations_of_the_schedule_are_resolved(tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, duration="10ep", schedule=Schedule("cosine", warmup="1ep"))
    config = make_optimizer(recipe, steps_per_epoch=7, fused=False)._learning_rate.get_config()
    assert (config["warmup"], config["total"]) == (7, 70)


def test_early_stopping_is_the_rule() -> None:
    stopping = EarlyStopping(patience=2)
    seen = []
    for epoch, value in enumerate([5.0, 4.0, 4.0, 4.5, 3.9, 4.0, 4.0, 4.0], start=1):
        seen.append((stopping.improved(value, epoch=epoch), stopping.trigger, stopping.stop))
    assert seen == [
        (True, 0, False),
        (True, 0, False),
        (False, 1, False),  # equal is not better
        (False, 2, False),
        (True, 0, False),
        (False, 1, False),
        (False, 2, False),
        (False, 3, True),  # more than the patience
    ]
    assert (stopping.best, stopping.best_epoch) == (3.9, 5)


def test_not_a_number_is_no_improvement_and_a_patience_of_none_never_stops() -> None:
    stopping = EarlyStopping(patience=None)
    assert not stopping.improved(math.nan, epoch=1)
    assert stopping.improved(2.0, epoch=2)
    assert not stopping.improved(math.nan, epoch=3)
    assert (stopping.best, stopping.best_epoch, stopping.trigger) == (2.0, 2, 1)
    for epoch in range(4, 50):
        stopping.improved(2.0, epoch=epoch)
    assert not stopping.stop


def test_a_patience_of_zero() -> None:
    stopping = EarlyStopping(patience=0)
    assert stopping.improved(-0.5, epoch=1)  # a negated accuracy
    assert not stopping.stop
    stopping.improved(-0.5, epoch=2)
    assert stopping.stop


def test_counters_survive_a_checkpoint() -> None:
    stopping, plateau = EarlyStopping(3), Plateau(0.5, 2, 0.0)
    stopping.improved(1.0, epoch=1)
    stopping.improved(2.0, epoch=2)
    plateau.next_rate(1.0, 0.1)
    plateau.next_rate(2.0, 0.1)
    others = EarlyStopping(3), Plateau(0.5, 2, 0.0)
    for other, counter in zip(others, (stopping, plateau), strict=True):
        other.restore(json.loads(json.dumps(counter.state())))
        assert other == counter
    fresh = EarlyStopping(3)  # its best value is still infinite
    fresh.restore(json.loads(json.dumps(EarlyStopping(3).state())))
    assert fresh == EarlyStopping(3)


def test_plateau() -> None:
    plateau = Plateau(factor=0.5, patience=2, floor=0.3)
    rate, seen = 1.0, []
    for loss in [3.0, 3.0, 2.0, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5]:
        rate = plateau.next_rate(loss, rate)
        seen.append(rate)
    assert seen == [1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.3, 0.3, 0.3]


def test_plateau_counts_what_is_not_a_number_as_no_improvement() -> None:
    plateau = Plateau(factor=0.1, patience=2, floor=0.0)
    assert [plateau.next_rate(loss, 1.0) for loss in (2.0, math.nan, math.nan, 1.0)] == [1.0, 1.0, 0.1, 1.0]


def test_plateau_never_raises_the_rate() -> None:
    plateau = Plateau(factor=0.1, patience=1, floor=0.5)
    plateau.next_rate(1.0, 0.2)
    assert plateau.next_rate(1.0, 0.2) == 0.2


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_named(value: float) -> None:
    callback = StopOnNaN(epoch=2)
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(InputError, match=r"epoch 3, step 8"):
        callback.on_train_batch_end(7, {"loss": value})
