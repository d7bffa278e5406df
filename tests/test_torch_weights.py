"""Reading PyTorch's files: what `torch.save` wrote, safetensors by hand, and everything that must be refused."""

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ferkeras.errors import InputError
from ferkeras.models.torch_weights import read_tensors

#: Written by `golden/make_efficientnet_torch.py`, with PyTorch itself.
STATE_DICT = Path(__file__).parent / "golden" / "state_dict.pt"
NUMBERS = (np.arange(12, dtype=np.float32) / 8).reshape(3, 4)


def safetensors(path: Path, header: Any, data: bytes, *, length: int | None = None) -> Path:
    text = json.dumps(header).encode()
    path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
    return path


def entry(kind: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


def archive(path: Path, pickled: bytes, files: Mapping[str, bytes] | None = None, *, compression: int = 0) -> Path:
    """A zip archive as `torch.save` makes it."""
    with zipfile.ZipFile(path, "w", compression=compression) as zipped:
        for name, content in {"data.pkl": pickled, **(files or {})}.items():
            zipped.writestr(f"weights/{name}", content)
    return path


def pickled_tensor(*, count: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The pickle of {"w": a tensor over a storage of `count` float32} in the words of PyTorch, protocol 2."""

    def value(item: Any) -> bytes:
        return pickle.dumps(item, protocol=2)[2:-1]  # without the protocol and the final stop

    storage = b"(" + value("storage") + b"ctorch\nFloatStorage\n" + value("0") + value("cpu") + value(count) + b"tQ"
    parts = storage + b"".join(map(value, (offset, shape, stride, False)))
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + parts + b"ccollections\nOrderedDict\n)Rt" + b"R"
    return b"\x80\x02}" + value("w") + rebuilt + b"s."


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


def test_reads_what_pytorch_wrote() -> None:
    found = read_tensors(STATE_DICT)
    expected = {
        "whole": NUMBERS,
        "turned": NUMBERS.T,
        "part": NUMBERS[1:, 1::2],
        "half": NUMBERS.astype(np.float16),
        "brain": NUMBERS,  # multiples of 1/8 up to 11/8, which bfloat16 holds exactly
        "double": NUMBERS.astype(np.float64),
        "count": np.array(7),
        "parameter": NUMBERS[0],
        "nothing": np.zeros((0, 3), np.float32),
    }
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_reads_safetensors(tmp_path: Path) -> None:
    whole, brain = np.array([[1, -2]], "<i8"), (NUMBERS.view("<u4") >> 16).astype("<u2")
    header = {
        "__metadata__": {"format": "pt"},
        "brain": entry("BF16", [3, 4], 16, 40),
        "whole": entry("I64", [1, 2], 0, 16),
        "scalar": entry("F32", [], 40, 44),
    }
    data = whole.tobytes() + brain.tobytes() + np.array(0.5, "<f4").tobytes()
    found = read_tensors(safetensors(tmp_path / "w.safetensors", header, data))
    assert set(found) == {"brain", "whole", "scalar"}
    np.testing.assert_array_equal(found["brain"], NUMBERS)
    np.testing.assert_array_equal(found["whole"], whole)
    assert found["scalar"].shape == ()
    assert found["scalar"] == 0.5


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({"w": entry("F32", [2], 0, 8)}, 10**12),  # a header longer than the file
        ({"w": entry("F32", [2], 0, 12)}, None),  # more bytes than numbers
        ({"w": entry("F32", [4], 0, 16)}, None),  # beyond the end
        ({"w": entry("F32", [-2], 8, 0)}, None),
        ({"w": entry("F32", [2.0], 0, 8)}, None),  # type: ignore[list-item]
        ({"w": entry("Q4", [2], 0, 8)}, None),
        ({"w": {"dtype": "F32"}}, None),
        ({"w": 5}, None),
        ([1, 2], None),
    ],
)
def test_refuses_damaged_safetensors(header: Any, length: int | None, tmp_path: Path) -> None:
    path = safetensors(tmp_path / "w.safetensors", header, bytes(8), length=length)
    with pytest.raises(InputError, match="damaged"):
        read_tensors(path)


def test_refuses_a_cut_off_file(tmp_path: Path) -> None:
    short = tmp_path / "w.safetensors"
    short.write_bytes(b"abc")
    cut = tmp_path / "w.pt"
    cut.write_bytes(STATE_DICT.read_bytes()[:1000])
    with pytest.raises(InputError, match="damaged"):
        read_tensors(short)
    with pytest.raises(InputError, match=r"\.safetensors, or a state dict"):
        read_tensors(cut)
    with pytest.raises(InputError, match="no weights file"):
        read_tensors(tmp_path / "absent.pt")


def test_runs_no_code_of_a_pickle(tmp_path: Path) -> None:
    target = tmp_path / "made"
    evil = archive(tmp_path / "w.pt", pickle.dumps({"w": Call(Path.touch, target)}))
    with pytest.raises(InputError, match=r"runs code.*pathlib.*weights_only=False"):
        read_tensors(evil)
    assert not target.exists()
    # The same without the check, or the test above would hold for a pickle that does nothing.
    pickle.loads(pickle.dumps(Call(Path.touch, target)))
    assert target.exists()


@pytest.mark.parametrize("function", [eval, getattr, np.load, pickle.loads, __import__])
def test_refuses_other_functions(function: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="runs code"):
        read_tensors(archive(tmp_path / "w.pt", pickle.dumps({"w": Call(function, "1")})))


def test_refuses_torchscript(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="TorchScript"):
        read_tensors(archive(tmp_path / "w.pt", pickle.dumps({}), {"constants.pkl": b""}))


def test_refuses_what_is_no_dictionary_of_tensors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="list"):
        read_tensors(archive(tmp_path / "w.pt", pickle.dumps([1])))
    with pytest.raises(InputError, match="epoch"):
        read_tensors(archive(tmp_path / "w.pt", pickle.dumps({"epoch": 1})))


def test_storage_by_hand(tmp_path: Path) -> None:
    pickled = pickled_tensor(count=12, offset=1, shape=(2, 3), stride=(4, 1))
    path = archive(tmp_path / "w.pt", pickled, {"data/0": NUMBERS.tobytes(), "byteorder": b"little"})
    np.testing.assert_array_equal(read_tensors(path)["w"], NUMBERS[:2, 1:])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"offset": 8}, "outside"),
        ({"offset": -1}, "whole numbers"),
        ({"stride": (-4, 1)}, "whole numbers"),
        ({"shape": (3, 5)}, "outside"),
        ({"shape": (2000, 2000), "stride": (0, 0)}, "outside"),  # a small file that wants much memory
        ({"count": 13}, "12 values, not 13"),
    ],
)
def test_refuses_storage_that_does_not_hold_the_tensor(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"count": 12, "offset": 1, "shape": (2, 3), "stride": (4, 1), **change}
    with pytest.raises(InputError, match=told):
        read_tensors(archive(tmp_path / "w.pt", pickled_tensor(**settings), {"data/0": NUMBERS.tobytes()}))


def test_refuses_compressed_and_foreign_archives(tmp_path: Path) -> None:
    swollen = archive(tmp_path / "a.pt", pickle.dumps({"w": "0" * 10**6}), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed"):
        read_tensors(swollen)
    with zipfile.ZipFile(tmp_path / "b.pt", "w") as zipped:
        zipped.writestr("readme.txt", "")
    with pytest.raises(InputError, match=r"without one data\.pkl"):
        read_tensors(tmp_path / "b.pt")
    pickled = pickled_tensor(count=12, offset=1, shape=(2, 3), stride=(4, 1))
    big = archive(tmp_path / "c.pt", pickled, {"data/0": NUMBERS.tobytes(), "byteorder": b"big"})
    with pytest.raises(InputError, match="big-endian"):
        read_tensors(big)
