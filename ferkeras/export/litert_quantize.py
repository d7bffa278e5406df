"""Integer quantisation of a LiteRT file where it does no harm: convolutions and dense layers in int8, the rest float.

A spatial transformer samples at positions that eight bits cannot hold, recurrent layers add their rounding up from
frame to frame, and normalisation divides by small numbers, so these stay in float32, as do inputs and outputs.
"""

import importlib.util
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ferkeras.errors import InputError, MissingExtraError
from ferkeras.export.archive import as_batch, as_clips
from ferkeras.export.interface import Interface, all_layers
from ferkeras.layers import AdditiveAttention, AffineSampler

#: What is quantised, where its layer is not spared: the operators that take the time, and those between them.
OPERATORS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD")

#: Images that fix the ranges of the activations; more change little.
REPRESENTATIVE = 128

_RECURRENT = (keras.layers.RNN, keras.layers.LSTMCell, keras.layers.GRUCell, keras.layers.SimpleRNNCell)
_SPARED = (*_RECURRENT, keras.layers.Bidirectional, AdditiveAttention, AffineSampler)
_SPARED_NAMES = ("stn_", "temporal")
_KEEP_FLOAT = "keep_float"
#: What the converter calls the outputs of a file, whatever layer they come from: the layers of logits.
_OUTPUT = "StatefulPartitionedCall"


def write_representative(
    path: Path, representative: Iterable[Any] | None, *, model: keras.Model, interface: Interface
) -> None:
    """Gathers what `quantize_file` needs in one .npz file.

    Args:
        path: The file to write.
        representative: Batches of the training split as a `Runner` takes them: images (B, H, W, C), or {"frames",
            "frame_mask"}. The first `REPRESENTATIVE` images or frames are used, in the order given.
        model: Says which layers stay in float.
        interface: Of the model.

    Raises:
        InputError: If there are none, or they do not fit.
    """
    arrays: dict[str, list[np.ndarray]] = {}
    count = 0
    for batch in representative or ():
        if interface.kind == "still":
            inputs = {"image": as_batch(batch, interface.image_shape)}
        else:
            clips = as_clips(batch, (interface.frames, *interface.image_shape))
            inputs = {**clips, "image": clips["frames"][clips["frame_mask"]]}  # for the signature of single frames
        for name, values in inputs.items():
            arrays.setdefault(name, []).append(values)
        count += len(inputs["image"])
        if count >= REPRESENTATIVE:
            break
    if count == 0:
        raise InputError(
            "Quantisation to int8 takes the ranges of the activations from images of the training split",
            received="none",
            action="Give prepared data with --data-dir, or take dynamic quantisation, which needs none.",
        )
    # As many frames in the clips as there are images at most, and still one clip.
    limits = {"image": REPRESENTATIVE}
    limit = max(1, REPRESENTATIVE // (interface.frames or 1))
    stored: dict[str, Any] = {name: np.concatenate(x)[: limits.get(name, limit)] for name, x in arrays.items()}
    stored[_KEEP_FLOAT] = np.array(spared_layers(model), dtype=str)
    np.savez(path, **stored)


def quantize_file(path: Path, representative: Path) -> None:
    """Replaces the float LiteRT file `path` by one whose `OPERATORS` compute in int8.

    Args:
        path: A file of one signature: shared by two, constants are rounded twice.
        representative: Of `write_representative`.

    Raises:
        MissingExtraError: If ai-edge-quantizer is not installed.
    """
    require_quantizer()
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import calibrator, qtyping, quantizer, recipe_manager
    from ai_edge_quantizer.utils.qsv_utils import min_max_update

    with np.load(representative, allow_pickle=False) as stored:
        given = dict(stored)
    scope = scope_without(given.pop(_KEEP_FLOAT).tolist())
    recipe = recipe_manager.RecipeManager()
    for name in OPERATORS:
        operator = qtyping.TFLOperationName[name]
        recipe.add_static_config(regex=scope, operation_name=operator, activation_num_bits=8, weight_num_bits=8)
    # By its profiler: the other mode reads every tensor, and those in the bodies of loops are gone by then. And by the
    # smallest and largest value: its moving average forgets all but the last images.
    ranges = calibrator.Calibrator(
        str(path),
        num_threads=1,
        mode=calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED,
        qsv_update_func=min_max_update,
    )
    interpreter = Interpreter(str(path))
    data = {}
    for signature in interpreter.get_signature_list():
        details = interpreter.get_signature_runner(signature).get_input_details()
        data[signature] = list(_samples(details, given))
    ranges.calibrate(data, recipe)
    tool = quantizer.Quantizer(str(path))
    tool.load_quantization_recipe(recipe.get_quantization_recipe())
    result = tool.quantize(ranges.get_model_qsvs(), enable_progress_report=False)
    path.write_bytes(result.quantized_model)


def require_quantizer() -> None:
    """Raises `MissingExtraError` if ai-edge-quantizer is not installed."""
    for package, module in (("ai-edge-litert", "ai_edge_litert"), ("ai-edge-quantizer", "ai_edge_quantizer")):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(package, extra="quantize")


def spared_layers(model: keras.Model) -> list[str]:
    """Names of the layers of `model` that stay in float."""
    layers = all_layers(model)
    return [x.name for x in layers if isinstance(x, _SPARED) or x.name.startswith(_SPARED_NAMES)]


def scope_without(layers: Sequence[str]) -> str:
    """A pattern for tensors of none of these layers, whose scopes Keras numbers when they are traced again, and for no
    output."""
    names = "|".join(re.escape(name) for name in layers)
    spared = [_OUTPUT, *([rf"(.*[/;])?({names})(_\d+)?/"] if layers else [])]
    return rf"^(?!{'|'.join(spared)})"


def _samples(details: dict[str, Any], given: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    """One dict of inputs at a time; states, which are not given, are zero, as before the first frame."""
    for row in range(min(len(given[name]) for name in details if name in given)):
        yield {
            name: given[name][row][None].astype(detail["dtype"])
            if name in given
            else np.zeros(detail["shape"], detail["dtype"])
            for name, detail in details.items()
        }
