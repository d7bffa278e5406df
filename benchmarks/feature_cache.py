"""An epoch from the feature cache against one through the frozen encoder, as a Markdown page.

    python benchmarks/feature_cache.py [--output docs/feature_cache.md] [--data-dir DIR] [--clips 32]

Both train the same temporal part on the same windows of `synthetic_faces/clips` by `ferkeras.training.trainee.Trainee`.
The encoders have random weights, which cost what trained ones do. Caches are written to a temporary folder.
"""

import argparse
import dataclasses
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import keras

from ferkeras.data.cached_clips import CachedClips
from ferkeras.data.clip_pipeline import ClipPipeline
from ferkeras.data.opening import open_clips
from ferkeras.data.preparation import prepare
from ferkeras.data.sources import default_data_dir
from ferkeras.files import write_atomically
from ferkeras.models import create_model
from ferkeras.recipe import Augment, Data, Model, Optimizer, Recipe, resolve
from ferkeras.recipe_data import ClipWindows, Target
from ferkeras.training.trainee import Trainee

#: Model, encoder in words, side in pixels, target.
CASES: list[tuple[str, str, int, Target]] = [
    ("xception_lstm", "Xception", 71, "label"),
    ("efficientnet_lstm", "EfficientNet-B0", 224, "valence_arousal"),
    ("efficientnet_lstm", "EfficientNet-B0", 64, "valence_arousal"),
    ("efficientnet_lstm", "EfficientNet-B0", 32, "valence_arousal"),
]
#: Timed epochs from the cache, of which the median counts; through the encoder it is one.
EPOCHS = 5


def recipe_of(model: str, side: int, target: Target, *, clips: int) -> Recipe:
    data = Data(
        "synthetic_faces/clips",
        train=f"train[:{clips}]",
        validation="validation[:4]",
        target=target,
        clips=ClipWindows(frames=16, min_frames=16),
        image_size=(side, side),
    )
    return resolve(
        Recipe(
            "feature_cache",
            Model(model, {"freeze_encoder": True}),
            data,
            augment=Augment(flip=False),
            optimizer=Optimizer("adam", learning_rate=1e-3),
            cache_features=True,
        )
    )


def epoch_seconds(network: keras.Model, data: ClipPipeline, recipe: Recipe, *, epochs: int) -> float:
    """Median time of a training epoch, after a short one in which graphs are compiled and a whole one of reading."""
    counts = data.class_counts(recipe.data.train)
    trainee = Trainee(network, recipe, steps_per_epoch=data.steps_per_epoch, class_counts=counts)
    trainee.train(data.training(0).take(1), callbacks=[])
    for _ in data.training(0):  # what is read once is kept in memory from then on
        pass
    seconds = []
    for epoch in range(1, epochs + 1):
        start = time.perf_counter()
        trainee.train(data.training(epoch), callbacks=[])
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def lines(data_dir: Path, *, clips: int) -> Iterator[str]:
    """The rows of the table, each as soon as it is measured."""
    yield "| model | encoder | side | frames | encoding, once, s | epoch through encoder, s | from cache, s | times |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, encoder, side, target in CASES:
        recipe = recipe_of(name, side, target, clips=clips)
        keras.utils.set_random_seed(0)
        data = open_clips(recipe, data_dir=data_dir)
        classes = len(data.class_names) or 21
        model = create_model(name, recipe.model.options, input_shape=(16, side, side, 1), classes=classes)
        start = time.perf_counter()
        cached = CachedClips(data.builders, recipe, encoder=model.get_layer("encoder"))
        once = time.perf_counter() - start
        quick = epoch_seconds(model.get_layer("temporal"), cached, recipe, epochs=EPOCHS)
        slow = epoch_seconds(model, data, dataclasses.replace(recipe, cache_features=False), epochs=1)
        frames = 16 * data.epoch_size
        yield f"| {name} | {encoder} | {side} | {frames} | {once:.1f} | {slow:.2f} | {quick:.3f} | {slow / quick:.0f} |"


PAGE = """# Training on vectors from the feature cache

With `cache_features=true` a recipe for clips whose encoder is frozen (`model.options.freeze_encoder=true`) and whose
frames are not augmented encodes each frame once and trains the temporal part on the vectors:

    python train.py xception_lstm_segments --set cache_features=true augment.flip=false

The run folder is that of any other run: `model.keras` is the whole model, and evaluation goes through its encoder.

## Speed

Printed by `python benchmarks/feature_cache.py{arguments}` on {cores} CPU cores (load of the machine from other work
when it began: {load:.1f}). Both epochs of a row were measured one after the other in the same process, on the same
windows of 16 frames, in float32.

{table}

* encoding: reading, decoding and encoding every frame of the clips, and writing the cache; once, and not again as long
  as data and encoder stay as they are.
* epoch: all optimiser steps on the training clips, without validation.
* from cache: the median of {epochs} epochs.

The gain is what the encoder costs beside the temporal part. It is large for the encoders at the sizes that they are
made for, and small where EfficientNet-B0 sees so few pixels that the two LSTM layers of 256
cost about as much as it does.

## What is kept, and where

`<data-dir>/.features/<data set>/<key>/` holds `key.json` and, of each split, TFRecord files of 64 clips. A record is a
`tf.train.Example` with `clip_id`, `vectors` (T, D) as little-endian float32, `face_found` (T,) and, where the data set
has it, `frame_index` (T,). A vector of 1280 takes 5 KiB; a minute of video at 25 frames/s takes 7.3 MiB. Vectors are
float32 alone: the numbers are then those that the model itself computes. Every frame is kept, whatever `data.clips`
uses, so that windows, stride, overlap, folds and labels can change without encoding anew. Folds of a split share its
files; a slice such as `train[:90%]` has its own.

The key is a hash of the fingerprints of the data set's splits, the size and colour of the images, and the layers and
the weights of the encoder. A cache with another key is never read. When a run opens its own, those that no run can use
again are removed, with a line on standard error: `data changed`, or `encoder changed` where an encoder of the same
layers has other weights. That of a different encoder stays. Two runs at once whose encoders differ in their weights
alone remove each other's cache, so give each a `--data-dir`; the folder `.features` can be deleted at any time that no
run uses it.

Each file is written whole or not at all: after an interruption encoding goes on with the first one that is not there.
A file whose checksums are wrong is encoded anew.

## What it does not do

* Augmentation: a vector is that of the frame as it stands, and a recipe that changes pixels is refused.
* Training the encoder: it stays as it is. Fine-tuning comes after, with `--init-from RUN`, without `cache_features`.
* `dtype=mixed_bfloat16` trains the temporal part in bfloat16; frames are encoded in float32 either way.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="Markdown file; without it the page is printed")
    parser.add_argument("--data-dir", type=Path, default=default_data_dir())
    parser.add_argument("--clips", type=int, default=32)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    prepare("synthetic_faces/clips", data_dir=options.data_dir)
    with tempfile.TemporaryDirectory() as folder:
        linked = Path(folder)
        (linked / "synthetic_faces").symlink_to((options.data_dir / "synthetic_faces").resolve())
        rows = []
        for row in lines(linked, clips=options.clips):
            print(row, flush=True)
            rows.append(row)
    if options.output:
        page = PAGE.format(
            arguments="" if options.clips == 32 else f" --clips {options.clips}",
            cores=len(os.sched_getaffinity(0)),
            load=load,
            table="\n".join(rows),
            epochs=EPOCHS,
        )
        write_atomically(options.output, page)


if __name__ == "__main__":
    main()
