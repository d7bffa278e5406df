"""What `ferkeras export` writes of a run for the asking, by name and place. Standard library only."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SAVED_MODEL = Path("saved_model/1")
LITERT = Path("litert/float32.tflite")
QUANTIZE = ("none", "float16", "dynamic", "int8")


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
    quantize: str | None = None
    step: bool = False

    @property
    def quantised(self) -> bool:
        """Its weights are rounded by design."""
        return self.quantize not in (None, "none")


def plan(*, saved_model: bool, litert: Sequence[str], streaming: bool) -> list[Artifact]:
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
