"""What each part of a training recipe is worth on FER2013, as a Markdown page.

    python benchmarks/ablations.py [--epochs 12] [--teacher RUN] [--runs DIR] [--data-dir DIR] [--output FILE.md]

Trains `vgg11_lstm_attention_long_fer2013` at half the width for a few epochs, and then once more for each variant,
which differs in one thing; the seed and the order of the images are the same. Those that are finished are taken as they
are, and interrupted ones go on. All are measured on PublicTest; PrivateTest is not read. Differences are paired: of the
same images, by bootstrap. They say nothing about the luck of the seed; three runs of the whole recipe measure that.
"""

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path

import keras

from ferkeras.comparison import HEAD, compare, comparison_rows, markdown_table
from ferkeras.evaluation import Predictions, collect
from ferkeras.files import write_atomically
from ferkeras.inference import keras_runner
from ferkeras.recipe import Recipe, override, resolve
from ferkeras.recipes import load_recipe
from ferkeras.runs import RunFolder
from ferkeras.training import loop
from ferkeras.training.finish import finish
from ferkeras.training.lock import run_lock
from ferkeras.training.task import open_examples

RECIPE = "vgg11_lstm_attention_long_fer2013"
WHOLE = "whole"
_GEOMETRY = ("augment.rotation=0", "augment.translation=0", "augment.zoom=0")
_LIGHT = ("augment.brightness=0", "augment.contrast=0")
_NO_ERASING = ("augment.erasing=0",)
#: Name of the run -> what the page calls it, and what is different.
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    WHOLE: ("the whole recipe", ()),
    "seed1": ("another seed", ("seed=1",)),
    "seed2": ("a third seed", ("seed=2",)),
    "no_augmentation": ("no augmentation", ("augment.flip=false", *_GEOMETRY, *_LIGHT, *_NO_ERASING)),
    "mirror_only": ("mirror images alone", (*_GEOMETRY, *_LIGHT, *_NO_ERASING)),
    "no_geometry": ("no rotation, shift and zoom", _GEOMETRY),
    "no_light": ("no brightness and contrast", _LIGHT),
    "no_erasing": ("no random erasing", _NO_ERASING),
    "noise": ("with noise", ("augment.noise=0.1",)),
    "mixup": ("with MixUp", ("augment.mixup=0.2",)),
    "cutmix": ("with CutMix", ("augment.cutmix=1.0",)),
    "constant_rate": ("a constant learning rate", ("schedule.name=constant",)),
    "plateau": (
        "rate halved on plateaus, no warm-up",
        ("schedule.name=plateau", "schedule.warmup=0st", "schedule.factor=0.5"),
    ),
    "no_smoothing": ("no label smoothing", ("loss.label_smoothing=0",)),
    "no_average": ("no moving average of the weights", ("optimizer.ema=none",)),
    "no_attention": ("LSTM without attention", ("model.name=vgg11_lstm",)),
    "no_lstm": ("VGG11 alone", ("model.name=vgg11",)),
}
DISTILLED = "distilled"


def recipe_of(name: str, *, epochs: int, teacher: Path | None) -> Recipe:
    """The recipe of a variant."""
    base = load_recipe(RECIPE)[0]
    changes = () if name == DISTILLED else VARIANTS[name][1]
    recipe = override(base, ["model.options.width=0.5", f"duration={epochs}ep", *changes])
    if name == DISTILLED:
        recipe = override(recipe, [f"distill={{'teachers': ('{teacher}',), 'temperature': 3.0, 'weight': 0.8}}"])
    return resolve(dataclasses.replace(recipe, name=name))


def train(recipe: Recipe, *, runs: Path, data_dir: Path | None) -> RunFolder:
    """The finished run of a variant."""
    folder = RunFolder(runs / recipe.name)
    with run_lock(folder.path):
        if not folder.is_finished():
            print(f"== {recipe.name}", file=sys.stderr, flush=True)
            keras.utils.clear_session()  # frees the one before
            loop.run(recipe, folder.path, data_dir=data_dir, resume=True)
            finish(folder, data_dir=data_dir)
    return folder


def page(folders: Mapping[str, RunFolder], *, epochs: int, data_dir: Path | None) -> str:
    titles = {name: title for name, (title, _) in VARIANTS.items()} | {DISTILLED: "with soft labels of the teacher"}
    found: dict[str, Predictions] = {}
    learned: list[str] = []  # what stands in the last column
    for name, folder in folders.items():
        keras.utils.clear_session()
        run, recipe = keras_runner(folder.load_model()), folder.recipe()
        data = open_examples(recipe, data_dir=data_dir)
        for tta in ("none", "flip", "scales", "ten_crop") if name == WHOLE else ("none",):
            title = titles[name] if tta == "none" else f"{titles[name]}, {tta.replace('_', ' ')} in testing"
            found[title] = collect(run, data, split=recipe.data.validation, tta=tta)
            learned.append(f"{float(folder.history()[-1]['accuracy']):.3f}" if tta == "none" else "")
    kind, lines = compare(found, against=titles[WHOLE])
    return PAGE.format(
        options=f" --epochs {epochs}" + (" --teacher RUN" if DISTILLED in folders else ""),
        epochs=epochs,
        trainings=len(folders),
        hours=sum(float(row["seconds"]) for folder in folders.values() for row in folder.history()) / 3600,
        table=markdown_table(
            [*HEAD[:2], kind, *HEAD[3:], "in training"],
            [[*row, cell] for row, cell in zip(comparison_rows(lines), learned, strict=True)],
        ),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--teacher", type=Path, metavar="RUN", help="a run folder; without it nothing is distilled")
    parser.add_argument("--runs", type=Path, default=Path("saved_models/ablations"), metavar="DIR")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="prepared data")
    parser.add_argument("--output", type=Path, metavar="FILE.md", help="the page is printed in any case")
    args = parser.parse_args()
    names = [*VARIANTS, *([DISTILLED] if args.teacher else [])]
    recipes = [recipe_of(name, epochs=args.epochs, teacher=args.teacher) for name in names]  # mistakes show at once
    folders = {recipe.name: train(recipe, runs=args.runs, data_dir=args.data_dir) for recipe in recipes}
    text = page(folders, epochs=args.epochs, data_dir=args.data_dir)
    print(text)
    if args.output:
        write_atomically(args.output, text)


PAGE = """# What each part of a recipe is worth

Printed by `python benchmarks/ablations.py{options}`: VGG11-LSTM-attention with half the
channels, FER2013, {epochs} epochs; {trainings} trainings of {hours:.1f} hours in all. Each row differs in one thing
from the first.

{table}
* PublicTest, the validation split; PrivateTest was not read. Of each training, the best epoch there is measured.
* Differences are paired: of the same images, by bootstrap. The two other seeds show how much of a difference is luck.
* *In training*: accuracy of the last epoch's batches, augmented and mixed as they are, which lowers it. Where it is far
  above that on PublicTest, the network knows the images by heart. These are short trainings: what makes learning harder
  costs accuracy in them, and may pay in long ones, which is not measured here.
* Rows with *in testing* are the first network with test-time augmentation; nothing was trained for them.
"""


if __name__ == "__main__":
    main()
