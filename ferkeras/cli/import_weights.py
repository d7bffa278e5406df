"""Makes a run folder out of published PyTorch weights of an EfficientNet in the names of timm.

Every tensor must have its place, and nothing that the file holds is run. The classifier's rows are emotions, or
emotions and then valence and arousal.
"""

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ferkeras.cli.command import image_shape, load_tensorflow
from ferkeras.errors import InputError
from ferkeras.files import staged, write_atomically
from ferkeras.labels import canonical
from ferkeras.modelcard import LIMITS
from ferkeras.recipe import Data, Model, Recipe
from ferkeras.runs import NUMBER, RunFolder, environment

if TYPE_CHECKING:
    import keras

#: The eight emotions of Savchenko's networks, whose rows follow the alphabet of the English nouns, Anger to Surprise.
PUBLISHED_CLASSES = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
#: What `evaluate` measures such a run on unless told otherwise: the data set that has these eight, and no test split.
DATASET, SPLIT = "affectnet", "validation"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help=".safetensors, .onnx, or a state dict of torch.save")
    parser.add_argument(
        "--architecture",
        default="tf_efficientnet_b0",
        metavar="NAME",
        help="[tf_]efficientnet_b0 or [tf_]efficientnet_b2; tf_ pads as TensorFlow (default: tf_efficientnet_b0)",
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        default=PUBLISHED_CLASSES,
        metavar="NAME",
        help=f"emotions in the order of the classifier's rows (default: {' '.join(PUBLISHED_CLASSES)})",
    )
    parser.add_argument(
        "--input", type=image_shape, metavar="HxWxC", help="default: the architecture's, such as 224x224x3"
    )
    parser.add_argument("--source", metavar="TEXT", help="where the file comes from, for the model card")
    parser.add_argument(
        "--output", type=Path, required=True, metavar="RUN", help="the run folder, which must not exist"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="check the file, say what would be written, write nothing"
    )


def run(args: argparse.Namespace) -> None:
    if args.output.exists():
        raise InputError(
            "There is something of this name already", received=args.output, action="Name another --output."
        )
    load_tensorflow()
    from ferkeras.models import create_model
    from ferkeras.models.timm_efficientnet import ARCHITECTURES, load_efficientnet, read_efficientnet

    if args.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise InputError("Unknown architecture", received=args.architecture, action=f"Known: {known}.")
    kind = ARCHITECTURES[args.architecture]
    tensors = read_efficientnet(args.file, architecture=args.architecture)
    rows = len(tensors["classifier.weight"])
    classes = _classes(args.classes, rows=rows)
    affect = rows > len(classes)
    height, width, channels = args.input or (kind.side, kind.side, 3)
    recipe = Recipe(
        name=args.output.name,
        model=Model("efficientnet_va", {"backbone": kind.backbone}) if affect else Model(kind.backbone),
        data=Data(DATASET, test=SPLIT, classes=classes, image_size=(height, width), channels=1 if channels == 1 else 3),
    )
    model = create_model(
        recipe.model.name, recipe.model.options, input_shape=(height, width, channels), classes=len(classes)
    )
    load_efficientnet(model, tensors, architecture=args.architecture)
    what = f"{recipe.model.name} of {height}x{width}x{channels}: {', '.join(classes)}{', valence, arousal' * affect}"
    if args.dry_run:
        print(f"would write {args.output}, {what}")
        return
    origin = {
        "architecture": args.architecture,
        "file": args.file.name,
        "sha256": hashlib.sha256(args.file.read_bytes()).hexdigest(),
        "source": args.source,
    }
    with staged(args.output) as unfinished:
        _write(RunFolder(unfinished), model, recipe, origin)
    print(f"wrote {args.output}, {what}")


def _classes(words: Sequence[str], *, rows: int) -> tuple[str, ...]:
    """`words` by the names that ferkeras has for them, if they are different and `rows` rows can stand for them."""
    classes = tuple(canonical(word) or word for word in words)
    if len(set(classes)) != len(classes):
        raise InputError("--classes must be different emotions", received=", ".join(classes))
    if rows - len(classes) not in (0, 2):
        raise InputError(
            "A row of the classifier stands for each class, and two more for valence and arousal, or none",
            received=f"{rows} rows and {len(classes)} classes, {', '.join(classes)}",
            action="Name the --classes in the order of the rows.",
        )
    return classes


def _write(folder: RunFolder, model: "keras.Model", recipe: Recipe, origin: dict[str, str | None]) -> None:
    from ferkeras.data.preprocess import Preprocessing

    folder.save_model(model)
    folder.write_json("recipe.json", json.loads(recipe.to_json()))
    numbers = {head: [NUMBER] for head in ("valence", "arousal") if head in model.output}
    folder.write_json("labels.json", {"emotion": list(recipe.data.classes), **numbers})
    preprocessing = Preprocessing(*recipe.data.image_size, recipe.data.channels)
    folder.write_json("preprocessing.json", json.loads(preprocessing.to_json()))
    folder.write_json("env.json", environment(seed=recipe.seed, fingerprint={}) | {"imported": origin})
    write_atomically(folder.path / "README.md", _card(recipe, origin, affect=recipe.model.name == "efficientnet_va"))


def _card(recipe: Recipe, origin: dict[str, str | None], *, affect: bool) -> str:
    height, width = recipe.data.image_size
    colour = "grey" if recipe.data.channels == 1 else "RGB"
    numbers = (
        "\nValence and arousal are numbers on the scale of [-1, 1] that nothing keeps inside it." if affect else ""
    )
    return f"""\
# {recipe.name}

`{recipe.model.name}` with published weights of `{origin["architecture"]}` that others trained; ferkeras imported them
and did not change what the network computes.

## Weights

| | |
|---|---|
| file | `{origin["file"]}` |
| sha256 | `{origin["sha256"]}` |
| source | {origin["source"] or "not told; keep the address that you had them from"} |

Their licence, and the terms of the data that they were trained on, are those of who gave them; the licence of ferkeras
does not cover them. `recipe.json` names the network, its classes and its input; what it says of training are defaults
that nothing was trained with.

## Intended use

Input: one upright, tightly cropped face of {height}x{width} pixels, {colour}, values 0 to 255;
other sizes are scaled. Output: logits of
{", ".join(recipe.data.classes)}.{numbers}

## Results

None were measured at the import. `evaluate.py RUN --dataset D --split S` measures them; compare them with those that
were published with the weights.

## Limits

What the network was trained on, and for whom it is less accurate, its givers must say.

{LIMITS}
"""
