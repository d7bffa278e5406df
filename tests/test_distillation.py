"""Distillation: the loss by hand, teachers that nothing changes, and a student that learns what they say."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from keras import layers

from ferkeras.data.preprocess import Preprocessing
from ferkeras.errors import InputError
from ferkeras.models import create_model
from ferkeras.recipe import Augment, Optimizer, Recipe, override, resolve
from ferkeras.recipe_data import ClipWindows, Distill
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.checkpoint import save_checkpoint
from ferkeras.training.distillation import Teachers, open_teachers, soft_loss, soften
from ferkeras.training.trainee import Trainee

CLASSES = 3
LOGITS = arrays(np.float32, (4, CLASSES), elements=st.floats(-30, 30, width=32))
TEMPERATURES = st.floats(0.25, 20)


# The loss


def test_softened_probabilities_by_hand() -> None:
    logits = np.log([[1.0, 4.0, 16.0]])
    np.testing.assert_allclose(soften(logits, temperature=1.0), [[1 / 21, 4 / 21, 16 / 21]], rtol=1e-6)
    np.testing.assert_allclose(soften(logits, temperature=2.0), [[1 / 7, 2 / 7, 4 / 7]], rtol=1e-6)


def test_soft_loss_by_hand() -> None:
    """The student says 1:1 at temperature 2, the teacher 3:1: 4 (3/4 ln(3/2) + 1/4 ln(1/2))."""
    expected = 4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    loss = soft_loss(np.array([[0.75, 0.25]], "float32"), np.zeros((1, 2), "float32"), temperature=2.0)
    np.testing.assert_allclose(loss, [expected], rtol=1e-6)
    certain = soft_loss(np.array([[1.0, 0.0]], "float32"), np.zeros((1, 2), "float32"), temperature=1.0)
    np.testing.assert_allclose(certain, [math.log(2)], rtol=1e-6)


@given(LOGITS, LOGITS, TEMPERATURES)
@settings(max_examples=30)
def test_the_gradient_is_the_difference_of_the_probabilities(
    teacher: np.ndarray, student: np.ndarray, temperature: float
) -> None:
    """`T (softmax(z / T) - targets)`: the T of the paper's 1 / T that is left when the loss is multiplied by T^2."""
    targets, z = soften(teacher, temperature=temperature), tf.constant(student)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = soft_loss(targets, z, temperature=temperature)
    assert (np.asarray(loss) > -1e-3 * temperature**2).all()
    expected = temperature * (np.asarray(soften(z, temperature=temperature)) - np.asarray(targets))
    np.testing.assert_allclose(tape.gradient(loss, z), expected, atol=2e-5 * temperature)


@given(LOGITS, TEMPERATURES, st.floats(-5, 5))
@settings(max_examples=30)
def test_a_student_that_says_the_same_has_no_loss(logits: np.ndarray, temperature: float, shift: float) -> None:
    loss = soft_loss(soften(logits, temperature=temperature), logits + np.float32(shift), temperature=temperature)
    np.testing.assert_allclose(loss, 0.0, atol=1e-4 * max(1.0, temperature**2))


# Teachers and student


def linear(kernel: np.ndarray, *, frozen: bool = True) -> keras.Model:
    """Logits that are a linear map of a 2x2 picture, with a normalisation and dropout, which training would change."""
    image = keras.Input((2, 2, 1), name="image")
    x = layers.Flatten(name="flat")(layers.Rescaling(1 / 255, name="scale")(image))
    if frozen:
        x = layers.Dropout(0.5, name="dropout")(layers.BatchNormalization(name="norm")(x))
    model = keras.Model(image, {"emotion": layers.Dense(CLASSES, name="emotion")(x)})
    model.get_layer("emotion").set_weights([kernel.astype("float32"), np.zeros(CLASSES, "float32")])
    return model


def pictures(count: int, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 2, 2, 1), dtype=np.uint8)


KERNELS = np.random.default_rng(1).normal(0, 4, (2, 4, CLASSES))
KERNELS -= KERNELS.mean(axis=1, keepdims=True)  # so that no class is the largest for all pictures


