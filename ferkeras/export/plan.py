"""What `ferkeras export` writes of a run for the asking, by name and place. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

SAVED_MODEL = Path("saved_model/1")
LITERT = Path("litert/float32.tflite")
#: Forms of the weights in a LiteRT file; `none` is float32. `float16` stores them in half precision; `dynamic` stores
#: those of large layers as int8 and multiplies in int8, with ranges of the activations taken at run time; `int8` fixes
#: those ranges ahead of time.
Quantize = Literal["none", "float16", "dynamic", "int8"]
QUANTIZE: tuple[Quantize, ...] = get_args(Quantize)


@dataclass(frozen=True)
class Artifact:
    """One thing that is proved.

    Attributes:
        name: In `export.json`.
        path: In the run folder.
        quantize: Of a LiteRT file; None for the SavedModel.
        step: It is the signature that reads frame by frame.
    """

    name: str
    path: Path
    quantize: Quantize | None = None
    step: bool = False

    @property
    def quantised(self) -> bool:
        """Its weights are rounded by design."""
        return self.quantize not in (None, "none")


def plan(*, saved_model: bool, litert: Sequence[Quantize], streaming: bool) -> list[Artifact]:
    """What is written and proved.

    Args:
        saved_model: Whether there is a SavedModel.
        litert: A LiteRT file for each of these of `QUANTIZE`; `none` is float32.
        streaming: The LiteRT files also read frame by frame.
    """
    found = [Artifact("saved_model", SAVED_MODEL)] if saved_model else []
    for quantize in dict.fromkeys(litert):
        name = "litert" if quantize == "none" else f"litert_{quantize}"
        path = LITERT if quantize == "none" else LITERT.with_stem(quantize)
        found.append(Artifact(name, path, quantize))
        if streaming:
            # The two signatures of an int8 file cannot share rounded weights: see `export_litert`.
            own = path.with_stem("int8_step") if quantize == "int8" else path
            found.append(Artifact(f"{name}_step", own, quantize, step=True))
    return found
