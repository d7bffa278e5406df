"""What bfloat16 and the faster CPU layers bring to each network that is trained here, as a Markdown page.

    python benchmarks/cpu_training.py [--steps 6] [--rounds 3] [--output docs/cpu.md] [MODEL ...]

Every network is trained on random pictures held in memory in four ways, in turns: plain Keras and the layers of
`ferkeras.training.cpu`, each in float32 and in bfloat16. About eight minutes on two CPU cores.
"""

import argparse
import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from ferkeras.benchmark import machine, training_speed
from ferkeras.files import write_atomically
from ferkeras.recipe import Data, Model, Optimizer, Recipe
from ferkeras.training.twin import can_fuse

#: Model -> side of its pictures, their channels, and how many make a batch.
NETWORKS = {
    "vgg11_lstm_attention": (48, 1, 128),
    "fer_vgg": (48, 1, 128),
    "fer_mobile": (48, 1, 128),
    "emonext_tiny": (64, 1, 64),
    "efficientnet_b0": (64, 3, 32),
    "xception": (72, 3, 32),
    "resnet18": (48, 3, 64),
}
PAGE = """# Training on a CPU

Written by `python benchmarks/cpu_training.py {options}`; {machine}.
AdamW, random pictures held in memory; images per second, and in brackets the ratio to plain Keras in float32, which is measured in turns with the others.

{table}

With TensorFlow on a CPU, training replaces some layers by faster ones for as long as it lasts (`ferkeras.training.twin`);
weights, files and results are those of the Keras layers. What there is, in `ferkeras/training/cpu`:

| Keras | in its place | why it is faster |
|---|---|---|
| `BatchNormalization` of maps | `FusedBatchNormalization` | one kernel of TensorFlow's in place of a dozen operations |
| `Conv2D` 3x3 on maps of at most 8x8 | `SmallMapConv2D` | kernel gradient by nine matrix products; oneDNN's in bfloat16 is slow on small maps |
| `DepthwiseConv2D` with a large kernel or a stride | `TiledDepthwiseConv2D` | kernel gradient in tiles of 3x3, input gradient of strided ones in float32; oneDNN's in bfloat16 take up to 30 times as long |
| `Activation` of GELU or SiLU | `FusedActivation` | one loop, compiled by XLA, in float32 inside |
| `LSTM` | `FusedLSTM` | steps laid out one after another, all weight gradients as one matrix product each |
| `Adam`, `AdamW` | `FusedAdam` | one kernel for each variable |

Everything else is Keras's own: what has no form here, or is set up in a way that the form does not know
(`ferkeras/training/cpu/choice.py`). `tests/test_cpu_layers.py` holds each equal to Keras's, forward, backward and in what it
remembers. `ferkeras benchmark RUN --part training` prints the same comparison for a run of your own.
"""  # noqa: E501 - rows of a Markdown table


def recipe(name: str) -> Recipe:
    side, channels, batch_size = NETWORKS[name]
    data = Data("random", image_size=(side, side), channels=channels)
    return Recipe(name, Model(name), data, optimizer=Optimizer("adamw", weight_decay=1e-3), batch_size=batch_size)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"some of {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--steps", type=int, default=6, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--output", type=Path, default=None, metavar="PAGE.md")
    args = parser.parse_args()
    if unknown := [name for name in args.models if name not in NETWORKS]:
        parser.error(f"Unknown model. Received: {', '.join(unknown)}. Known: {', '.join(NETWORKS)}.")
    if not can_fuse():
        sys.exit("cpu_training: The faster layers are for TensorFlow on a CPU. Set KERAS_BACKEND=tensorflow.")
    rows = []
    for name in args.models or NETWORKS:
        speeds = training_speed(recipe(name), classes=7, steps=args.steps, rounds=args.rounds)
        if not rows:
            rows = [f"| network | pictures | {' | '.join(s.name for s in speeds)} |", "|---" * (2 + len(speeds)) + "|"]
        side, channels, batch_size = NETWORKS[name]
        cells = [f"{speed.images_per_second:.0f} ({speed.ratio:.2f})" for speed in speeds]
        rows.append(f"| {name} | {batch_size} of {side}x{side}x{channels} | {' | '.join(cells)} |")
        print(rows[-1], file=sys.stderr, flush=True)
        gc.collect()
    options = " ".join([f"--steps {args.steps}", f"--rounds {args.rounds}", *args.models])
    page = PAGE.format(options=options, machine=machine(), table="\n".join(rows))
    if args.output:
        write_atomically(args.output, page)
    else:
        print(page)


if __name__ == "__main__":
    main()
