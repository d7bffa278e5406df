"""Lists the models: parameters, arithmetic, input and source, each row as it is computed.

FLOPs are those of one image, or of one clip of T frames for a sequence model, two for each multiply-add; papers often
print multiply-adds under that name.
"""

import argparse
import math

from ferkeras.cli.command import image_shape, load_tensorflow, model_names
from ferkeras.errors import InputError

HEAD = ("model", "trainable", "all", "GFLOPs", "input", "classes", "source", "what it is")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all models")
    parser.add_argument("--input", type=image_shape, metavar="HxWxC", help="default: each model's published one")
    parser.add_argument("--frames", type=int, metavar="T", help="of sequence models' clips; default: 16")
    parser.add_argument("--classes", type=int, metavar="K", help="default: each model's published number")


def run(args: argparse.Namespace) -> None:
    names = model_names(args.names)
    load_tensorflow()
    import keras

    from ferkeras.models import MODELS, create_model
    from ferkeras.models.flops import multiply_adds

    sources = max(len(MODELS[name].source) for name in names)
    form = f"{{:<{max(map(len, names))}}}  {{:>11}}  {{:>11}}  {{:>7}}  {{:<12}}  {{:>7}}  {{:<{sources}}}  {{}}"
    print("Parameters: trainable (what papers give), and all with moving statistics where there are some.")
    print("GFLOPs: 10^9 operations for one image, two per multiply-add (papers often give multiply-adds).")
    print("Those of a sequence model, whose input is TxHxWxC, are for all T frames of a clip.\n")
    print(form.format(*HEAD))
    refused = []
    for name in names:
        entry = MODELS[name]
        shape: tuple[int | None, ...] = args.input or entry.input_shape
        if entry.is_sequence:
            shape = (entry.frames if args.frames is None else args.frames, *shape)
        classes = entry.classes if args.classes is None else args.classes
        try:
            with keras.StatelessScope(initialize_variables=False):  # shapes are all that is asked for
                model = create_model(name, input_shape=shape, classes=classes)
        except InputError as error:
            refused.append(name)
            print(f"{name}: {error}", flush=True)
            continue
        trainable = sum(math.prod(variable.shape) for variable in model.trainable_variables)
        total = model.count_params()
        row = [
            name,
            f"{trainable:,}",
            f"{total:,}" if total != trainable else "",
            f"{2 * multiply_adds(model) / 1e9:.2f}",
            "x".join(map(str, shape)),
            classes,
            entry.source,
            entry.about,
        ]
        print(form.format(*row), flush=True)
        keras.utils.clear_session()  # or the variables without values would be given theirs after all
    if refused:
        raise InputError(f"{len(refused)} of {len(names)} models cannot be built so", received=", ".join(refused))
