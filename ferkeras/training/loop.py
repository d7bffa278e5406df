"""Training from a recipe to a run folder, top to bottom."""

import contextlib
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ferkeras.data.cached_clips import CachedClips
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.opening import fingerprints
from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.inference import evaluation_batch, gather_heads, keras_runner
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.models import MODELS, create_model
from ferkeras.recipe import Recipe, resolve
from ferkeras.runs import RunFolder, environment
from ferkeras.stn_sheet import has_spatial_transformer, write_stn_sheet
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint
from ferkeras.training.distillation import Teachers, open_teachers
from ferkeras.training.distribute import open_distribution
from ferkeras.training.events import write_events
from ferkeras.training.optim import current_rate
from ferkeras.training.preemption import PreemptedError, Preemption
from ferkeras.training.progress import Progress, ProgressBar
from ferkeras.training.stopping import StopOnNaN
from ferkeras.training.task import Task, open_examples
from ferkeras.training.trainee import Trainee

CHECKPOINT = "checkpoints/last.npz"
#: Validation images on the picture of a spatial transformer.
SHEET_IMAGES = 16


def run(
    recipe: Recipe,
    workdir: Path,
    *,
    data_dir: Path | None = None,
    manual_dir: Path | None = None,
    resume: bool = False,
    init_from: Path | None = None,
    tensorboard: bool = False,
    preemption: Preemption | None = None,
    on_epoch: Callable[[Mapping[str, Any]], bool] | None = None,
) -> RunFolder:
    """Trains `recipe` and leaves its run folder, with the best epoch's model, at `workdir`.

    With several processes (`ferkeras.training.distribute`) all call this with the same arguments; the chief alone reads
    and writes `workdir`.

    Args:
        recipe: What to train; checked, like the data, before anything is written.
        workdir: The run folder.
        data_dir: Where prepared data lies.
        manual_dir: Where the official files lie, for data that is not prepared yet.
        resume: Continue from the last finished epoch of the run in `workdir`, to the weights that it would
            have reached without the interruption. Without a checkpoint the run begins anew.
        init_from: A run folder or `.keras` file to take the first weights from.
        tensorboard: Also write event files to `tensorboard/` in the run folder.
        preemption: Asked after each step whether to stop there.
        on_epoch: Called between two epochs with the row of the one before, which is saved by then; True ends training
            there.

    Raises:
        PreemptedError: when training was told to stop; the checkpoint is written.
        WorkerLostError: when another process is gone.
        InputError: for a mistake in the recipe, the data or the paths, and for a loss that is not finite.
    """
    recipe = resolve(recipe)
    distribution = open_distribution(recipe.distribute)  # first: it decides which devices there are
    if preemption is not None:
        preemption.renew()
    chief = distribution is None or distribution.chief
    from_chief = distribution.from_chief if distribution else lambda value: value
    recipe = Recipe.from_json(from_chief(recipe.to_json()))
    keras.utils.set_random_seed(recipe.seed)
    # What is read is the batch of a whole step, whatever parts it is trained on in.
    read = dataclasses.replace(recipe, batch_size=recipe.batch_size * recipe.accumulate, accumulate=1)
    data = open_examples(read, data_dir=data_dir, manual_dir=manual_dir)
    images, steps = data.epoch_size * (recipe.data.clips.frames if recipe.data.clips else 1), data.steps_per_epoch
    data.size(recipe.data.validation)  # the split must exist
    epochs = recipe.epochs(steps_per_epoch=steps)

    checkpoint = workdir / CHECKPOINT
    resume = from_chief(resume and checkpoint.exists())
    cached = recipe.cache_features
    if resume and cached:
        init_from = workdir  # a checkpoint has what is trained; the frozen encoder is in `model.keras`
    model = _create(recipe, data, init_from=init_from, begin=cached or not resume)
    network = model.get_layer("temporal") if cached else model  # what is trained; shares its variables with `model`
    with distribution.scope() if distribution else contextlib.nullcontext():
        teachers = open_teachers(
            recipe.distill, workdir, preprocessing=data.preprocessing, classes=data.class_names, dtype=recipe.dtype
        )
    counts = data.class_counts(recipe.data.train)
    trainee = Trainee(
        network,
        recipe,
        steps_per_epoch=steps,
        class_counts=counts,
        teachers=teachers,
        distribution=distribution,
        requested=lambda: preemption is not None and preemption.requested,
    )
    progress = Progress.begin(recipe)
    if resume:
        state = from_chief(load_checkpoint(checkpoint, variables=trainee.variables) if chief else None)
        progress.restore(state["progress"])
        trainee.restore(state["trainee"])
    if distribution:
        distribution.copy_from_chief(trainee.variables)
    folder = RunFolder(workdir)
    if chief:
        _begin_folder(folder, recipe, data, teachers)

    def save() -> None:
        if chief:
            state = {"progress": progress.state(), "trainee": trainee.state()}
            save_checkpoint(checkpoint, variables=trainee.variables, state=state)

    if cached:
        data = CachedClips(data.builders, read, encoder=model.get_layer("encoder"))

    for epoch in range(len(progress.history), epochs):
        if progress.stopping.stop or (on_epoch and progress.history and on_epoch(progress.history[-1])):
            break
        start, rate = time.perf_counter(), current_rate(trainee.optimizer)
        left = 1 - trainee.steps_done / steps  # of an epoch that was stopped in its middle
        bar = [ProgressBar(title=f"epoch {epoch + 1}/{epochs}", steps=steps, done=trainee.steps_done)] if chief else []
        trained = trainee.train(data.training(epoch), callbacks=[StopOnNaN(epoch), *bar])
        if trainee.steps_done:
            save()
            raise PreemptedError(f"Stopped after step {trainee.steps_done} of {steps} of epoch {epoch + 1}")
        seconds = time.perf_counter() - start
        # All processes measure the same weights; where their arithmetic differs, the chief's numbers decide.
        validated, recall = validate(network, data, trainee.task, split=recipe.data.validation)
        trained, validated, agreed = from_chief([trained, validated, recall.tolist()])
        recall = np.array(agreed)
        row = {"epoch": epoch + 1, **trained, **validated, "learning_rate": rate}
        row |= {"seconds": round(seconds, 2), "images_per_second": round(left * images / seconds, 1)}
        if progress.take(row) and chief:
            folder.save_model(model)
        if recipe.schedule.name == "plateau":
            trainee.optimizer.learning_rate = progress.plateau.next_rate(row["val_loss"], rate)
        trainee.task.adapt(recall)
        if not chief:
            continue
        folder.write_history(progress.history)
        save()
        due = recipe.stn_every and (epoch + 1) % recipe.stn_every == 0
        if due and isinstance(data, StillPipeline) and has_spatial_transformer(model):
            sheet = folder.path / "plots" / f"spatial_transformer_epoch{epoch + 1}.png"
            write_stn_sheet(model, data.first(recipe.data.validation, count=SHEET_IMAGES), sheet)
        if tensorboard:
            write_events(workdir / "tensorboard", row)
        print(progress.line(epochs=epochs), file=sys.stderr, flush=True)

    return folder  # `model.keras` is the best epoch's