def test_of_several_teachers_the_mean_probability_counts() -> None:
    models = [linear(kernel) for kernel in KERNELS]
    teachers = Teachers(models, Distill(("a", "b"), temperature=2.0), dtype="float32")
    images = pictures(5)
    each = [np.asarray(soften(model(images, training=False)["emotion"], temperature=2.0)) for model in models]
    np.testing.assert_allclose(teachers(images), (each[0] + each[1]) / 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.asarray(teachers(images)).sum(axis=1), 1.0, rtol=1e-5)
    assert np.abs(each[0] - each[1]).max() > 0.1


def trainee_of(recipe: Recipe, student: keras.Model, distill: Distill, *kernels: np.ndarray) -> Trainee:
    recipe = dataclasses.replace(recipe, distill=distill)
    teachers = Teachers([linear(k) for k in kernels], distill, dtype="float32") if kernels else None
    return Trainee(student, recipe, steps_per_epoch=1, class_counts=[1] * CLASSES, teachers=teachers)


def test_one_step_by_hand(tiny_recipe: Recipe) -> None:
    """Gradient descent on `(1 - w) hard + w soft`, from a student that says nothing yet."""
    recipe = dataclasses.replace(tiny_recipe, optimizer=Optimizer("sgd", 0.5, momentum=0.0))
    images, labels = pictures(6), np.arange(6) % CLASSES
    distill = Distill(("a",), temperature=3.0, weight=0.75)
    student = linear(np.zeros((4, CLASSES)), frozen=False)
    trainee = trainee_of(recipe, student, distill, KERNELS[0])
    loss = trainee.train(tf.data.Dataset.from_tensors((images, labels)), callbacks=[])["loss"]

    x = images.reshape(6, 4) / 255
    even, one_hot = np.full((6, CLASSES), 1 / CLASSES), np.eye(CLASSES)[labels]
    soft = np.asarray(soften(linear(KERNELS[0])(images, training=False)["emotion"], temperature=3.0))
    gradient = 0.25 * (even - one_hot) + 0.75 * 3 * (even - soft)  # of the logits; T^2 / T is left
    kernel, bias = student.get_layer("emotion").get_weights()
    np.testing.assert_allclose(kernel, -0.5 * x.T @ gradient / 6, atol=1e-6)
    np.testing.assert_allclose(bias, -0.5 * gradient.mean(axis=0), atol=1e-6)
    kl = (soft * np.log(soft / even)).sum(axis=1).mean()
    assert loss == pytest.approx(0.25 * math.log(CLASSES) + 0.75 * 9 * kl, rel=1e-5)


def test_teachers_are_not_part_of_the_student(tiny_recipe: Recipe) -> None:
    student = linear(KERNELS[0])
    trainee = trainee_of(tiny_recipe, student, Distill(("a",)), KERNELS[1])
    alone = Trainee(linear(KERNELS[0]), tiny_recipe, steps_per_epoch=1, class_counts=[1] * CLASSES)
    assert [v.shape for v in trainee.variables] == [v.shape for v in alone.variables]
    (teacher,) = trainee.twin._teachers._models
    before = [v.numpy() for v in teacher.variables]
    images, labels = pictures(8), np.arange(8) % CLASSES
    old = student.get_weights()
    for _ in range(2):
        trainee.train(tf.data.Dataset.from_tensors((images, labels)), callbacks=[])
    for variable, value in zip(teacher.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, variable.path)
    assert any((a != b).any() for a, b in zip(student.get_weights(), old, strict=True))


def test_a_student_learns_what_a_teacher_says_without_true_labels(tiny_recipe: Recipe) -> None:
    """Weight 1; the labels that come with the pictures are wrong throughout."""
    kernel = KERNELS[0]
    images = pictures(256)
    says = np.asarray(linear(kernel)(images, training=False)["emotion"]).argmax(axis=1)
    assert np.bincount(says, minlength=CLASSES).min() > 20
    recipe = dataclasses.replace(tiny_recipe, optimizer=Optimizer("adam", 0.1))
    student = linear(np.zeros((4, CLASSES)), frozen=False)
    trainee = trainee_of(recipe, student, Distill(("a",), temperature=2.0, weight=1.0), kernel)
    wrong = tf.data.Dataset.from_tensor_slices((images, (says + 1) % CLASSES)).batch(64)
    for _ in range(25):
        trainee.train(wrong, callbacks=[])
    unseen = pictures(200, seed=1)
    said, known = (np.asarray(model(unseen, training=False)["emotion"]) for model in (student, linear(kernel)))
    assert (said.argmax(axis=1) == known.argmax(axis=1)).mean() > 0.95


