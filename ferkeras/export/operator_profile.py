"""What a `.tflite` file is made of: how often each kind of operator stands in it, and how large its weights are."""

from dataclasses import dataclass
from pathlib import Path

from tensorflow.lite.python import schema_py_generated as schema

from ferkeras.errors import InputError


@dataclass(frozen=True)
class OperatorUse:
    """One kind of operator.

    Attributes:
        name: Of the schema (`CONV_2D`); one that is not builtin is `CUSTOM:<its name>`.
        count: How often it stands in the file, the bodies of loops included.
        bytes: Of the constants that it reads; one that several operators read counts for the first.
    """

    name: str
    count: int
    bytes: int


def operator_profile(path: str | Path) -> list[OperatorUse]:
    """Kinds of operators of a `.tflite` file, the one with the largest constants first.

    They are read from the file: the interpreter's Python interface times no operators, and it names those that a
    delegate has taken over by the delegate.

    Raises:
        InputError: If the file is no LiteRT model.
    """
    content = Path(path).read_bytes() if Path(path).is_file() else b""
    if len(content) < 8 or not schema.Model.ModelBufferHasIdentifier(content, 0):
        raise InputError("Expected a LiteRT model file (.tflite)", received=str(path))
    model = schema.Model.GetRootAs(content, 0)
    builtin_names = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    counts: dict[str, int] = {}
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    for subgraph in (model.Subgraphs(index) for index in range(model.SubgraphsLength())):
        for operator in (subgraph.Operators(index) for index in range(subgraph.OperatorsLength())):
            code = model.OperatorCodes(operator.OpcodeIndex())
            # Codes up to 127 stand in the older one-byte field, with 0 in the newer one, or in both.
            name = builtin_names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
            name = f"{name}:{code.CustomCode().decode()}" if code.CustomCode() else name
            counts[name] = counts.get(name, 0) + 1
            for tensor in (operator.Inputs(index) for index in range(operator.InputsLength())):
                buffer = subgraph.Tensors(tensor).Buffer() if tensor >= 0 else 0  # -1 is an input left out
                if buffer not in seen:
                    seen.add(buffer)
                    sizes[name] = sizes.get(name, 0) + model.Buffers(buffer).DataLength()
    uses = [OperatorUse(name, count, sizes.get(name, 0)) for name, count in counts.items()]
    return sorted(uses, key=lambda use: (-use.bytes, -use.count, use.name))
