"""Training from a recipe to a run folder, top to bottom."""

import json
import sys
import time
from pathlib import Path

import keras
import numpy as np

from ferkeras.data.opening import fingerprints, open_data
from ferkeras.data.pipeline import StillPipeline
from ferkeras.errors import InputError
from ferkeras.inference import gather, keras_runner, log_softmax
from ferkeras.losses import FocalLoss
from ferkeras.models import create_model
from ferkeras.recipe import Recipe, resolve
from ferkeras.runs import RunFolder, environment
from ferkeras.stn_sheet import has_spatial_transformer, write_stn_sheet
from ferkeras.training.checkpoint import load_checkpoint, save_checkpoint
from ferkeras.training.events import write_events
from ferkeras.training.optim import current_rate
from ferkeras.training.progress import Progress, ProgressBar
from ferkeras.training.stopping import StopOnNaN
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
) -> RunFolder:
    """Trains `recipe` and leaves its run folder, with the best epoch's model, at `workdir`.

    Args:
        recipe: What to train; checked, like the data, before anything is written.
        workdir: The run folder.
        data_dir: Where prepared data lies.
        manual_dir: Where the official files lie, for data that is not prepared yet.
        resume: Continue from the last finished epoch of the run in `workdir`, to the weights that it would
            have reached without the interruption. Without a checkpoint the run begins anew.
        init_from: A run folder or `.keras` file to take the first weights from.
        tensorboard: Also write event files to `tensorboard/` in the run folder.

    Raises:
        InputError: for a mistake in the recipe, the data or the paths, and for a loss that is not finite.
    """
    recipe = resolve(recipe)
    keras.utils.set_random_seed(recipe.seed)
    data = open_data(recipe, data_dir=data_dir, manual_dir=manual_dir)
    images, steps = data.epoch_size, data.steps_per_epoch
    data.size(recipe.data.validation)  # the split must exist
    epochs = recipe.epochs(steps_per_epoch=steps)

    checkpoint = workdir / CHECKPOINT
    resume = resume and checkpoint.exists()
    model = _create(recipe, data, init_from=init_from, begin=not resume)
    trainee = Trainee(model, recipe, steps_per_epoch=steps, class_counts=data.class_counts(recipe.data.train))
    progress = Progress.begin(recipe)
    if resume:
        state = load_checkpoint(checkpoint, variables=trainee.variables)
        progress.restore(state["progress"])
        trainee.restore(state["trainee"])
    folder = _begin_folder(workdir, recipe, data)

    for epoch in range(len(progress.history), epochs):
        if progress.stopping.stop:
            break
        start, rate = time.perf_counter(), current_rate(trainee.optimizer)
        bar = ProgressBar(title=f"epoch {epoch + 1}/{epochs}", steps=steps)
        trained = trainee.train(data.training(epoch), callbacks=[StopOnNaN(epoch), bar])
        seconds = time.perf_counter() - start
        validated, recall = validate(model, data, split=recipe.data.validation)
        row = {"epoch": epoch + 1, **trained, **validated, "learning_rate": rate}
        row |= {"seconds": round(seconds, 2), "images_per_second": round(images / seconds, 1)}
        if progress.take(row):
            folder.save_model(model)
        if recipe.schedule.name == "plateau":
            trainee.optimizer.learning_rate = progress.plateau.next_rate(row["val_loss"], rate)
        if isinstance(trainee.loss, FocalLoss) and recipe.loss.alpha == "recall":
            trainee.loss.update_alpha(recall)
        folder.write_history(progress.history)
        state = {"progress": progress.state(), "trainee": trainee.state()}
        save_checkpoint(checkpoint, variables=trainee.variables, state=state)
        if recipe.stn_every and (epoch + 1) % recipe.stn_every == 0 and has_spatial_transformer(model):
            sheet = folder.path / "plots" / f"spatial_transformer_epoch{epoch + 1}.png"
            write_stn_sheet(model, data.first(recipe.data.validation, count=SHEET_IMAGES), sheet)
        if tensorboard:
            write_events(workdir / "tensorboard", row)
        print(progress.line(epochs=epochs), file=sys.stderr, flush=True)

    return folder  # `model.keras` is the best epoch's


def validate(model: keras.Model, data: StillPipeline, *, split: str) -> tuple[dict[str, float], np.ndarray]:
    """`val_loss` (cross-entropy without weights or smoothing, whatever the recipe trains with), `val_accuracy`, and
    the recall of each class (K,), NaN where the split has none; exact means over the examples of `split`."""
    logits, labels = gather(keras_runner(model), data.evaluation(split, batch_size=256))
    hits = logits.argmax(axis=-1) == labels
    losses = -log_softmax(logits)[np.arange(len(labels)), labels]
    classes = logits.shape[-1]
    totals = np.bincount(labels, minlength=classes)
    with np.errstate(invalid="ignore"):
        recall = np.bincount(labels, weights=hits, minlength=classes) / totals
    return {"val_loss": float(losses.mean()), "val_accuracy": float(hits.mean())}, recall


def _create(recipe: Recipe, data: StillPipeline, *, init_from: Path | None, begin: bool) -> keras.Model:
    """The recipe's model; with its first weights where the run begins, which one that goes on does not need."""
    height, width = recipe.data.image_size
    model = create_model(
        recipe.model.name,
        recipe.model.options,
        input_shape=(height, width, recipe.data.channels),
        classes=len(data.class_names),
        pretrained=begin and init_from is None,
    )
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


def _begin_folder(workdir: Path, recipe: Recipe, data: StillPipeline) -> RunFolder:
    folder = RunFolder(workdir)
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    folder.write_json("labels.json", {"emotion": list(data.class_names)})
    folder.write_json("preprocessing.json", json.loads(data.preprocessing.to_json()))
    folder.write_json("env.json", environment(seed=recipe.seed, fingerprint=fingerprints(data)))
    return folder
