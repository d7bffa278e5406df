"""Compute the golden outputs of `lstm.npz`, `bilstm.npz` and `gru.npz` with PyTorch: recurrent layers under a mask.

    python3.11 -m venv reference
    reference/bin/pip install "torch==2.13.0" numpy
    reference/bin/python tests/golden/make_lstm_torch.py

Two layers each over sequences of 1 to 7 of 7 vectors, padded at the end, which PyTorch reads as packed sequences, and
a dense layer of logits on the last state of the last layer, both directions joined. It runs in float64. Weights come
from `path_seeds.py`, the vectors from a stored seed; lengths, seed and outputs are stored.

PyTorch has the gates of the LSTM in the order of Keras: input, forget, cell, output; it adds two biases where Keras
has one. For the GRU it has reset, update, new, and Keras update, reset, new; both add two biases.
"""

from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from path_seeds import path_seeded  # type: ignore[import-not-found, unused-ignore]
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

FOLDER = Path(__file__).parent
SEED, LENGTHS, STEPS, WIDTH, UNITS, CLASSES = 97_05, (7, 4, 1, 6), 7, 12, 9, 5
GATES = {"lstm": 4, "gru": 3}


def weight(path: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(path_seeded(path, shape)).double()


def in_torch_order(value: torch.Tensor, cell: str) -> torch.Tensor:
    """The gates along the last axis as PyTorch has them."""
    parts = list(value.split(UNITS, dim=-1))
    return torch.cat([parts[1], parts[0], parts[2]] if cell == "gru" else parts, dim=-1)


def recurrent(cell: str, *, bidirectional: bool) -> nn.Module:
    kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    module = kind(WIDTH, UNITS, num_layers=2, batch_first=True, bidirectional=bidirectional).double()
    for layer in (0, 1):
        for direction, suffix in (("forward_", ""), ("backward_", "_reverse")) if bidirectional else (("", ""),):
            name = f"{direction}{cell}{layer + 1}"
            path = f"bi{cell}{layer + 1}/{name}/{cell}_cell" if bidirectional else f"{name}/{cell}_cell"
            inputs = WIDTH if layer == 0 else UNITS * (2 if bidirectional else 1)
            gates = GATES[cell] * UNITS
            tensors = {
                "weight_ih": in_torch_order(weight(f"{path}/kernel", inputs, gates), cell).T,
                "weight_hh": in_torch_order(weight(f"{path}/recurrent_kernel", UNITS, gates), cell).T,
            }
            if cell == "gru":
                bias = in_torch_order(weight(f"{path}/bias", 2, gates), cell)
                tensors |= {"bias_ih": bias[0], "bias_hh": bias[1]}
            else:
                tensors |= {"bias_ih": weight(f"{path}/bias", gates), "bias_hh": torch.zeros(gates)}
            for tensor, value in tensors.items():
                getattr(module, f"{tensor}_l{layer}{suffix}").data = value.double().contiguous()
    return module


@torch.no_grad()
def make(file: str, cell: str, *, bidirectional: bool) -> None:
    vectors = torch.from_numpy(np.random.default_rng(SEED).standard_normal((len(LENGTHS), STEPS, WIDTH)))
    packed = pack_padded_sequence(vectors, torch.tensor(LENGTHS), batch_first=True, enforce_sorted=False)
    states, final = recurrent(cell, bidirectional=bidirectional)(packed)
    states, _ = pad_packed_sequence(states, batch_first=True, total_length=STEPS)
    hidden = final[0] if cell == "lstm" else final
    last = torch.cat([hidden[-2], hidden[-1]], dim=-1) if bidirectional else hidden[-1]
    logits = last @ weight("emotion/kernel", last.shape[-1], CLASSES) + weight("emotion/bias", CLASSES)
    outputs = {"states": states, "last": last, "emotion": logits}
    np.savez_compressed(
        FOLDER / f"{file}.npz",
        input_seed=np.array(SEED),
        input_shape=np.array(vectors.shape),
        lengths=np.array(LENGTHS),
        first_inputs=vectors.numpy().ravel()[:4],  # tells a change of numpy's generator from one of the model
        **{name: value.numpy().astype(np.float32) for name, value in outputs.items()},
    )
    for name, value in outputs.items():
        print(f"{file:7} {name:8} {tuple(value.shape)!s:12} mean {value.mean():+.4f} deviation {value.std():.4f}")


if __name__ == "__main__":
    make("lstm", "lstm", bidirectional=False)
    make("bilstm", "lstm", bidirectional=True)
    make("gru", "gru", bidirectional=False)