def validate(
    model: keras.Model, data: StillPipeline | ClipPipeline, task: Task, *, split: str
) -> tuple[dict[str, float], np.ndarray]:
    """What `task` says of `model` on all examples of `split`, see `Task.validate`."""
    batches = data.evaluation(split, batch_size=evaluation_batch(data))
    return task.validate(*gather_heads(keras_runner(model), batches, heads=tuple(task.losses)))


def make_model(recipe: Recipe, data: StillPipeline | ClipPipeline, *, pretrained: bool) -> keras.Model:
    """The recipe's model for `data`; `pretrained` as of `ferkeras.models.create_model`.

    Raises:
        InputError: for a model that cannot be built so, or that does not say what the recipe trains.
    """
    clips = recipe.data.clips
    model = create_model(
        recipe.model.name,
        recipe.model.options,
        input_shape=(*([clips.frames] if clips else []), *recipe.data.image_size, recipe.data.channels),
        classes=len(data.class_names) or len(VALENCE_AROUSAL_BINS),
        pretrained=pretrained,
    )
    _check_outputs(model, recipe)
    return model


def _create(recipe: Recipe, data: StillPipeline | ClipPipeline, *, init_from: Path | None, begin: bool) -> keras.Model:
    """The recipe's model; with its first weights where the run begins, which one that goes on does not need."""
    model = make_model(recipe, data, pretrained=begin and init_from is None)
    if begin and init_from is not None:
        file = init_from / "model.keras" if init_from.is_dir() else init_from
        source = RunFolder(file.parent).load_model(file.name)
        if [w.shape for w in source.weights] != [w.shape for w in model.weights]:
            raise InputError(
                f"The weights do not fit the model {recipe.model.name}",
                received=str(file),
                action="Take a run of the same model, options, image size and classes.",
            )
        model.set_weights(source.get_weights())
    return model


def _check_outputs(model: keras.Model, recipe: Recipe) -> None:
    """The model must say what the recipe trains: these heads, for a clip or for each of its frames."""
    target, heads = recipe.data.target, MODELS[recipe.model.name].heads
    if not set(recipe.heads) <= set(heads):
        raise InputError(
            f"The model {recipe.model.name} gives {', '.join(heads)}",
            received=f"data.target={target}, which wants {', '.join(recipe.heads)}",
            action="Change one of the two.",
        )
    per_frame = len(model.output[recipe.heads[0]].shape) == 3
    if per_frame != (target == "valence_arousal_frames"):
        raise InputError(
            f"The model {recipe.model.name} gives logits for {'each frame' if per_frame else 'a whole clip'}",
            received=f"data.target={target}",
            action="Use model.options.per_frame=true with the target valence_arousal_frames, and there alone.",
        )


def _begin_folder(
    folder: RunFolder, recipe: Recipe, data: StillPipeline | ClipPipeline, teachers: Teachers | None
) -> None:
    clips = recipe.data.clips
    meanings = data.class_names or VALENCE_AROUSAL_BINS
    of_clips = {"frames": clips.frames, "stride": clips.stride} if clips else {}
    shown = {"margin": data.margin, **of_clips}
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    folder.write_json("labels.json", {head: list(meanings) for head in recipe.heads})
    folder.write_json("preprocessing.json", json.loads(data.preprocessing.to_json()) | shown)
    of_teachers = {"teachers": teachers.marks} if teachers else {}
    folder.write_json("env.json", environment(seed=recipe.seed, fingerprint=fingerprints(data)) | of_teachers)