def test_the_teacher_sees_the_pictures_of_the_student(tiny_recipe: Recipe) -> None:
    seen: list[Any] = []

    class Watched(Teachers):
        def __call__(self, images: Any) -> Any:
            tf.py_function(lambda x: seen.append(x.numpy()), [images], [])
            return super().__call__(images)

    distill = Distill(("a",))
    teachers = Watched([linear(KERNELS[0])], distill, dtype="float32")
    recipe = dataclasses.replace(tiny_recipe, distill=distill)
    trainee = Trainee(linear(KERNELS[1]), recipe, steps_per_epoch=2, class_counts=[1] * CLASSES, teachers=teachers)
    images, labels = pictures(5), np.arange(5) % CLASSES
    trainee.train(tf.data.Dataset.from_tensor_slices((images, labels)).batch(3), callbacks=[])
    np.testing.assert_array_equal(np.concatenate(seen), images)


# Runs


@pytest.fixture(scope="module")
def teacher(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = loop.run(
        dataclasses.replace(tiny_recipe, duration="1ep"), tmp_path_factory.mktemp("runs") / "t", data_dir=tiny_data_dir
    )
    (folder.path / "README.md").write_text("finished")  # the model card is what a run gets last
    return folder


def student_recipe(recipe: Recipe, *, weight: float = 0.5, **changes: Any) -> Recipe:
    distill = Distill(("t",), temperature=2.0, weight=weight)
    return dataclasses.replace(recipe, distill=distill, augment=Augment(rotation=20.0, erasing=0.5), **changes)


def assert_same(left: Path, right: Path, *, same: bool = True) -> None:
    pairs = zip(*(RunFolder(x).load_model().get_weights() for x in (left, right)), strict=True)
    assert all((a == b).all() for a, b in pairs) == same


def test_a_distilled_run_tells_its_teachers(teacher: RunFolder, tiny_recipe: Recipe, tiny_data_dir: Path) -> None:
    recipe = student_recipe(tiny_recipe, duration="1ep")
    run = loop.run(recipe, teacher.path.parent / "student", data_dir=tiny_data_dir)
    ((name, mark),) = run.environment()["teachers"].items()
    assert (name, len(mark)) == ("t", 64)
    assert run.recipe() == recipe
    sizes = [(folder.path / "model.keras").stat().st_size for folder in (run, teacher)]
    assert sizes[0] < 1.01 * sizes[1]


@pytest.mark.slow
def test_a_distilled_run_resumes(teacher: RunFolder, tiny_recipe: Recipe, tiny_data_dir: Path) -> None:
    recipe, runs = student_recipe(tiny_recipe), teacher.path.parent
    loop.run(recipe, runs / "whole", data_dir=tiny_data_dir)

    def save_and_stop(*args: Any, **options: Any) -> None:
        save_checkpoint(*args, **options)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "save_checkpoint", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            loop.run(recipe, runs / "halted", data_dir=tiny_data_dir)
    assert len(RunFolder(runs / "halted").history()) == 1
    loop.run(recipe, runs / "halted", data_dir=tiny_data_dir, resume=True)
    assert_same(runs / "halted", runs / "whole")


def test_without_weight_no_teacher_is_read(tmp_path: Path) -> None:
    for distill in (None, Distill(("nobody",), weight=0.0)):
        seen = Preprocessing(32, 32, 1)
        assert open_teachers(distill, tmp_path, preprocessing=seen, classes=("a",), dtype="float32") is None


@pytest.mark.slow
def test_without_weight_it_is_no_distillation(tiny_recipe: Recipe, tiny_data_dir: Path, tmp_path: Path) -> None:
    """No teacher of that name is even there."""
    recipe = dataclasses.replace(student_recipe(tiny_recipe, weight=0.0), duration="1ep")
    loop.run(recipe, tmp_path / "zero", data_dir=tiny_data_dir)
    loop.run(dataclasses.replace(recipe, distill=None), tmp_path / "none", data_dir=tiny_data_dir)
    assert_same(tmp_path / "zero", tmp_path / "none")
    assert "teachers" not in RunFolder(tmp_path / "zero").environment()


def refused(folder: Path, recipe: Recipe, data_dir: Path) -> str:
    with pytest.raises(InputError) as caught:
        loop.run(recipe, folder, data_dir=data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_teachers_that_do_not_fit_are_refused_before_anything_is_written(
    teacher: RunFolder, tiny_recipe: Recipe, tiny_data_dir: Path
) -> None:
    new, recipe = teacher.path.parent / "new", student_recipe(tiny_recipe)
    larger = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, image_size=(48, 32)))
    assert "still ones of 48x32x1. Received: t, a model of stills of 32x32x1" in refused(new, larger, tiny_data_dir)
    coloured = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, channels=3))
    assert "still ones of 32x32x3" in refused(new, coloured, tiny_data_dir)
    two = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, classes=("happy", "angry")))
    assert "classes in their order: happy, angry. Received: t: angry, happy" in refused(new, two, tiny_data_dir)
    assert "another run that is finished" in refused(teacher.path, recipe, tiny_data_dir)
    absent = dataclasses.replace(recipe, distill=Distill(("nobody",)))
    assert "There is no run of this name. Received: nobody" in refused(new, absent, tiny_data_dir)
    assert not new.exists()


