"""A `.tflite` file in the form that LiteRT.js can load: without boolean inputs, which it has no arrays for."""

import copy
from pathlib import Path

from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils


def write_web_model(source: Path, target: Path) -> None:
    """Copies a model; each boolean input, such as `frame_mask`, becomes uint8 and is cast to what it was.

    Everything else stays as it is. LiteRT.js 2.5 refuses a file with a boolean input in any of its signatures.
    """
    model = flatbuffer_utils.read_model(str(source))
    changed = [_take_bytes(model, subgraph, index) for index, subgraph in enumerate(model.subgraphs)]
    if any(changed):
        flatbuffer_utils.write_model(model, str(target))
    else:
        target.write_bytes(source.read_bytes())


def _take_bytes(model: schema.ModelT, subgraph: schema.SubGraphT, subgraph_index: int) -> bool:
    """Does so for one subgraph, if a signature begins there: bodies of loops have boolean inputs of their own."""
    signatures = [entry for entry in model.signatureDefs or () if entry.subgraphIndex == subgraph_index]
    flags = [index for index in subgraph.inputs if subgraph.tensors[index].type == schema.TensorType.BOOL]
    if not signatures or not flags:
        return False
    casts = []
    for flag in flags:
        given = copy.copy(subgraph.tensors[flag])
        given.type = schema.TensorType.UINT8
        given.name = bytes(given.name) + b"_uint8"
        subgraph.tensors.append(given)
        index = len(subgraph.tensors) - 1
        casts.append(_cast(_cast_code(model), index, flag))
        subgraph.inputs = [index if tensor == flag else tensor for tensor in subgraph.inputs]
        for entry in (entry for signature in signatures for entry in signature.inputs):
            if entry.tensorIndex == flag:
                entry.tensorIndex = index
    subgraph.operators = [*casts, *subgraph.operators]
    return True


def _cast(code: int, source: int, target: int) -> schema.OperatorT:
    options = schema.CastOptionsT()
    options.inDataType, options.outDataType = schema.TensorType.UINT8, schema.TensorType.BOOL
    cast = schema.OperatorT()
    cast.opcodeIndex, cast.inputs, cast.outputs = code, [source], [target]
    cast.builtinOptionsType, cast.builtinOptions = schema.BuiltinOptions.CastOptions, options
    return cast


def _cast_code(model: schema.ModelT) -> int:
    """The number of the operator CAST in this model, which is given one if it has none."""
    cast = schema.BuiltinOperator.CAST
    for index, entry in enumerate(model.operatorCodes):
        if max(entry.builtinCode, entry.deprecatedBuiltinCode) == cast:
            return index
    entry = schema.OperatorCodeT()
    entry.builtinCode = entry.deprecatedBuiltinCode = cast
    entry.version = 1
    model.operatorCodes.append(entry)
    return len(model.operatorCodes) - 1
