"""The temporal part of a sequence model as one step: the vector of a frame and states in, outputs and new states out.

A recurrent layer that has read t frames is wholly described by its states, so that a video can be followed at a cost
per frame that does not grow with its length.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from ferkeras.errors import InputError

#: Recurrent layers and the names of their states, in the order in which their cells take and give them.
STATES = {layers.LSTM: ("h", "c"), layers.GRU: ("h",), layers.SimpleRNN: ("h",)}
#: Layers that treat each frame on its own.
_FRAMEWISE = (layers.InputLayer, layers.Dense, layers.Dropout, layers.Activation)


def obstacle_to_steps(model: keras.Model) -> str | None:
    """Why the clip model `model` cannot be read frame by frame; None if it can."""
    names = {layer.name for layer in model.layers}
    if not {"encoder", "temporal"} <= names:
        return "it has no encoder of single frames with a temporal part over the vectors"
    for layer in model.get_layer("temporal").layers:
        if isinstance(layer, layers.Bidirectional):
            return f"its layer {layer.name} reads the clip from both ends and needs all frames at once"
        if type(layer) not in STATES and not isinstance(layer, _FRAMEWISE):
            return f"its layer {layer.name} ({type(layer).__name__}) has no form for a single frame"
        if getattr(layer, "go_backwards", False):
            return f"its layer {layer.name} reads the clip from its end"
    return None


def state_sizes(model: keras.Model) -> dict[str, int]:
    """Names of the states, such as `lstm1_h` and `lstm1_c`, with the size of each.

    Raises:
        InputError: If the model has layers that need the whole clip.
    """
    obstacle = obstacle_to_steps(model)
    if obstacle is not None:
        raise InputError("The model cannot be read frame by frame", received=obstacle, action="Export the whole clip.")
    recurrent = [layer for layer in model.get_layer("temporal").layers if type(layer) in STATES]
    return {f"{layer.name}_{kind}": layer.units for layer in recurrent for kind in STATES[type(layer)]}


def step(model: keras.Model, features: Any, states: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """One step of `model`, of `ferkeras.models.sequence.sequence_model`.

    Steps from zero states over the valid frames of a clip give, at the last one, what the whole clip gives; of a
    model with outputs per frame each step gives those of its frame. A frame that the mask would leave out is no step:
    the states stay.

    Args:
        model: One without an `obstacle_to_steps`.
        features: (B, D), of the layer `encoder`.
        states: (B, size) each, by the names of `state_sizes`; zeros before the first frame.

    Returns:
        `{head: logits (B, K)}`, and the new states.
    """
    temporal = model.get_layer("temporal")
    new_states: dict[str, Any] = {}

    def call(layer: keras.layers.Layer, *args: Any, **kwargs: Any) -> Any:
        kinds = STATES.get(type(layer))
        if kinds is None:
            return layer(*args, **kwargs)
        names = [f"{layer.name}_{kind}" for kind in kinds]
        output, new = layer.cell(args[0], [states[name] for name in names], training=False)
        new_states.update(zip(names, new, strict=True))
        return output

    inputs = {"features": features, "frame_mask": keras.ops.ones_like(features[:, 0], dtype="bool")}
    # The walk that `keras.models.clone_model` takes, which itself cannot serve, as it adds no inputs.
    logits = temporal._run_through_graph(inputs, operation_fn=lambda layer: layer, call_fn=call)
    return logits, new_states
