"""What an exported network takes and gives, read from the model and its run once and for every kind of file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras

from ferkeras.errors import InputError
from ferkeras.labels import VALENCE_AROUSAL_BINS
from ferkeras.runs import NUMBER


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a network.

    Attributes:
        kind: `still` takes `image` (B, H, W, C); `clip` takes `frames` (B, T, H, W, C) and `frame_mask` (B, T) bool.
        image_shape: H, W, C; C is 1 (grey) or 3 (RGB). Pixels are in [0, 255].
        heads: Name of an output -> what its last axis stands for: names of K emotions, the 21 bins of valence or
            arousal as numbers, or `("number",)` for a value on the scale of [-1, 1].
        frames: T that a clip model was trained with; any T from 1 on is taken where the model allows it.
        stride: Every `stride`-th frame of a video makes a clip.
        per_frame: Outputs are (B, T, K) and not (B, K).
        streams: The clip model is an `encoder` and a `temporal` part that reads frames one after the other.
    """

    kind: Literal["still", "clip"]
    image_shape: tuple[int, int, int]
    heads: dict[str, tuple[Any, ...]]
    frames: int | None = None
    stride: int = 1
    per_frame: bool = False
    streams: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the emotions; none for a network of valence and arousal alone."""
        return tuple(self.heads.get("emotion", ()))


def interface_of(
    model: keras.Model, *, heads: Mapping[str, Sequence[Any]], preprocessing: Mapping[str, Any] | None = None
) -> Interface:
    """Checks that `model` can be exported, and says what it takes and gives.

    Exportable is a functional model on the TensorFlow backend, of stills or of clips as `Interface` has them, with
    logits of the given heads among its outputs, and float32 arithmetic throughout: LSTM layers in bfloat16 do not
    convert to LiteRT, and rounding would hide real differences from the check of parity.

    Args:
        model: Of `RunFolder.load_model`.
        heads: Of `RunFolder.heads`; other outputs of the model are not exported.
        preprocessing: Of `RunFolder.preprocessing`, for the frames and stride of clips.

    Raises:
        InputError: If one of these does not hold.
    """
    if keras.config.backend() != "tensorflow":
        raise InputError(
            "Models are exported with the TensorFlow backend of Keras",
            received=f"backend {keras.config.backend()}",
            action="Set KERAS_BACKEND=tensorflow and load the model again; the weights are the same.",
        )
    inputs = {tensor.name: tuple(tensor.shape) for tensor in getattr(model, "inputs", None) or ()}
    kind: Literal["still", "clip"] = "clip" if "frames" in inputs else "still"
    wanted = {"frames", "frame_mask"} if kind == "clip" else {"image"}
    shape = inputs.get("frames" if kind == "clip" else "image", ())[-3:]
    if set(inputs) != wanted or len(shape) != 3 or None in shape or shape[2] not in (1, 3):
        raise InputError(
            "Expected a functional model with the input 'image' (B, H, W, C), or 'frames' (B, T, H, W, C) and "
            "'frame_mask' (B, T), H and W fixed, C 1 or 3",
            received=f"inputs {inputs}",
            action="Build the model with a fixed image size.",
        )
    outputs = model.output if isinstance(model.output, dict) else {"(not a dict)": model.output}
    given = {name: tuple(tensor.shape) for name, tensor in outputs.items()}
    for name, meanings in heads.items():
        if name not in given or given[name][-1] != len(meanings) or len(set(meanings)) != len(meanings):
            raise InputError(
                f"Expected an output {name} with {len(meanings)} different meanings on its last axis",
                received=f"outputs {given}, meanings {list(meanings)}",
            )
        _check_meanings(name, tuple(meanings))
    _check_precision(model)
    clip = preprocessing or {}
    return Interface(
        kind=kind,
        image_shape=shape,
        heads={name: tuple(meanings) for name, meanings in heads.items()},
        frames=clip.get("frames", inputs["frames"][1]) if kind == "clip" else None,
        stride=clip.get("stride", 1),
        per_frame=any(len(given[name]) == 3 for name in heads),
        streams=kind == "clip" and {"encoder", "temporal"} <= {layer.name for layer in model.layers},
    )


def _check_meanings(name: str, meanings: tuple[Any, ...]) -> None:
    bins = tuple(VALENCE_AROUSAL_BINS)
    known = all(isinstance(word, str) for word in meanings) if name == "emotion" else meanings in (bins, (NUMBER,))
    if not known or not meanings:
        raise InputError(
            "An output is emotion, with names, or valence or arousal, with 21 bins or one number",
            received=f"{name} with {list(meanings)}",
        )


def _check_precision(model: keras.Model) -> None:
    # The policy of the model itself says nothing: a loaded mixed-precision model has the current global one.
    reduced = {layer.name: layer.compute_dtype for layer in all_layers(model) if layer.compute_dtype != "float32"}
    if reduced:
        name, dtype = next(iter(reduced.items()))
        raise InputError(
            "A model is exported in float32",
            received=f"{len(reduced)} layers that compute in another type, such as {name} in {dtype}",
            action="Build it under the policy float32 and load the same weights.",
        )


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """The model and every layer in it, those inside wrappers, cells and nested models included."""
    return list(model._flatten_layers())  # `model.layers` stops at the first level