def test_a_run_is_not_resumed_with_another_teacher(tiny_recipe: Recipe) -> None:
    distill = Distill(("a",))
    recipe = dataclasses.replace(tiny_recipe, distill=distill)
    made = [Teachers([linear(KERNELS[0])], distill, dtype="float32", marks={"a": mark}) for mark in ("1", "2")]
    first, second = (
        Trainee(linear(KERNELS[1]), recipe, steps_per_epoch=1, class_counts=[1] * CLASSES, teachers=teachers)
        for teachers in made
    )
    state = json.loads(json.dumps(first.state()))
    first.restore(state)
    with pytest.raises(InputError, match=r"resumed with the teachers it began with\. Received: other weights in a\."):
        second.restore(state)


# The recipe


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("distill={'teachers': []}", "distill.teachers must be one or several different runs"),
        ("distill={'teachers': ['a', 'a']}", "distill.teachers must be one or several different runs"),
        ("distill={'teachers': ['a'], 'weight': 1.5}", "distill.weight must be in [0, 1]"),
        ("distill={'teachers': ['a'], 'temperature': 0}", "distill.temperature must be positive and finite"),
        ("distill={}", "distill must be a group of keys (teachers, temperature, weight) or none"),
    ],
)
def test_wrong_values_of_the_recipe(assignment: str, message: str, tiny_recipe: Recipe) -> None:
    with pytest.raises(InputError) as caught:
        resolve(override(tiny_recipe, [assignment]))
    assert str(caught.value).startswith(message)


def test_distillation_is_of_emotion_of_stills(tiny_recipe: Recipe) -> None:
    clips = dataclasses.replace(tiny_recipe.data, clips=ClipWindows())
    with pytest.raises(InputError, match=r"distill must be none but for emotion of stills"):
        resolve(dataclasses.replace(tiny_recipe, data=clips, distill=Distill(("a",))))


def test_values_can_be_set_one_by_one(tiny_recipe: Recipe) -> None:
    recipe = dataclasses.replace(tiny_recipe, distill=Distill(("a",)))
    changed = override(recipe, ["distill.weight=0.25", "distill.teachers=('b', 'c')", "distill.temperature=2"])
    assert changed.distill == Distill(("b", "c"), temperature=2.0, weight=0.25)
    assert Recipe.from_json(changed.to_json()) == changed
    assert override(recipe, ["distill=none"]).distill is None


def test_the_small_network_is_small() -> None:
    model = create_model("fer_mobile", input_shape=(48, 48, 1), classes=7)
    assert model.count_params() <= 1_500_000
