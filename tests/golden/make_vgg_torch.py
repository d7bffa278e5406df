"""Compute the golden outputs of `vgg11_lstm_attention.npz` with PyTorch, written from the papers alone.

    python3.11 -m venv reference
    reference/bin/pip install "torch==2.13.0" numpy
    reference/bin/python tests/golden/make_vgg_torch.py

VGG11 (Simonyan & Zisserman, 2015, table 1, column A: one or two 3x3 convolutions a block, then 2x2 max pooling)
with batch normalisation after every convolution, global average pooling, and beside it two LSTM layers over the
rows of the image with additive attention: e_t = tanh(w . h_t + b), alpha = softmax(e), context = sum alpha_t h_t.
Both vectors joined, a dense layer of 128 with ReLU, and seven logits. Pixels p enter as p / 127.5 - 1.

It runs in float64, so that the stored float32 values carry no rounding of their own. Weights come from
`path_seeds.py`, the images from a stored seed; only seeds and outputs are stored.
"""

from pathlib import Path

import numpy as np
import torch  # type: ignore[import-not-found, unused-ignore]
from path_seeds import path_seeded, seeded_images  # type: ignore[import-not-found, unused-ignore]
from torch import nn

OUTPUT = Path(__file__).with_name("vgg11_lstm_attention.npz")
INPUT_SEED, SHAPE = 20_11, (4, 48, 48, 1)
BLOCKS = ((64,), (128,), (256, 256), (512, 512), (512, 512))
UNITS, HIDDEN, CLASSES, EPSILON = 128, 128, 7, 1e-5


def weight(path: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(path_seeded(path, shape)).double()


def convolution(name: str, inputs: int, outputs: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=True)
    layer.weight.data = weight(f"{name}/kernel", 3, 3, inputs, outputs).permute(3, 2, 0, 1)
    layer.bias.data = weight(f"{name}/bias", outputs)
    return layer


def normalisation(name: str, channels: int) -> nn.BatchNorm2d:
    layer = nn.BatchNorm2d(channels, eps=EPSILON)
    layer.weight.data = weight(f"{name}/gamma", channels)
    layer.bias.data = weight(f"{name}/beta", channels)
    layer.running_mean.data = weight(f"{name}/moving_mean", channels)
    layer.running_var.data = weight(f"{name}/moving_variance", channels)
    return layer


def dense(name: str, inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    layer.weight.data = weight(f"{name}/kernel", inputs, outputs).T
    layer.bias.data = weight(f"{name}/bias", outputs)
    return layer


def lstm(name: str, inputs: int, units: int) -> nn.LSTM:
    """Gates of both frameworks in the order input, forget, cell, output; Keras has one bias, PyTorch two."""
    layer = nn.LSTM(inputs, units, batch_first=True)
    layer.weight_ih_l0.data = weight(f"{name}/lstm_cell/kernel", inputs, 4 * units).T.contiguous()
    layer.weight_hh_l0.data = weight(f"{name}/lstm_cell/recurrent_kernel", units, 4 * units).T.contiguous()
    layer.bias_ih_l0.data = weight(f"{name}/lstm_cell/bias", 4 * units)
    layer.bias_hh_l0.data = torch.zeros(4 * units, dtype=torch.float64)
    return layer


def vgg_branch() -> nn.Sequential:
    """Scaled images (B, 1, H, W) -> the last feature map, before its pooling."""
    layers: list[nn.Module] = []
    inputs = 1
    for block, widths in enumerate(BLOCKS, start=1):
        for index, width in enumerate(widths, start=1):
            layers.append(convolution(f"block{block}_conv{index}", inputs, width))
            layers += [normalisation(f"block{block}_bn{index}", width), nn.ReLU()]
            inputs = width
        if block < len(BLOCKS):
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def row_branch(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (B, H, W) -> context (B, units) and the weights of the rows (B, H)."""
    hidden, _ = lstm("rows_lstm1", rows.shape[-1], UNITS)(rows)
    hidden, _ = lstm("rows_lstm2", UNITS, UNITS)(hidden)
    scores = torch.tanh(hidden @ weight("attention/kernel", UNITS, 1) + weight("attention/bias", 1)).squeeze(-1)
    alpha = torch.softmax(scores, dim=1)
    return (alpha.unsqueeze(-1) * hidden).sum(dim=1), alpha


@torch.no_grad()
def main() -> None:
    images = torch.from_numpy(seeded_images(INPUT_SEED, SHAPE)).double()
    scaled = images.permute(0, 3, 1, 2) / 127.5 - 1.0
    feature_map = vgg_branch().eval()(scaled)
    pooled = nn.functional.max_pool2d(feature_map, 2).mean(dim=(2, 3))
    context, alpha = row_branch(scaled[:, 0])
    features = torch.cat([pooled, context], dim=1)
    hidden = torch.relu(dense("head_dense", features.shape[1], HIDDEN)(features))
    logits = dense("emotion", HIDDEN, CLASSES)(hidden)
    outputs = {"feature_map": feature_map.mean(dim=(2, 3)), "attention": alpha, "features": features, "emotion": logits}
    np.savez_compressed(
        OUTPUT,
        input_seed=np.array(INPUT_SEED),
        input_shape=np.array(SHAPE),
        # Tells a change of numpy's generator from a change of the model.
        first_weights=path_seeded("block1_conv1/kernel", (3, 3, 1, 64)).ravel()[:4],
        **{name: value.numpy().astype(np.float32) for name, value in outputs.items()},
    )
    for name, value in outputs.items():
        print(f"{name:12} {tuple(value.shape)!s:12} mean {value.mean():+.4f} deviation {value.std():.4f}")


if __name__ == "__main__":
    main()
